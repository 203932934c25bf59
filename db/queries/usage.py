"""Use of the service: counts added to days, and read as a series."""

from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, bindparam, cast, func, select, text

from db import hot
from db.models import UsageDay, UsageSeriesPoint
from db.session import Session


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


def _by_day(*conditions: ColumnElement[bool]) -> hot.Read[tuple[Any, ...]]:
    u = UsageDay
    sums = [cast(func.sum(n), BigInteger) for n in (u.request_count, u.verification_count, u.credits_spent)]
    span = u.day.between(bindparam("first"), bindparam("last"))
    return hot.Read(
        select(u.day, *sums).where(u.account_id == bindparam("account_id"), span, *conditions).group_by(u.day)
    )


_BY_DAY = _by_day()
_BY_DAY_OF_KEY = _by_day(UsageDay.api_key_id == bindparam("api_key_id"))


async def by_day(
    reads: hot.Reads, account_id: UUID, first: date, last: date, api_key_id: UUID | None
) -> dict[date, UsageSeriesPoint]:
    """An account's use on the days that have any, through one key or in all."""
    read = _BY_DAY if api_key_id is None else _BY_DAY_OF_KEY
    found = await reads.fetch(read, account_id=account_id, first=first, last=last, api_key_id=api_key_id)
    return {row[0]: UsageSeriesPoint(*row) for row in found}
