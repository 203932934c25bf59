"""Every operation of the ledger in any order, against a model that knows each credit by itself."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import text

from db import ids
from db.models import CreditTransaction, Task
from db.queries import credits as queries
from db.session import Database
from services import credits
from services.credits import Request
from services.errors import IdempotencyConflict, InsufficientCredits
from tests.conftest import empty

NOW = datetime(2026, 1, 31, tzinfo=UTC)


@dataclass
class Credit:
    """One credit: which lot it came with, and the task that holds it."""

    priority: int
    expires_at: datetime | None
    age: int
    task_id: UUID | None = None


class LedgerMachine(RuleBasedStateMachine):
    """One account, its credits as a list of objects, and the same in PostgreSQL."""

    loop: asyncio.Runner
    db: Database

    def __init__(self) -> None:
        super().__init__()
        self.account_id = ids.new_uuid()
        self.now, self.age, self.debt = NOW, 0, 0
        self.credits: list[Credit] = []
        self.tasks: list[Task] = []
        self.last: tuple[Any, Request, CreditTransaction] | None = None

    def run(self, operation: Any, *given: Any, **more: Any) -> Any:
        async def work() -> Any:
            async with self.db.transaction() as session:
                return await operation(session, *given, **more)

        return self.loop.run(work())

    def request(self, *asked: object) -> Request:
        return Request(f"machine:{ids.new_uuid()}", asked)

    def sweep(self) -> None:
        """Take away free credits past their date, as every change does first."""
        self.credits = [
            one
            for one in self.credits
            if one.task_id is not None or one.expires_at is None or one.expires_at > self.now
        ]

    def draw(self, amount: int) -> list[Credit] | None:
        """The credits that are used up first; None when there are not so many."""
        free = [one for one in self.credits if one.task_id is None and not self.is_expired(one)]
        free.sort(key=lambda one: (one.priority, one.expires_at or datetime.max.replace(tzinfo=UTC), one.age))
        return free[:amount] if len(free) >= amount else None

    def is_expired(self, one: Credit) -> bool:
        return one.expires_at is not None and one.expires_at <= self.now

    def forget(self, gone: list[Credit]) -> None:
        self.credits = [one for one in self.credits if not any(one is other for other in gone)]

    @rule(
        amount=strategies.integers(1, 12), priority=strategies.sampled_from((10, 50)), hours=strategies.integers(0, 5)
    )
    def grant(self, amount: int, priority: int, hours: int) -> None:
        expires_at = self.now + timedelta(hours=hours) if hours else None
        request = self.request(amount)
        posted = self.run(
            credits.grant, self.account_id, amount, request, self.now, priority=priority, expires_at=expires_at
        )
        self.sweep()
        self.age += 1
        paid = min(amount, self.debt)
        self.debt -= paid
        self.credits += [Credit(priority, expires_at, self.age) for _ in range(amount - paid)]
        self.last = (credits.grant, request, posted)

    @rule(amount=strategies.integers(1, 12))
    def deduct(self, amount: int) -> None:
        drawn = self.draw(amount)
        request = self.request(amount)
        if drawn is None:
            with pytest.raises(InsufficientCredits):
                self.run(credits.deduct, self.account_id, amount, request, self.now)
            return
        self.last = (credits.deduct, request, self.run(credits.deduct, self.account_id, amount, request, self.now))
        self.forget(drawn)
        self.sweep()

    @rule(amount=strategies.integers(1, 12))
    def hold(self, amount: int) -> None:
        task = Task(id=ids.new_uuid(), account_id=self.account_id, chargeable_count=0)
        drawn = self.draw(amount)
        if drawn is None:
            with pytest.raises(InsufficientCredits):
                self.run(credits.hold, task, amount, self.now)
            return
        self.run(credits.hold, task, amount, self.now)
        for one in drawn:
            one.task_id = task.id
        self.sweep()
        self.tasks.append(task)

    def of_task(self, task: Task) -> list[Credit]:
        """What a task holds, in the order in which it is used up."""
        found = [one for one in self.credits if one.task_id == task.id]
        found.sort(key=lambda one: (one.priority, one.expires_at or datetime.max.replace(tzinfo=UTC), one.age))
        return found

    @precondition(lambda self: self.tasks)
    @rule(data=strategies.data(), amount=strategies.integers(1, 12))
    def settle(self, data: strategies.DataObject, amount: int) -> None:
        task = data.draw(strategies.sampled_from(self.tasks))
        there = self.of_task(task)
        if amount > len(there):
            with pytest.raises(ValueError, match="were to be settled"):
                self.run(credits.settle, task, amount, self.now)
            return
        for _ in range(2):  # the second is a batch that comes again
            self.run(credits.settle, task, amount, self.now)
        task.chargeable_count += amount
        self.forget(there[:amount])
        self.sweep()

    @precondition(lambda self: self.tasks)
    @rule(data=strategies.data())
    def release(self, data: strategies.DataObject) -> None:
        task = data.draw(strategies.sampled_from(self.tasks))
        there = self.of_task(task)
        for _ in range(2):
            self.run(credits.release, task, self.now)
        for one in there:
            one.task_id = None
        if there:
            self.sweep()

    @rule(amount=strategies.integers(1, 12))
    def charge_back(self, amount: int) -> None:
        self.sweep()
        free = [one for one in self.credits if one.task_id is None]
        drawn = self.draw(min(amount, len(free))) or []
        request = self.request(amount)
        self.last = (
            credits.charge_back,
            request,
            self.run(credits.charge_back, self.account_id, amount, request, self.now),
        )
        self.forget(drawn)
        self.debt += amount - len(drawn)

    @rule(hours=strategies.integers(1, 3))
    def wait(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule()
    def expire(self) -> None:
        self.loop.run(credits.expire_due(self.db, self.now))
        self.sweep()

    @precondition(lambda self: self.last is not None)
    @rule()
    def repeat(self) -> None:
        """The last request once more gives its transaction again; with other input it is refused."""
        assert self.last is not None
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
        db = loop.run(Database.open(service_database_url, pool_size=2))
        machine = type("Machine", (LedgerMachine,), {"loop": loop, "db": db})
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
