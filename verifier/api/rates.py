"""How often a caller may ask: a bucket of so many requests a minute for each, in this process's memory.

The generic cell rate algorithm (ITU-T I.371, the virtual scheduling form): one time a caller, exact waits.
"""

import time

MINUTE_SECONDS = 60.0
CALLERS_MAX = 10_000


class Rates:
    """Buckets of all callers; a full one is forgotten."""

    def __init__(self) -> None:
        self._full_at: dict[object, float] = {}
        self._look_at = CALLERS_MAX

    def take(self, caller: object, *, per_minute: int, now: float | None = None) -> float:
        """Count a request; return the seconds after which it would be allowed, 0 where it is. 0 per minute: no limit.

        `now` in seconds of the monotonic clock.
        """
        if per_minute == 0:
            return 0.0
        now = time.monotonic() if now is None else now
        if len(self._full_at) >= self._look_at:
            self._full_at = {key: full_at for key, full_at in self._full_at.items() if full_at > now}
            self._look_at = max(CALLERS_MAX, 2 * len(self._full_at))
        full_at = max(self._full_at.get(caller, now), now) + MINUTE_SECONDS / per_minute
        wait = full_at - now - MINUTE_SECONDS
        if wait > 0:
            return wait
        self._full_at[caller] = full_at
        return 0.0
