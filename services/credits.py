"""Credits: what verdicts cost, and every way in which a balance changes. Each change is repeat-safe by its key.

Lock order: idempotency key, task, then the account's row of credits, then its holds and lots. Whoever changes credits
holds the account's row; it is taken last and for as short as can be, since everybody of an account waits for it.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from db import ids
from db.models import BALANCE_MAX, CreditAccount, CreditTransaction, CreditTransactionKind, Ledger, Task, Verdict
from db.queries import credits as credit_queries
from db.queries import ledger as queries
from db.queries.ledger import Books, Entry, Hold
from db.session import Database, Session
from services import changes, ledger
from services.actor import Actor
from services.changes import Change, Request
from services.errors import InsufficientCredits, Invalid, ServiceError

POLICIES: Mapping[int, Mapping[Verdict, int]] = MappingProxyType(
    {
        1: {
            Verdict.EXISTS: 1,
            Verdict.NOT_EXISTS: 1,
            Verdict.CATCHALL: 1,
            Verdict.UNKNOWN: 0,
            Verdict.INVALID_SYNTAX: 0,
        }
    }
)
"""Credits by verdict, 0 or 1. A version is never changed: tasks name the one that they were made under."""
POLICY = 1
"""The version for new tasks."""

PRIORITY = 50
_EXPIRY_ACCOUNTS = 100
_SOURCES = {
    CreditTransactionKind.PURCHASED: Ledger.CASH,
    CreditTransactionKind.GRANTED: Ledger.PROMOTION,
    CreditTransactionKind.REFUNDED: Ledger.REVENUE,
}


def chargeable(policy: int | None) -> frozenset[Verdict]:
    """The verdicts that cost a credit under a policy."""
    return frozenset(verdict for verdict, cost in POLICIES[policy or POLICY].items() if cost)


def nothing(account_id: UUID, now: datetime) -> CreditAccount:
    """The balance of an account that never had a credit."""
    return CreditAccount(account_id=account_id, balance=0, held=0, debt=0, updated_at=now)


async def grant(
    session: Session,
    account_id: UUID,
    amount: int,
    request: Request,
    now: datetime,
    *,
    kind: CreditTransactionKind = CreditTransactionKind.GRANTED,
    priority: int = PRIORITY,
    expires_at: datetime | None = None,
) -> CreditTransaction:
    """Give credits: granted, purchased or refunded.

    Raises:
        Invalid: the balance would grow beyond what can be told.
        IdempotencyConflict: the key was used for something else.

    """

    def move(books: Books) -> list[Entry]:
        if books.balance + amount > BALANCE_MAX:
            raise Invalid(f"A balance is at most {BALANCE_MAX:,}.", field=("input", "amount"))
        return ledger.give(books, amount, _SOURCES[kind], priority=priority, expires_at=expires_at)

    return await _change(session, account_id, Change(kind, request, move, now))


async def deduct(
    session: Session,
    account_id: UUID,
    amount: int,
    request: Request,
    now: datetime,
    *,
    kind: CreditTransactionKind = CreditTransactionKind.DEDUCTED,
) -> CreditTransaction:
    """Take free credits, for a service used (DEDUCTED) or for a verdict (SPENT).

    Raises:
        InsufficientCredits: fewer are available.
        IdempotencyConflict: the key was used for something else.

    """
    return await _change(session, account_id, deduction(amount, request, now, kind))


def deduction(
    amount: int, request: Request, now: datetime, kind: CreditTransactionKind = CreditTransactionKind.DEDUCTED
) -> Change:
    """Taking free credits, as a change that is yet to be made."""
    return Change(kind, request, lambda books: ledger.take(books, amount, Ledger.REVENUE, now), now)


async def charge_back(
    session: Session, account_id: UUID, amount: int, request: Request, now: datetime
) -> CreditTransaction:
    """Take back what a payment had paid for; what is not there any more becomes a debt."""
    kind = CreditTransactionKind.CHARGED_BACK
    change = Change(kind, request, lambda books: ledger.charge_back(books, amount, now), now)
    return await _change(session, account_id, change)


async def hold(session: Session, task: Task, amount: int, now: datetime) -> None:
    """Set credits aside for a task, whose row the caller holds.

    Raises:
        InsufficientCredits: fewer are available.

    """
    task.charge_policy = POLICY
    if not amount:
        return
    held = Hold(ids.new_uuid(), task.id, amount, 0, 0, {})
    request = Request(f"hold:{task.id}{_run(task)}", (task.id, amount))
    kind = CreditTransactionKind.RESERVED
    change = Change(kind, request, lambda books: ledger.hold(books, amount, held, now), now, task.id)
    await _change(session, task.account_id, change, held=held)


async def settle(session: Session, task: Task, amount: int, now: datetime) -> None:
    """Pay for new verdicts out of a task's hold. The caller holds the task's row, as it was before them.

    The key names how many verdicts are paid for with this batch. Unlike a cursor, which turns back when a part is made
    again, that only grows: no verdict can be paid for twice.
    """
    if task.charge_policy is None or not amount:
        return
    key = f"settle:{task.id}:{task.chargeable_count + amount}"
    books = await queries.open_books(session, task.account_id, now, keys=[key], task_id=task.id)
    held = books.hold
    if books.posted:  # the batch has come again, perhaps after the last of the hold was paid
        return
    if held is None:
        raise ValueError(f"{amount} credits were to be settled of task {task.id}, which has no hold")
    request, kind = Request(key, (task.id, amount)), CreditTransactionKind.SPENT
    change = Change(kind, request, lambda books: ledger.settle(books, held, amount), now, task.id)
    await _change(session, task.account_id, change, held=held, books=books)


async def release(session: Session, task: Task, now: datetime) -> None:
    """Free what is left of a task's hold, once it has ended; what is past its date by now is gone.

    A payment may have been taken back while the credits that it had paid for were held: they pay for that first.
    """
    if task.charge_policy is None:
        return
    key = f"release:{task.id}{_run(task)}"
    books = await queries.open_books(session, task.account_id, now, keys=[key], task_id=task.id)
    held = books.hold
    if held is None or not held.rest:
        return
    request, kind = Request(key, (task.id,)), CreditTransactionKind.RELEASED
    change = Change(kind, request, lambda books: ledger.release(books, held), now, task.id)
    await _change(session, task.account_id, change, held=held, books=books)
    if ledger.payable(books, now):
        request = Request(f"debt:{held.id}", (held.id,), note="Held while the payment for them was taken back")
        kind = CreditTransactionKind.CHARGED_BACK
        debt = Change(kind, request, lambda books: ledger.pay_debt(books, now), now)
        await _change(session, task.account_id, debt, books=books)
    await changes.sweep(session, books, now)


def _run(task: Task) -> str:
    """What tells a task's later runs from its first in keys: each run has a hold of its own."""
    return f":{task.retry_count}" if task.retry_count else ""


async def expire_due(db: Database, now: datetime) -> int:
    """Take away free credits past their date, an account a transaction; how many accounts those were."""
    async with db.read() as session:
        account_ids = await credit_queries.with_expired_lots(session, now, limit=_EXPIRY_ACCOUNTS)
    for account_id in account_ids:
        async with db.transaction() as writing:
            await changes.sweep(writing, await queries.open_books(writing, account_id, now), now)
    return len(account_ids)


async def faults(db: Database) -> list[str]:
    """What is wrong with the whole ledger, in words; nothing, as long as it is sound."""
    async with db.read() as session:
        found = await credit_queries.violations(session)
    return [f"invariant {number}: {problem} ({subject_id})" for number, problem, subject_id in found]


async def require(db: Database, actor: Actor, amount: int, now: datetime) -> None:
    """Refuse what a caller has no credits for, before work is done for it.

    Raises:
        InsufficientCredits: fewer are available.

    """
    async with db.read(actor.acting_for) as session:
        found = await credit_queries.by_accounts(session, [actor.account_id])
    account = found.get(actor.account_id) or nothing(actor.account_id, now)
    if account.available < amount:
        raise InsufficientCredits(f"This takes {amount:,} credits; {account.available:,} are available.")


async def _change(
    session: Session, account_id: UUID, change: Change, *, held: Hold | None = None, books: Books | None = None
) -> CreditTransaction:
    """Change an account's credits once: a repeated request gives the first transaction again."""
    request = change.request
    if books is None:
        refs = [request.external_ref] if request.external_ref is not None else []
        books = await queries.open_books(session, account_id, change.now, keys=[request.key], external_refs=refs)
    is_repeated = bool(books.posted)
    (outcome,) = await changes.make(session, books, [change])
    if isinstance(outcome, ServiceError):
        raise outcome
    if held is not None and not is_repeated:
        await queries.write_hold(session, books, held, change.now)
    return outcome
