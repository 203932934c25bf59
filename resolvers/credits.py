"""Balances and their ledger, and credits moved by hand."""

from datetime import datetime
from typing import Any, Protocol, Unpack
from uuid import UUID

from db import ids, models
from db.models import ApiKeyScope, CreditTransactionKind
from db.queries import credits as queries
from db.queries.credits import TransactionConditions
from resolvers import filters, outcomes, pages, purchases, tasks
from resolvers.context import Context, Info
from services import billing, credits
from services.errors import NotFound


class Filter(Protocol):
    """The shape of a CreditTransactionFilter."""

    kind: list[CreditTransactionKind] | None
    created_after: datetime | None
    created_before: datetime | None


async def own(info: Info) -> models.CreditAccount:
    """The caller's balance."""
    return await _balance(info.context, info.context.require(ApiKeyScope.CREDITS_READ).account_id)


async def of_account(info: Info, root: models.Account) -> models.CreditAccount | None:
    """An account's balance, for its owner and for administrators."""
    actor = info.context.require(ApiKeyScope.CREDITS_READ)
    return await _balance(info.context, root.id) if actor.reaches(root.id) else None


async def left(info: Info, root: outcomes.Outcome) -> models.CreditAccount | None:
    """The balance after a mutation: of the account that it changed, else of the caller; None when nothing was done."""
    actor = info.context.actor
    if root.user_errors or actor is None:
        return None
    transaction: models.CreditTransaction | None = getattr(root, "transaction", None)
    account_id = transaction.account_id if transaction is not None else actor.account_id
    info.context.load.credit_account.clear(account_id)
    return await _balance(info.context, account_id)


async def _balance(context: Context, account_id: UUID) -> models.CreditAccount:
    found = await context.load.credit_account.load(account_id)
    return found or credits.nothing(account_id, context.parts.now())


async def by_uuid(context: Context, transaction_id: UUID | None) -> models.CreditTransaction | None:
    """One entry of the ledger that the caller may see."""
    return await context.reached(context.load.credit_transaction, transaction_id, ApiKeyScope.CREDITS_READ)


async def transactions(
    info: Info,
    root: models.CreditAccount,
    filter: Filter | None = None,
    **at: Unpack[pages.Place],
) -> pages.Page[models.CreditTransaction]:
    """The ledger of an account, newest first."""
    window = pages.window(**at, decode=lambda values: (_seq(values),))
    conditions = _conditions(filter)
    load, acting_for = info.context.load, info.context.require(ApiKeyScope.CREDITS_READ).acting_for
    found = await load.below(queries.by_owners, conditions, window, acting_for=acting_for).load(root.account_id)
    edges = [pages.Edge((row.seq,), row) for _, row in found.rows]

    async def count() -> int:
        return await load.below(queries.counts, conditions, acting_for=acting_for).load(root.account_id)

    return pages.Page(edges, found.has_next, found.has_previous, count)


def _seq(values: list[Any]) -> int:
    (seq,) = values
    if not isinstance(seq, int) or not 0 <= seq < 1 << 63:
        raise ValueError
    return seq


def _conditions(given: Filter | None) -> TransactionConditions:
    if given is None:
        return TransactionConditions()
    return TransactionConditions(filters.choices("kind", given.kind), given.created_after, given.created_before)


async def actor(info: Info, root: models.CreditTransaction) -> models.Account | None:
    """Who moved the credits; None for the service itself, and for whom the caller may not see: an administrator."""
    caller = info.context.actor
    if root.actor_id is None or caller is None or not caller.reaches(root.actor_id):
        return None
    return await info.context.load.account.load(root.actor_id)


async def purchase(info: Info, root: models.CreditTransaction) -> models.Purchase | None:
    """The purchase that brought the credits, or took them back."""
    return await purchases.by_uuid(info.context, root.purchase_id) if root.purchase_id is not None else None


async def task(info: Info, root: models.CreditTransaction) -> models.Task | None:
    """The task that was paid for."""
    return await tasks.by_uuid(info.context, root.task_id) if root.task_id is not None else None


def _account_id(user_id: str | None) -> UUID | None:
    if user_id is None:
        return None
    account_id = ids.parse("user", user_id)
    if account_id is None:
        raise NotFound("No such account.", field=("input", "userId"))
    return account_id


@outcomes.gives("transaction")
async def add_tokens(
    info: Info, *, amount: int, note: str, idempotency_key: str, user_id: str | None = None
) -> models.CreditTransaction:
    """Add credits to an account."""
    parts = info.context.parts
    transaction = await billing.add(
        parts.db,
        info.context.require(None),
        account_id=_account_id(user_id),
        amount=amount,
        note=note,
        idempotency_key=idempotency_key,
        is_mock=parts.is_billing_mock,
        now=parts.now(),
    )
    parts.announcer.changed([transaction.account_id])
    return transaction


@outcomes.gives("transaction")
async def deduct_tokens(
    info: Info, *, amount: int, note: str, idempotency_key: str, user_id: str | None = None
) -> models.CreditTransaction:
    """Take credits from an account."""
    parts = info.context.parts
    transaction = await billing.take(
        parts.db,
        parts.till,
        info.context.require(ApiKeyScope.CREDITS_DEDUCT),
        account_id=_account_id(user_id),
        amount=amount,
        note=note,
        idempotency_key=idempotency_key,
        now=parts.now(),
    )
    parts.announcer.changed([transaction.account_id])
    return transaction
