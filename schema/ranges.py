"""Spans of days, as arguments of what is told a point a day."""

import datetime as dt

import strawberry

from schema.field import REQUIRED, argument


@strawberry.input(description="A span of UTC days, both ends included; at most 90 days.")
class DateRangeInput:
    first: dt.date = strawberry.field(name="from", description="First day.")
    last: dt.date = strawberry.field(name="to", description="Last day; not before `from`.")


RANGE = argument(DateRangeInput, "Span of days.", REQUIRED)
OPTIONAL_RANGE = argument(DateRangeInput | None, "Span of days.")
