"""Every operation of the ledger, in any order and at once, against a model that knows each credit by itself."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import text

from db import ids
from db.models import CreditTransaction, CreditTransactionKind, Task
from db.queries import credits as queries
from db.session import Database
from services import credits
from services.changes import Request
from services.errors import IdempotencyConflict, InsufficientCredits
from services.till import Till
from tests.conftest import empty
from tests.services.ledger_model import LedgerModel

NOW = datetime(2026, 1, 31, tzinfo=UTC)
WHAT = ("till", "till", "deduct", "hold", "settle", "release", "grant", "charge back")


@dataclass
class Client:
    """One of those who change credits at the same time."""

    key: str
    """Of the transaction that tells of it."""
    work: Callable[[], Awaitable[Any]]
    applied: Callable[[], Any]
    """What it does to the model, once its turn has come."""
    amount: int = 0
    """Free credits without which it is refused."""


class LedgerMachine(LedgerModel, RuleBasedStateMachine):
    """One account, its credits as a list of objects, and the same in PostgreSQL.

    What is drawn never depends on the state: who is served first among many may differ when an example runs again.
    """

    loop: asyncio.Runner
    db: Database
    till: Till

    def __init__(self) -> None:
        super().__init__(NOW)
        self.account_id = ids.new_uuid()
        self.in_hand: set[UUID] = set()
        self.last: tuple[Any, Request, CreditTransaction] | None = None

    def run(self, operation: Any, *given: Any, **more: Any) -> Any:
        async def work() -> Any:
            async with self.db.transaction() as session:
                return await operation(session, *given, **more)

        return self.loop.run(work())

    def request(self, *asked: object) -> Request:
        return Request(f"machine:{ids.new_uuid()}", asked)

    @rule(
        amount=strategies.integers(1, 12),
        priority=strategies.sampled_from((10, 50)),
        hours=strategies.integers(0, 5),
        kind=strategies.sampled_from(
            (CreditTransactionKind.PURCHASED, CreditTransactionKind.GRANTED, CreditTransactionKind.REFUNDED)
        ),
    )
    def grant(self, amount: int, priority: int, hours: int, kind: CreditTransactionKind) -> None:
        expires_at = self.now + timedelta(hours=hours) if hours else None
        request = self.request(amount)
        more = {"priority": priority, "expires_at": expires_at, "kind": kind}
        posted = self.run(credits.grant, self.account_id, amount, request, self.now, **more)
        self.given(amount, priority, expires_at)
        self.last = (credits.grant, request, posted)

    @rule(amount=strategies.integers(1, 12))
    def deduct(self, amount: int) -> None:
        request = self.request(amount)
        if self.draw(amount) is None:
            with pytest.raises(InsufficientCredits):
                self.run(credits.deduct, self.account_id, amount, request, self.now)
            return
        self.last = (credits.deduct, request, self.run(credits.deduct, self.account_id, amount, request, self.now))
        self.taken(amount)

    @rule(amount=strategies.integers(1, 12))
    def hold(self, amount: int) -> None:
        task = Task(id=ids.new_uuid(), account_id=self.account_id, chargeable_count=0)
        if self.draw(amount) is None:
            with pytest.raises(InsufficientCredits):
                self.run(credits.hold, task, amount, self.now)
            return
        self.run(credits.hold, task, amount, self.now)
        self.held(task, amount)

    @rule(which=strategies.integers(0, 9), amount=strategies.integers(1, 12))
    def settle(self, which: int, amount: int) -> None:
        if not self.tasks:
            return
        task = self.tasks[which % len(self.tasks)]
        there = self.of_task(task)
        if amount > len(there):
            with pytest.raises(ValueError, match="were to be settled"):
                self.run(credits.settle, task, amount, self.now)
            return
        for _ in range(2):  # the second is a batch that comes again
            self.run(credits.settle, task, amount, self.now)
        self.settled(task, there[:amount])

    @rule(which=strategies.integers(0, 9))
    def release(self, which: int) -> None:
        if not self.tasks:
            return
        task = self.tasks[which % len(self.tasks)]
        there = self.of_task(task)
        for _ in range(2):
            self.run(credits.release, task, self.now)
        self.freed(there)

    @rule(amount=strategies.integers(1, 12))
    def charge_back(self, amount: int) -> None:
        request = self.request(amount)
        self.last = (
            credits.charge_back,
            request,
            self.run(credits.charge_back, self.account_id, amount, request, self.now),
        )
        self.taken_back(amount)

    def work_of(self, operation: Any, *given: Any) -> Callable[[], Awaitable[Any]]:
        """An operation of a client, in a transaction of its own."""

        async def work() -> None:
            async with self.db.transaction() as session:
                await operation(session, *given)

        return work

    def client(self, what: str, amount: int) -> Client:
        """Somebody who does one thing; what a task holds is moved by one of them alone, as its row is locked."""
        request = self.request(amount)
        tasks = [task for task in self.tasks if self.of_task(task) and task.id not in self.in_hand]

        if what in {"settle", "release"} and tasks:
            task = tasks[0]
            self.in_hand.add(task.id)
            there = self.of_task(task)
            if what == "release":
                work = self.work_of(credits.release, task, self.now)
                return Client(f"release:{task.id}", work, lambda: self.freed(there))
            part = min(amount, len(there))
            key = f"settle:{task.id}:{task.chargeable_count + part}"
            return Client(
                key, self.work_of(credits.settle, task, part, self.now), lambda: self.settled(task, there[:part])
            )
        if what == "hold":
            made = Task(id=ids.new_uuid(), account_id=self.account_id, chargeable_count=0)
            work = self.work_of(credits.hold, made, amount, self.now)
            return Client(f"hold:{made.id}", work, lambda: self.held(made, amount), amount)
        given = (self.account_id, amount, request, self.now)
        if what == "grant":
            work = self.work_of(credits.grant, *given)
            return Client(request.key, work, lambda: self.given(amount, credits.PRIORITY, None))
        if what == "charge back":
            return Client(request.key, self.work_of(credits.charge_back, *given), lambda: self.taken_back(amount))
        if what == "deduct":
            work = self.work_of(credits.deduct, *given)
            return Client(request.key, work, lambda: self.taken(amount), amount)
        deduction = credits.deduction(amount, request, self.now)
        return Client(
            request.key, lambda: self.till.take(self.account_id, deduction), lambda: self.taken(amount), amount
        )

    @rule(
        asked=strategies.lists(
            strategies.tuples(
                strategies.sampled_from(
                    ("till", "till", "deduct", "hold", "settle", "release", "grant", "charge back")
                ),
                strategies.integers(1, 12),
            ),
            min_size=2,
            max_size=6,
        )
    )
    def at_once(self, asked: Sequence[tuple[str, int]]) -> None:
        """Many at the same time: the model follows in the order in which the ledger says that they came."""
        self.in_hand.clear()
        clients = [self.client(what, amount) for what, amount in asked]
        outcomes, order = self.loop.run(self.all_of(clients))
        by_key = {one.key: one for one in clients}
        for key in order:
            by_key[key].applied()
        free = len([one for one in self.credits if one.task_id is None and not self.is_expired(one)])
        gave = any(what in {"grant", "release"} for what, _ in asked)
        for one, outcome in zip(clients, outcomes, strict=True):
            assert (one.key in order) == (not isinstance(outcome, BaseException)), outcome
            if isinstance(outcome, BaseException):
                assert isinstance(outcome, InsufficientCredits)
                assert gave or one.amount > free  # without a gain in between there were too few until the end

    async def all_of(self, clients: Sequence[Client]) -> tuple[list[Any], list[str]]:
        """What each was answered, and the keys of what was posted in its order."""
        outcomes = await asyncio.gather(*(one.work() for one in clients), return_exceptions=True)
        async with self.db.read() as session:
            posted = "SELECT idempotency_key FROM credit_transaction WHERE idempotency_key = ANY(:keys) ORDER BY seq"
            order = list(await session.scalars(text(posted), {"keys": [one.key for one in clients]}))
        return outcomes, order

    @rule(hours=strategies.integers(1, 3))
    def wait(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule()
    def expire(self) -> None:
        self.loop.run(credits.expire_due(self.db, self.now))
        self.sweep()

    @rule()
    def repeat(self) -> None:
        """The last request once more gives its transaction again; with other input it is refused."""
        if self.last is None:
            return
        operation, request, posted = self.last
        again = self.run(operation, self.account_id, posted.amount or 1, request, self.now)
        assert (again.id, again.amount, again.balance_after) == (posted.id, posted.amount, posted.balance_after)
        with pytest.raises(IdempotencyConflict):
            self.run(operation, self.account_id, 1, Request(request.key, ("other",)), self.now)

    @invariant()
    def agrees(self) -> None:
        async def look() -> tuple[Any, list[Any]]:
            async with self.db.read() as session:
                found = (await queries.by_accounts(session, [self.account_id])).get(self.account_id)
                return found, list(await session.execute(text("SELECT * FROM credit_violation")))

        account, violations = self.loop.run(look())
        assert violations == []
        told = (account.balance, account.held, account.debt) if account is not None else (0, 0, 0)
        held = sum(one.task_id is not None for one in self.credits)
        assert told == (len(self.credits), held, self.debt)


def test_any_order_of_operations_leaves_what_the_model_says(service_database_url: str) -> None:
    with asyncio.Runner() as loop:
        db = loop.run(Database.open(service_database_url, pool_size=6))
        machine = type("Machine", (LedgerMachine,), {"loop": loop, "db": db, "till": Till(db)})
        some = settings(
            max_examples=15,
            stateful_step_count=25,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        try:
            run_state_machine_as_test(machine, settings=some)
        finally:
            loop.run(empty(db))
            loop.run(db.close())
