"""Where credits are taken, many at a time: spends of an account that wait for each other share a transaction.

PostgreSQL gives an account's row to one transaction after the other, each with its round trips and its write to disk.
So those that come while one waits for the row are posted with it, each with its own transaction in the ledger, its own
key and its own answer. The rules are those of every change (`services/changes.py`).
"""

import asyncio
from dataclasses import dataclass, field
from uuid import UUID

from db.models import CreditTransaction
from db.queries import ledger as queries
from db.session import Database
from services import changes
from services.changes import Change
from services.errors import IdempotencyConflict, ServiceError

_TOGETHER_MAX = 100


@dataclass(slots=True, eq=False)
class _Spend:
    change: Change
    outcome: CreditTransaction | ServiceError | None = None


@dataclass(slots=True)
class _Line:
    """The spends of one account that are not done yet, first come first."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    spends: list[_Spend] = field(default_factory=list)


class Till:
    """Takes credits of those who spend their own, for the callers of one process."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lines: dict[UUID, _Line] = {}

    async def take(self, account_id: UUID, change: Change) -> CreditTransaction:
        """Make a change in a transaction that others may share; it is committed when this returns.

        Raises:
            InsufficientCredits: fewer are available.
            IdempotencyConflict: the key was used for something else.

        """
        line = self._lines.setdefault(account_id, _Line())
        spend = _Spend(change)
        line.spends.append(spend)
        try:
            async with line.turn:
                if spend.outcome is None:
                    await self._serve(account_id, line, spend)
        finally:
            line.spends.remove(spend)
            if not line.spends:
                del self._lines[account_id]
        if isinstance(spend.outcome, CreditTransaction):
            return spend.outcome
        raise spend.outcome or RuntimeError

    async def _serve(self, account_id: UUID, line: _Line, first: _Spend) -> None:
        """Serve the first in line and who came after it; what goes wrong is the first's, and the next tries anew."""
        try:
            await self._post(account_id, line, first, _TOGETHER_MAX)
        except IdempotencyConflict:  # whose key it was is not known
            await self._post(account_id, line, first, 1)

    async def _post(self, account_id: UUID, line: _Line, first: _Spend, limit: int) -> None:
        async with self._db.transaction(acting_for=account_id) as session:
            books = await queries.lock(session, account_id, first.change.now)
            served = [spend for spend in line.spends if spend.outcome is None][:limit]
            requests = [spend.change.request for spend in served]
            await queries.read(session, books, [request.key for request in requests])
            outcomes = await changes.make(session, books, [spend.change for spend in served])
        for spend, outcome in zip(served, outcomes, strict=True):
            spend.outcome = outcome
