"""Spans of days as arguments."""

from datetime import date, datetime
from typing import Protocol

from services import ranges
from services.ranges import DAYS_DEFAULT, Days


class Range(Protocol):
    """The shape of a DateRangeInput."""

    first: date
    last: date


def days(given: Range | None, now: datetime, *, default: int = DAYS_DEFAULT) -> Days:
    """The days of an argument; without one, the last `default` days.

    Raises:
        BadRequest: the days are in the wrong order, or too many.

    """
    return ranges.between(given.first, given.last) if given is not None else ranges.latest(now, default)
