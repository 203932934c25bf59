"""How credits move: each movement changes an account's books in memory and gives the entries that tell of it."""

from collections.abc import Iterator
from datetime import datetime

from db import ids
from db.models import Ledger
from db.queries.ledger import Books, Entry, Hold, Lot
from services.errors import InsufficientCredits


def available(books: Books, now: datetime) -> int:
    """Credits that may be used: owned, not held, not past their date."""
    return sum(lot.remaining - lot.held for lot in books.lots if not _is_expired(lot, now))


def give(books: Books, amount: int, source: Ledger, *, priority: int, expires_at: datetime | None) -> list[Entry]:
    """Add credits from a system account: a debt is paid first, the rest is a new lot."""
    paid = min(amount, books.debt)
    books.debt -= paid
    rest = amount - paid
    lot = Lot(ids.new_uuid(), rest, rest, 0, priority, expires_at, is_new=True, is_changed=True) if rest else None
    lot_id = lot.id if lot else None
    entries = [Entry(source, lot_id, -amount)]
    if paid:
        entries.append(Entry(Ledger.DEBT, None, paid))
    if lot:
        books.lots.append(lot)
        books.balance += rest
        entries.append(Entry(Ledger.USER, lot_id, rest))
    return entries


def take(books: Books, amount: int, into: Ledger, now: datetime) -> list[Entry]:
    """Take free credits for good.

    Raises:
        InsufficientCredits: there are not so many.

    """
    entries = []
    for lot, part in _drawn(books, amount, now):
        lot.remaining -= part
        entries += [Entry(Ledger.USER, lot.id, -part), Entry(into, lot.id, part)]
    books.balance -= amount
    return entries


def hold(books: Books, amount: int, held: Hold, now: datetime) -> list[Entry]:
    """Set free credits aside.

    Raises:
        InsufficientCredits: there are not so many.

    """
    entries = []
    for lot, part in _drawn(books, amount, now):
        lot.held += part
        held.lots[lot.id] = part
        entries += [Entry(Ledger.USER, lot.id, -part), Entry(Ledger.HELD, lot.id, part)]
    books.held += amount
    return entries


def settle(books: Books, held: Hold, amount: int) -> list[Entry]:
    """Take credits that were set aside for good; a lot may have passed its date meanwhile.

    Raises:
        ValueError: more than is left of the hold, which is a fault of ours.

    """
    if amount > held.rest:
        raise ValueError(f"{amount} credits were to be settled of a hold with {held.rest} left")
    entries = []
    for lot, part in _of_hold(books, held, amount):
        lot.remaining -= part
        entries += [Entry(Ledger.HELD, lot.id, -part), Entry(Ledger.REVENUE, lot.id, part)]
    held.settled += amount
    books.held -= amount
    books.balance -= amount
    return entries


def release(books: Books, held: Hold) -> list[Entry]:
    """Free what is left of a hold."""
    rest = held.rest
    entries = []
    for lot, part in _of_hold(books, held, rest):
        entries += [Entry(Ledger.HELD, lot.id, -part), Entry(Ledger.USER, lot.id, part)]
    held.released += rest
    books.held -= rest
    return entries


def expire(books: Books, now: datetime) -> list[Entry]:
    """Take away what is free and past its date."""
    entries = []
    for lot in books.lots:
        part = lot.remaining - lot.held
        if part and _is_expired(lot, now):
            lot.remaining -= part
            lot.is_changed = True
            books.balance -= part
            entries += [Entry(Ledger.USER, lot.id, -part), Entry(Ledger.BREAKAGE, lot.id, part)]
    return entries


def first_expired(books: Books, now: datetime) -> Lot | None:
    """The first lot with something free past its date; None when there is none."""
    return next((lot for lot in books.lots if lot.remaining > lot.held and _is_expired(lot, now)), None)


def charge_back(books: Books, amount: int, now: datetime) -> list[Entry]:
    """Take back what a payment had paid for; what was spent of it already becomes a debt, never a balance below 0."""
    there = min(amount, available(books, now))
    entries = take(books, there, Ledger.CASH, now)
    if missing := amount - there:
        books.debt += missing
        entries += [Entry(Ledger.DEBT, None, -missing), Entry(Ledger.CASH, None, missing)]
    return entries


def payable(books: Books, now: datetime) -> int:
    """What of a debt could be paid with free credits: something only when held ones have come back since."""
    return min(books.debt, available(books, now))


def pay_debt(books: Books, now: datetime) -> list[Entry]:
    """Pay a debt with what is free."""
    amount = payable(books, now)
    books.debt -= amount
    taken = [entry for entry in take(books, amount, Ledger.DEBT, now) if entry.ledger is Ledger.USER]
    return [*taken, Entry(Ledger.DEBT, None, amount)]


def _is_expired(lot: Lot, now: datetime) -> bool:
    return lot.expires_at is not None and lot.expires_at <= now


def _drawn(books: Books, amount: int, now: datetime) -> Iterator[tuple[Lot, int]]:
    """Lots, in the order in which they are used up, with what each gives."""
    there = available(books, now)
    if amount > there:
        raise InsufficientCredits(f"This takes {amount:,} credits; {there:,} are available.")
    for lot in books.lots:
        part = 0 if _is_expired(lot, now) else min(amount, lot.remaining - lot.held)
        if part:
            amount -= part
            lot.is_changed = True
            yield lot, part


def _of_hold(books: Books, held: Hold, amount: int) -> Iterator[tuple[Lot, int]]:
    """Lots of a hold, in the same order, with what each gives of what it holds."""
    for lot in books.lots:
        part = min(amount, held.lots.get(lot.id, 0))
        if part:
            amount -= part
            held.lots[lot.id] -= part
            lot.held -= part
            lot.is_changed = True
            yield lot, part
