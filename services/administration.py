"""Administration of accounts: roles, suspension. Every act is in the audit log; there is always an administrator."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from db.models import Account, UserRole
from db.queries import accounts as account_queries
from db.queries import administration as queries
from db.queries import identity as identity_queries
from db.session import Database, Session
from services import audit, texts
from services.actor import Actor
from services.errors import Forbidden, NotFound, WrongState

REASON_CHARACTERS_MAX = 500
_USER_ID = ("input", "userId")


async def change_role(db: Database, actor: Actor, account_id: UUID | None, role: UserRole, now: datetime) -> Account:
    """Make an account a member or an administrator; the role that it has changes nothing.

    Raises:
        Forbidden: the caller is no administrator.
        NotFound: no such account.
        WrongState: an administrator cannot step down by itself.

    """
    async with db.transaction() as session:
        await _require_administrator(session, actor)
        account = await _found(session, account_id)
        if account.id == actor.account_id and role is not UserRole.ADMIN:
            raise WrongState("Another administrator has to take your role away.", field=_USER_ID)
        await _set_role(session, account, role, now, actor=actor)
    return account


async def suspend(db: Database, actor: Actor, account_id: UUID | None, reason: str, now: datetime) -> Account:
    """Close an account for the time being: its sessions end and its keys stop. Once more changes nothing.

    Tasks that run go on: they are paid for.

    Raises:
        Forbidden: the caller is no administrator.
        NotFound: no such account.
        WrongState: it is the caller's own.
        Required, TooLarge, Invalid: the reason is missing, too long or no text.

    """
    reason = texts.checked(reason, "A reason", characters_max=REASON_CHARACTERS_MAX, field=("input", "reason"))
    async with db.transaction() as session:
        await _require_administrator(session, actor)
        account = await _found(session, account_id)
        if account.id == actor.account_id:
            raise WrongState("You cannot suspend yourself.", field=_USER_ID)
        await identity_queries.end_sessions(session, account.id)
        if account.suspended_at is None:
            account.suspended_at = now
            await audit.record(session, "user.suspend", now, actor=actor, subject_id=account.global_id, reason=reason)
    return account


async def restore(db: Database, actor: Actor, account_id: UUID | None, now: datetime) -> Account:
    """Lift a suspension; without one nothing changes.

    Raises:
        Forbidden: the caller is no administrator.
        NotFound: no such account.

    """
    async with db.transaction() as session:
        await _require_administrator(session, actor)
        account = await _found(session, account_id)
        if account.suspended_at is not None:
            since = account.suspended_at.isoformat()
            account.suspended_at = None
            await audit.record(session, "user.restore", now, actor=actor, subject_id=account.global_id, since=since)
    return account


async def set_role_by_operator(db: Database, email: str, role: UserRole, now: datetime) -> Account:
    """Make the account of an address a member or an administrator, by whoever operates the service.

    Raises:
        NotFound: the address has no account.
        WrongState: it is the last administrator's.

    """
    async with db.transaction() as session:
        administrators = await queries.lock_administrators(session)
        found = await account_queries.by_email(session, email.strip())
        account = await queries.lock_account(session, found.id) if found is not None else None
        if account is None:
            raise NotFound(f"The address {email} has no account: sign up first.")
        if role is UserRole.MEMBER and [a.id for a in administrators] == [account.id]:
            raise WrongState(f"{account.email} is the last administrator: grant the role to somebody else first.")
        await _set_role(session, account, role, now, actor=None)
    return account


async def administrators(db: Database) -> Sequence[Account]:
    """Every administrator, by address."""
    async with db.read() as session:
        return await queries.administrators(session)


async def require_another(session: Session, account: Account) -> None:
    """Refuse that the last administrator goes.

    Raises:
        WrongState: nobody else could administrate the service.

    """
    if account.role is UserRole.ADMIN:
        others = [a for a in await queries.lock_administrators(session) if a.id != account.id]
        if not others:
            raise WrongState("You are the last administrator: make somebody else one first.")


async def _require_administrator(session: Session, actor: Actor) -> None:
    """Look again, under a lock: two who take each other's role away at once are not both obeyed."""
    administrators = await queries.lock_administrators(session) if actor.is_admin else ()
    if actor.account_id not in {account.id for account in administrators}:
        raise Forbidden("Only an administrator may do this.")


async def _found(session: Session, account_id: UUID | None) -> Account:
    account = await queries.lock_account(session, account_id) if account_id is not None else None
    if account is None:
        raise NotFound("No such account.", field=_USER_ID)
    return account


async def _set_role(session: Session, account: Account, role: UserRole, now: datetime, *, actor: Actor | None) -> None:
    if account.role is role:
        return
    before, account.role = account.role, role
    await audit.record(
        session, "user.role", now, actor=actor, subject_id=account.global_id, before=before.value, after=role.value
    )
