"""Passwords, sessions and their tokens, links, and signing keys."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Uuid, bindparam, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from db import hot
from db.models import (
    Account,
    AuthSession,
    Credential,
    OneTimeToken,
    RefreshToken,
    SigningKey,
    TokenPurpose,
)
from db.queries import pages
from db.session import ReadSession, Session

_SIGNING_KEYS_LOCK = 7_301_001
"""Of the advisory lock that is held while the first signing key is made."""


async def add_account(session: Session, account: Account, credential: Credential) -> bool:
    """Make an account with a password; False where the address has one."""
    values = {c.key: getattr(account, c.key) for c in Account.__table__.columns}
    statement = insert(Account).values(values).on_conflict_do_nothing().returning(Account.id)
    if await session.scalar(statement) is None:
        return False
    session.add(credential)
    await session.flush()
    return True


async def credential_of(session: ReadSession, account_id: UUID) -> Credential | None:
    """The password of an account; None where it has none."""
    return await session.scalar(select(Credential).where(Credential.account_id == account_id))


async def locked_credential(session: Session, account_id: UUID) -> Credential | None:
    """The password of an account, locked until the transaction ends."""
    statement = select(Credential).where(Credential.account_id == account_id)
    return await session.scalar(statement.with_for_update(key_share=True))


async def is_in_force(session: Session, account_id: UUID, password_hash: str | None) -> bool:
    """The password that was looked at is still the account's, and stays so until the transaction ends.

    Looking at one takes long: without this, who knows the old password could get past a change of it.
    """
    credential = await locked_credential(session, account_id)
    return (credential.password_hash if credential is not None else None) == password_hash


async def by_email(session: ReadSession, email: str) -> tuple[Account, Credential] | None:
    """The account of an address, in any case of letters, with its password."""
    statement = select(Account, Credential).join(Credential, Credential.account_id == Account.id)
    row = (await session.execute(statement.where(func.lower(Account.email) == email.lower()))).first()
    return None if row is None else (row[0], row[1])


async def set_password(session: Session, account_id: UUID, password_hash: str, now: datetime) -> None:
    """Store a password, the first of an account or a new one."""
    values: dict[str, Any] = {"password_hash": password_hash, "updated_at": now}
    statement = insert(Credential).values(account_id=account_id, user_metadata={}, **values)
    await session.execute(statement.on_conflict_do_update(index_elements=["account_id"], set_=values))


async def set_metadata(session: Session, account_id: UUID, metadata: dict[str, Any], now: datetime) -> None:
    """Store what a person says of itself."""
    values = {"user_metadata": metadata, "updated_at": now}
    await session.execute(update(Credential).where(Credential.account_id == account_id).values(values))


async def confirm(session: Session, account_id: UUID, email: str, now: datetime) -> Account | None:
    """Note that an account's address is confirmed; None where it is not its address any more."""
    statement = update(Account).where(Account.id == account_id, func.lower(Account.email) == email.lower())
    values = {"email_confirmed_at": func.coalesce(Account.email_confirmed_at, now)}
    found = await session.scalars(statement.values(values).returning(Account))
    return found.one_or_none()


async def change_email(session: Session, account_id: UUID, email: str, now: datetime) -> Account | None:
    """Give an account another address, confirmed; None where another account has it."""
    statement = update(Account).where(Account.id == account_id).values(email=email, email_confirmed_at=now)
    try:
        async with session.begin_nested():
            return (await session.scalars(statement.returning(Account))).one_or_none()
    except IntegrityError:
        return None


_WITH_SESSION = hot.Read[tuple[Account, bool]](
    select(
        Account,
        select(AuthSession.id)
        .where(
            AuthSession.id == bindparam("session_id", type_=Uuid()),
            AuthSession.account_id == Account.id,
            AuthSession.expires_at > bindparam("now", type_=DateTime(timezone=True)),
        )
        .exists(),
    ).where(Account.id == bindparam("account_id")),
    Account,
)


async def with_session(
    reads: hot.Reads, account_id: UUID, session_id: UUID, now: datetime
) -> tuple[Account, bool] | None:
    """An account, and whether this session of it lives: one indexed read. None where there is no account."""
    found = await reads.fetch(_WITH_SESSION, session_id=session_id, now=now, account_id=account_id)
    return found[0] if found else None


async def add_session(session: Session, row: AuthSession, token_hash: bytes) -> None:
    """Store a new session with its first refresh token."""
    session.add(row)
    await session.flush()
    await add_refresh_token(session, token_hash, row)


async def add_refresh_token(session: Session, token_hash: bytes, row: AuthSession) -> None:
    """Store the refresh token in force of a session."""
    session.add(RefreshToken(token_hash=token_hash, session_id=row.id, counter=row.counter))
    await session.flush()


async def forget_refresh_tokens(session: Session, session_id: UUID, counter_below: int) -> None:
    """Drop the oldest refresh tokens of a session: one that is not known is refused as well."""
    old = (RefreshToken.session_id == session_id, RefreshToken.counter < counter_below)
    await session.execute(delete(RefreshToken).where(*old))


async def locked_by_refresh_token(session: Session, token_hash: bytes) -> tuple[AuthSession, Account, int] | None:
    """The session of a refresh token, locked until the transaction ends, its account, and the token's number."""
    statement = (
        select(AuthSession, Account, RefreshToken.counter)
        .join(RefreshToken, RefreshToken.session_id == AuthSession.id)
        .join(Account, Account.id == AuthSession.account_id)
        .where(RefreshToken.token_hash == token_hash)
        .with_for_update(key_share=True, of=AuthSession)
    )
    row = (await session.execute(statement)).first()
    return None if row is None else (row[0], row[1], row[2])


async def is_refresh_token(session: Session, token_hash: bytes) -> bool:
    """This token is known."""
    return await session.get(RefreshToken, token_hash) is not None


async def end_sessions(session: Session, account_id: UUID, *, only: UUID | None = None, but: UUID | None = None) -> int:
    """End sessions of an account: `only` one, all `but` one, or all. Gives how many there were."""
    statement = delete(AuthSession).where(AuthSession.account_id == account_id)
    if only is not None:
        statement = statement.where(AuthSession.id == only)
    if but is not None:
        statement = statement.where(AuthSession.id != but)
    return len((await session.scalars(statement.returning(AuthSession.id))).all())


async def end_reset(session: Session, session_id: UUID) -> None:
    """From now on, a new password needs the old one in this session too."""
    await session.execute(update(AuthSession).where(AuthSession.id == session_id).values(may_reset_until=None))


async def sessions_by_ids(session: ReadSession, session_ids: Sequence[UUID]) -> dict[UUID, AuthSession]:
    """Sessions by id, live or not; those not found are left out."""
    rows = await session.scalars(select(AuthSession).where(AuthSession.id.in_(session_ids)))
    return {row.id: row for row in rows}


async def sessions_by_accounts(
    session: ReadSession, account_ids: Sequence[UUID], now: Callable[[], datetime], window: pages.Window
) -> dict[UUID, pages.Slice[tuple[UUID, AuthSession]]]:
    """The same window of each account's sessions that are live when it is read, newest first. One statement."""
    statement, row = select(AuthSession).where(AuthSession.expires_at > now()), AuthSession.__table__.c
    return await pages.read_below(
        session, statement, [row.created_at, row.id], window, row.account_id, account_ids, is_descending=True
    )


async def count_sessions(
    session: ReadSession, account_ids: Sequence[UUID], now: Callable[[], datetime]
) -> dict[UUID, int]:
    """How many live sessions each account has. One statement."""
    statement = select().select_from(AuthSession).where(AuthSession.expires_at > now())
    return await pages.count_below(session, statement, AuthSession.__table__.c.account_id, account_ids)


async def replace_one_time_token(session: Session, token: OneTimeToken) -> None:
    """Store the token of a link in place of the account's earlier one for the same purpose."""
    earlier = (OneTimeToken.account_id == token.account_id, OneTimeToken.purpose == token.purpose)
    await session.execute(delete(OneTimeToken).where(*earlier))
    session.add(token)
    await session.flush()


async def forget_links(session: Session, account_id: UUID) -> None:
    """Drop every link that was sent for an account."""
    await session.execute(delete(OneTimeToken).where(OneTimeToken.account_id == account_id))


async def last_sent_at(session: ReadSession, account_id: UUID, purpose: TokenPurpose) -> datetime | None:
    """When a link for this purpose was last made."""
    statement = select(func.max(OneTimeToken.created_at))
    return await session.scalar(statement.where(OneTimeToken.account_id == account_id, OneTimeToken.purpose == purpose))


async def is_one_time_token(session: ReadSession, token_hash: bytes, purpose: TokenPurpose, now: datetime) -> bool:
    """This token of a link would be taken for a purpose."""
    wanted = (OneTimeToken.token_hash == token_hash, OneTimeToken.purpose == purpose, OneTimeToken.expires_at > now)
    return bool(await session.scalar(select(select(OneTimeToken.token_hash).where(*wanted).exists())))


async def spend_one_time_token(
    session: Session, token_hash: bytes, purposes: Sequence[TokenPurpose], now: datetime
) -> OneTimeToken | None:
    """Take the token of a link: it works once. None where it is unknown, spent or too old."""
    statement = delete(OneTimeToken).where(OneTimeToken.token_hash == token_hash, OneTimeToken.purpose.in_(purposes))
    found = (await session.scalars(statement.returning(OneTimeToken))).one_or_none()
    return found if found is not None and found.expires_at > now else None


async def signing_keys(session: ReadSession) -> Sequence[SigningKey]:
    """Every signing key, the newest first."""
    return (await session.scalars(select(SigningKey).order_by(SigningKey.created_at.desc()))).all()


async def lock_signing_keys(session: Session) -> None:
    """Keep others from adding a signing key until the transaction ends: who starts at the same time agrees on one."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SIGNING_KEYS_LOCK})


async def add_signing_key(session: Session, key: SigningKey) -> None:
    """Store a signing key."""
    session.add(key)
    await session.flush()
