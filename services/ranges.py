"""Spans of UTC days, for what is told a point a day."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from services.errors import BadRequest

DAYS_DEFAULT = 7
DAYS_MAX = 90
_DAY = timedelta(days=1)
_LAST = date(9998, 12, 31)
"""The last day that has a day after it, with a year to spare for whoever counts on."""


@dataclass(frozen=True, slots=True)
class Days:
    """UTC days, both ends included."""

    first: date
    last: date

    def __iter__(self) -> Iterator[date]:
        """Every day, in order."""
        return map(date.fromordinal, range(self.first.toordinal(), self.last.toordinal() + 1))

    @property
    def starts_at(self) -> datetime:
        """The first moment."""
        return datetime.combine(self.first, time.min, UTC)

    @property
    def ends_at(self) -> datetime:
        """The first moment after the last day."""
        return datetime.combine(self.last + _DAY, time.min, UTC)


def between(first: date, last: date) -> Days:
    """The days from `first` to `last`.

    Raises:
        BadRequest: they are in the wrong order, or more than 90.

    """
    if not first <= last <= _LAST:
        raise BadRequest("A range begins on its first day, `from`, and does not end before it.")
    if (last - first).days >= DAYS_MAX:
        raise BadRequest(f"A range has at most {DAYS_MAX} days; this one has {(last - first).days + 1:,}.")
    return Days(first, last)


def latest(now: datetime, count: int = DAYS_DEFAULT) -> Days:
    """The last `count` days, today included."""
    today = now.astimezone(UTC).date()
    return Days(today - (count - 1) * _DAY, today)
