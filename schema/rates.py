"""What the caller has left of the rate limit."""

from datetime import datetime

from schema.field import picture, plain
from services import rates


@picture(
    rates.Allowance,
    "What the caller has left of the rate limit. The same numbers are in `extensions.rateLimit` of every response.",
)
class RateLimit:
    limit: int = plain("Points per window.")
    remaining: int = plain("Points left.")
    cost: int = plain("Points this request cost.")
    reset_at: datetime = plain("When the window starts anew.")
