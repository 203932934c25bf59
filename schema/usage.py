"""Use over time."""

import datetime as dt

from db import models
from resolvers import usage
from schema.accounts import User
from schema.field import complete, edge, picture, plain
from schema.ranges import RANGE

REQUESTS = "API requests answered."
VERIFICATIONS = "Addresses verified."
CREDITS = "Credits spent."


@picture(models.UsageTotal, "Use added up.")
class UsageTotal:
    request_count: int = plain(REQUESTS)
    verification_count: int = plain(VERIFICATIONS)
    credits_spent: int = plain(CREDITS)


@picture(models.UsageSeriesPoint, "Use on one day.")
class UsageSeriesPoint:
    date: dt.date = plain("The UTC day.")
    request_count: int = plain(REQUESTS)
    verification_count: int = plain(VERIFICATIONS)
    credits_spent: int = plain(CREDITS)


@picture(models.UsageSeries, "Use over time. What happened in the last few seconds may not be in it yet.")
class UsageSeries:
    total: UsageTotal = plain("The points added up.")
    points: list[UsageSeriesPoint] = plain("Every point of the span in order, with zeros where nothing happened.")


complete(
    User,
    "usage_series",
    UsageSeries | None,
    edge(usage.of_account, "Use over time. Visible to the owner and to administrators.", range=RANGE),
)
