"""How a change of credits is made: repeat-safe by its key, planned on the account's books, posted with its like."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db import ids
from db.models import CreditTransaction, CreditTransactionKind
from db.queries import ledger as queries
from db.queries.ledger import Books, Draft, Entry, KeyTakenError
from db.session import Session
from services import ledger, webhooks
from services.errors import IdempotencyConflict, ServiceError

CREDITS_LOW_BELOW = 100
"""An account whose available credits fall below this is told so, once each time that they do."""


@dataclass(frozen=True, slots=True)
class Request:
    """What asks for a change: the key makes it repeat-safe, the rest tells of it in the ledger."""

    key: str
    asked: tuple[object, ...]
    note: str | None = None
    actor_id: UUID | None = None
    purchase_id: UUID | None = None
    external_ref: str | None = None

    @property
    def hash(self) -> bytes:
        """Of what the client asked for: the same key with something else is refused."""
        return hashlib.sha256("\0".join(map(str, self.asked)).encode("utf-8", "replace")).digest()


@dataclass(frozen=True, slots=True)
class Change:
    """One change of an account: `move` changes its books and tells the entries, or raises and leaves them."""

    kind: CreditTransactionKind
    request: Request
    move: Callable[[Books], list[Entry]]
    now: datetime
    task_id: UUID | None = None


async def make(session: Session, books: Books, changes: Sequence[Change]) -> list[CreditTransaction | ServiceError]:
    """Make changes one after the other and post them together; what one of them may not do leaves the others alone.

    What is past its date is taken away first.

    Raises:
        IdempotencyConflict: one of the keys has just been used for another account; nothing was posted.

    """
    now, there = max(change.now for change in changes), books.balance - books.held
    expired = _expired(books, now)
    drafts = list(expired)
    outcomes: list[CreditTransaction | ServiceError] = []
    for change in changes:
        try:
            outcomes.append(_posted(books, change.request) or _draw_up(books, change, drafts))
        except ServiceError as error:
            outcomes.append(error)
    if len(drafts) > len(expired):
        await _post(session, books, drafts, now, there)
    return outcomes


def _posted(books: Books, request: Request) -> CreditTransaction | None:
    """The transaction that a request has led to already."""
    for posted in books.posted:
        if posted.idempotency_key == request.key:
            if posted.request_hash != request.hash:
                raise IdempotencyConflict(field=("input", "idempotencyKey"))
            return posted
    refs = (one for one in books.posted if one.external_ref is not None and one.external_ref == request.external_ref)
    return next(refs, None)


def _draw_up(books: Books, change: Change, drafts: list[Draft]) -> CreditTransaction:
    """Change the books and add the transaction that tells of it."""
    request = change.request
    balance, held = books.balance, books.held
    entries = change.move(books)
    transaction = CreditTransaction(
        id=ids.new_uuid(),
        account_id=books.account_id,
        kind=change.kind,
        amount=books.balance - balance,
        reserved_amount=books.held - held,
        balance_after=books.balance,
        note=request.note,
        actor_id=request.actor_id,
        task_id=change.task_id,
        purchase_id=request.purchase_id,
        external_ref=request.external_ref,
        idempotency_key=request.key,
        request_hash=request.hash,
        created_at=change.now,
    )
    books.posted.append(transaction)
    drafts.append(Draft(transaction, entries))
    return transaction


def _expired(books: Books, now: datetime) -> list[Draft]:
    """The transaction that takes away what is past its date; none when nothing is."""
    drafts: list[Draft] = []
    lot = ledger.first_expired(books, now)
    if lot is not None:
        request = Request(f"expire:{lot.id}:{lot.remaining}", (books.account_id,))
        kind = CreditTransactionKind.EXPIRED
        _draw_up(books, Change(kind, request, lambda books: ledger.expire(books, now), now), drafts)
    return drafts


async def sweep(session: Session, books: Books, now: datetime) -> None:
    """Take away what is past its date."""
    there = books.balance - books.held
    if drafts := _expired(books, now):
        await _post(session, books, drafts, now, there)


async def _post(session: Session, books: Books, drafts: Sequence[Draft], now: datetime, there: int) -> None:
    """Post, and tell where that leaves little: of `there` credits, which were not held before."""
    try:
        await queries.post(session, books, drafts, now)
    except KeyTakenError as error:
        raise IdempotencyConflict(field=("input", "idempotencyKey")) from error
    left = books.balance - books.held
    if left < CREDITS_LOW_BELOW <= there:
        await webhooks.credits_low(session, books.account_id, left, now)
