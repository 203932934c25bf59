"""Spans of UTC days."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from services import ranges
from services.errors import BadRequest

MONDAY = date(2026, 3, 2)


def test_a_span_holds_both_its_ends() -> None:
    days = ranges.between(MONDAY, MONDAY + timedelta(days=2))
    assert list(days) == [MONDAY, MONDAY + timedelta(days=1), MONDAY + timedelta(days=2)]
    assert days.starts_at == datetime(2026, 3, 2, tzinfo=UTC)
    assert days.ends_at == datetime(2026, 3, 5, tzinfo=UTC)


def test_a_span_of_one_day_is_that_day() -> None:
    assert list(ranges.between(MONDAY, MONDAY)) == [MONDAY]


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (MONDAY, MONDAY - timedelta(days=1)),
        (MONDAY, MONDAY + timedelta(days=90)),
        (date.min, date.max),
        (date.max, date.max),
    ],
)
def test_a_span_in_the_wrong_order_or_of_more_than_90_days_is_refused(first: date, last: date) -> None:
    with pytest.raises(BadRequest):
        ranges.between(first, last)


def test_a_span_has_90_days_at_most() -> None:
    assert len(list(ranges.between(MONDAY, MONDAY + timedelta(days=89)))) == 90


def test_the_latest_days_are_utc_days_and_hold_today() -> None:
    east = datetime(2026, 3, 3, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    days = ranges.latest(east)
    assert (days.first, days.last) == (date(2026, 2, 24), date(2026, 3, 2))
    assert len(list(days)) == ranges.DAYS_DEFAULT
