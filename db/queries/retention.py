"""Credentials past their end."""

from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy import Table as FromTable

from db.models import ApiKey, AuthSession, OneTimeToken, Table
from db.session import ReadSession, Session

_ROWS_A_CALL = 1_000


async def count_expired(session: ReadSession, now: datetime, *, revoked_before: datetime) -> int:
    """How many `remove_expired` would delete."""
    count = 0
    for table, is_over in _over(now, revoked_before):
        chosen = select(*table.primary_key.columns).where(is_over).limit(_ROWS_A_CALL).subquery()
        count += await session.scalar(select(func.count()).select_from(chosen)) or 0
    return count


async def remove_expired(session: Session, now: datetime, *, revoked_before: datetime) -> int:
    """Delete them, a thousand of each kind; how many those were. Rows that somebody holds are left for later."""
    count = 0
    for table, is_over in _over(now, revoked_before):
        (key,) = table.primary_key.columns
        chosen = select(key).where(is_over).limit(_ROWS_A_CALL).with_for_update(skip_locked=True)
        gone = (await session.scalars(chosen)).all()
        await session.execute(delete(table).where(key.in_(gone)))
        count += len(gone)
    return count


def _over(now: datetime, revoked_before: datetime) -> list[tuple[FromTable, ColumnElement[bool]]]:
    return [
        (_table(AuthSession), AuthSession.expires_at <= now),
        (_table(OneTimeToken), OneTimeToken.expires_at <= now),
        (_table(ApiKey), ApiKey.revoked_at <= revoked_before),
    ]


def _table(row: type[Table]) -> FromTable:
    return row.metadata.tables[row.__tablename__]
