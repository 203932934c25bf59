"""Use of the service: counts added to days, and read as a series."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select, text

from db.models import UsageDay, UsageSeriesPoint
from db.session import ReadSession, Session


class Counts(NamedTuple):
    """What to add to one day of one account's use through one key."""

    account_id: UUID
    day: date
    api_key_id: UUID
    request_count: int
    verification_count: int
    credits_spent: int


# In the order of the key, so that two processes that write the same days wait for each other and never both ways.
# What was used by an account that is gone by now is left out.
_ADD = text("""
INSERT INTO usage_day AS u (account_id, day, api_key_id, request_count, verification_count, credits_spent)
SELECT b.account_id, b.day, b.api_key_id, b.requests, b.verifications, b.credits
FROM unnest(CAST(:accounts AS uuid[]), CAST(:days AS date[]), CAST(:keys AS uuid[]), CAST(:requests AS bigint[]),
    CAST(:verifications AS bigint[]), CAST(:credits AS bigint[]))
    AS b(account_id, day, api_key_id, requests, verifications, credits)
JOIN account ON account.id = b.account_id
ORDER BY b.account_id, b.day, b.api_key_id
ON CONFLICT (account_id, day, api_key_id) DO UPDATE SET
    request_count = u.request_count + excluded.request_count,
    verification_count = u.verification_count + excluded.verification_count,
    credits_spent = u.credits_spent + excluded.credits_spent
""")


async def add(session: Session, counts: Sequence[Counts]) -> None:
    """Add counts to their days, by one statement. No account, day and key may come twice."""
    names = ("accounts", "days", "keys", "requests", "verifications", "credits")
    await session.execute(
        _ADD, {name: list(column) for name, column in zip(names, zip(*counts, strict=True), strict=True)}
    )


async def by_day(
    session: ReadSession, account_id: UUID, first: date, last: date, api_key_id: UUID | None
) -> dict[date, UsageSeriesPoint]:
    """An account's use on the days that have any, through one key or in all."""
    u = UsageDay
    sums = [func.sum(column).label("n") for column in (u.request_count, u.verification_count, u.credits_spent)]
    statement = select(u.day, *sums).where(u.account_id == account_id, u.day.between(first, last)).group_by(u.day)
    if api_key_id is not None:
        statement = statement.where(u.api_key_id == api_key_id)
    return {day: UsageSeriesPoint(day, *map(int, counts)) for day, *counts in await session.execute(statement)}
