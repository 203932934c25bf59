"""When a verdict that may still change is asked for again."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schedule:
    """Waits in seconds before each further round: the usual ones, and the short ones of our own sandbox zones."""

    seconds: Sequence[float]
    zone_seconds: Sequence[float]

    def delay_seconds(self, retries: int, *, is_in_zone: bool) -> float | None:
        """Return the wait after `retries` rounds were put off already; None where the verdict stands now."""
        waits = self.zone_seconds if is_in_zone else self.seconds
        return waits[retries] if retries < len(waits) else None
