"""Credits moved by hand: added and taken by the people who may, with a reason in the ledger."""

from datetime import datetime
from uuid import UUID

from db import ids
from db.models import ApiKeyScope, CreditTransaction
from db.queries import accounts as account_queries
from db.session import Database, Session
from services import audit, credits, idempotency, texts
from services.actor import Actor
from services.changes import Request
from services.errors import Forbidden, Invalid, NotFound
from services.till import Till

AMOUNT_MAX = 10_000_000
NOTE_CHARACTERS_MAX = 500


async def add(
    db: Database,
    actor: Actor,
    *,
    account_id: UUID | None,
    amount: int,
    note: str,
    idempotency_key: str,
    is_mock: bool,
    now: datetime,
) -> CreditTransaction:
    """Add credits: an administrator to any account, its owner only where billing is a mock. Never by a key.

    Raises:
        Forbidden: the caller may not add credits.
        NotFound: no such account, or another's.
        Invalid, Required, TooLarge: amount, note or key are not acceptable.
        IdempotencyConflict: the key was used with other input.

    """
    actor.require(None)
    if not (actor.is_admin or is_mock):
        raise Forbidden("Only an administrator adds credits.")
    request = _request(actor, "addTokens", account_id, amount, note, idempotency_key)
    async with db.transaction(actor.acting_for) as session:
        chosen = await _reached(session, actor, account_id)
        transaction = await credits.grant(session, chosen, amount, request, now)
        await _record(session, "credits.add", actor, transaction, now)
    return transaction


async def take(
    db: Database,
    till: Till,
    actor: Actor,
    *,
    account_id: UUID | None,
    amount: int,
    note: str,
    idempotency_key: str,
    now: datetime,
) -> CreditTransaction:
    """Take credits: from one's own account for a service used, from any by an administrator.

    Raises:
        NotFound: no such account, or another's.
        Invalid, Required, TooLarge: amount, note or key are not acceptable.
        InsufficientCredits: fewer are available.
        IdempotencyConflict: the key was used with other input.

    """
    actor.require(ApiKeyScope.CREDITS_DEDUCT)
    request = _request(actor, "deductTokens", account_id, amount, note, idempotency_key)
    if account_id in {None, actor.account_id} and not actor.is_admin:
        return await till.take(actor.account_id, credits.deduction(amount, request, now))
    async with db.transaction(actor.acting_for) as session:
        chosen = await _reached(session, actor, account_id)
        transaction = await credits.deduct(session, chosen, amount, request, now)
        await _record(session, "credits.deduct", actor, transaction, now)
    return transaction


async def welcome(session: Session, account_id: UUID, amount: int, now: datetime) -> None:
    """Give a new account its first credits, once."""
    if amount:
        request = Request(f"welcome:{account_id}", (account_id,), note="Welcome")
        await credits.grant(session, account_id, amount, request, now)


async def _record(session: Session, action: str, actor: Actor, transaction: CreditTransaction, now: datetime) -> None:
    """Note what an administrator moves, once: a repeated request has the transaction, and so the event, of the first.

    What people and their programs pay from their own account is no act of administration.
    """
    if actor.is_admin:
        await audit.record(
            session,
            action,
            now,
            actor=actor,
            subject_id=ids.global_id("user", transaction.account_id),
            event_id=transaction.id,
            amount=transaction.amount,
            balance_after=transaction.balance_after,
        )


async def _reached(session: Session, actor: Actor, account_id: UUID | None) -> UUID:
    chosen = account_id or actor.account_id
    is_own = chosen == actor.account_id
    if not is_own and not (actor.is_admin and await account_queries.by_ids(session, [chosen])):
        raise NotFound("No such account.", field=("input", "userId"))
    return chosen


def _request(
    actor: Actor, operation: str, account_id: UUID | None, amount: int, note: str, idempotency_key: str
) -> Request:
    if not 1 <= amount <= AMOUNT_MAX:
        raise Invalid(f"An amount is 1 to {AMOUNT_MAX:,}.", field=("input", "amount"))
    note = texts.checked(note, "A note", characters_max=NOTE_CHARACTERS_MAX, field=("input", "note"))
    return Request(
        f"{operation}:{actor.account_id}:{idempotency.checked(idempotency_key)}",
        (account_id or actor.account_id, amount, note),
        note=note,
        actor_id=actor.account_id,
    )
