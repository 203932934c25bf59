"""Deleting an account: closed at once, in one transaction; emptied by the worker, in steps that a crash cannot harm.

The ledger stays under the account's id, which then names nobody, and so does the audit log.
"""

from datetime import datetime
from uuid import UUID

import structlog

from db import ids
from db.models import TaskStatus
from db.queries import administration as administration_queries
from db.queries import deletion as queries
from db.queries import identity as identity_queries
from db.queries import parts as part_queries
from db.queries import tasks as task_queries
from db.session import Database, Session
from services import administration, audit, credits
from services.actor import Actor
from services.errors import Invalid, InvalidCredentials, NotFound, WrongState
from services.identity.port import Identity

_STEPS_MAX = 200
"""Steps of one account at a time: others wait for theirs."""

_FORGETTING = (queries.forget_deliveries, queries.forget_keys, queries.forget_notes)
"""Of each there may be millions: a step at a time."""

log = structlog.get_logger(__name__)


async def delete_account(
    db: Database,
    identity: Identity,
    actor: Actor,
    *,
    current_password: str | None,
    confirm_email: str,
    now: datetime,
) -> UUID:
    """Close the caller's account for good: the person, its sessions and its keys are gone when this returns.

    Raises:
        Invalid: the address typed once more is not the account's.
        Required, InvalidCredentials: the password is missing, wrong, or was changed meanwhile.
        WrongState: it is the last administrator's, or accounts are kept elsewhere.

    """
    actor.require(None)
    if not identity.are_accounts_kept_here:
        raise WrongState("Accounts are kept by the identity provider: ask whoever administrates it to delete yours.")
    proved = await identity.prove(actor.account_id, current_password, now)
    async with db.transaction() as session:
        # Administrators before the account, as everyone locks them.
        await administration_queries.lock_administrators(session)
        account = await administration_queries.lock_account(session, actor.account_id)
        if account is None:
            raise NotFound
        if not await identity_queries.is_in_force(session, account.id, proved):
            raise InvalidCredentials("The password was changed meanwhile.", field=("input", "currentPassword"))
        if confirm_email.strip().lower() != account.email.lower():
            raise Invalid("This is not the address of your account.", field=("input", "confirmEmail"))
        await administration.require_another(session, account)
        await queries.close(session, account.id, now)
        for forget in _FORGETTING:
            await forget(session, account.id)  # of most people all; the rest is the worker's
        await audit.record(session, "account.delete", now, actor=None, subject_id=account.global_id)
    return actor.account_id


async def remove_deleted(db: Database, now: datetime) -> int:
    """Remove what is left of deleted accounts, as far as it can go by now; how many steps that took.

    What is left of deliveries, of repeat-safe keys and of the ledger's notes goes first: there may be millions. Open
    tasks are stopped and give back what they hold, then all tasks are emptied and deleted, then the account.
    """
    async with db.read() as session:
        account_ids = await queries.waiting(session)
    return sum([await _remove(db, account_id, now) for account_id in account_ids])


async def _remove(db: Database, account_id: UUID, now: datetime) -> int:
    """Go on with one account, a transaction a step; another worker's account is left to it."""
    steps = 0
    for take_step in (_forget, _stop_a_task, _shrink):
        is_moving = True
        while is_moving and steps < _STEPS_MAX:
            async with db.transaction() as session:
                is_moving = await queries.claim(session, account_id) and await take_step(session, account_id, now)
            steps += is_moving
    return steps


async def _forget(session: Session, account_id: UUID, now: datetime) -> bool:  # noqa: ARG001 - as the other steps
    """Take a step of the first that has something left to forget; False when none has."""
    for forget in _FORGETTING:
        if await forget(session, account_id):
            return True
    return False


async def _stop_a_task(session: Session, account_id: UUID, now: datetime) -> bool:
    """Stop an open task; False when there is none."""
    task_id = await queries.open_task(session, account_id)
    task = await task_queries.lock(session, task_id) if task_id is not None else None
    if task is None:
        return False
    if task.is_open:
        await part_queries.stop_all(session, task.id, now)
        await task_queries.finish(session, task.id, TaskStatus.CANCELED, now)
        await credits.release(session, task, now)
    return True


async def _shrink(session: Session, account_id: UUID, now: datetime) -> bool:
    """Remove a piece of a task, or the empty account; False when a task has still to be stopped upstream."""
    task_id = await queries.ended_task(session, account_id)
    if task_id is None:
        if await _forget(session, account_id, now):  # another worker has not got to the end of them
            return True
        is_gone = await queries.delete_account(session, account_id)
        if is_gone:
            log.info("account_removed", account_id=ids.global_id("user", account_id))
        return is_gone
    if await queries.shrink_task(session, task_id):
        await task_queries.remove(session, task_id)
    return True
