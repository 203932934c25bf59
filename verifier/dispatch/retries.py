"""When a verdict that may still change is asked for again, and when it stands."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

STANDS_AFTER = timedelta(hours=72)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Waits in seconds before each further round, and how long a mail host that blocks us is paused, each time.

    The `zone_` ones are the short ones of our own sandbox zones.
    """

    seconds: Sequence[float]
    zone_seconds: Sequence[float]
    pause_seconds: Sequence[float] = ()
    zone_pause_seconds: Sequence[float] = ()

    def delay_seconds(self, waits: int, *, is_in_zone: bool, born_at: datetime | None = None) -> float | None:
        """Return the wait after an address waited so many times already; None where its verdict stands now."""
        delays = self.zone_seconds if is_in_zone else self.seconds
        left = _left_seconds(born_at)
        return min(delays[waits], left) if waits < len(delays) and left > 0 else None

    def pauses(self, *, is_in_zone: bool) -> Sequence[float]:
        """Return how long a mail host is paused, by the number of blocks in a row."""
        return self.zone_pause_seconds if is_in_zone else self.pause_seconds

    def waits_for_pause(self, pauses: int, *, is_in_zone: bool, born_at: datetime | None = None) -> bool:
        """Tell whether a chunk that waited for the end of so many pauses waits for one more."""
        return pauses < len(self.pauses(is_in_zone=is_in_zone)) and _left_seconds(born_at) > 0


def _left_seconds(born_at: datetime | None) -> float:
    """Return how long an address may still wait."""
    return math.inf if born_at is None else (STANDS_AFTER - (datetime.now(UTC) - born_at)).total_seconds()
