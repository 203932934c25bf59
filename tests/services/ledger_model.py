"""A model of an account that knows each credit by itself: what the ledger must say after any change."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from db.models import Task


@dataclass
class Credit:
    """One credit: which lot it came with, and the task that holds it."""

    priority: int
    expires_at: datetime | None
    age: int
    task_id: UUID | None = None


class LedgerModel:
    """One account: its credits as a list of objects, its debt, and the tasks that hold credits."""

    def __init__(self, now: datetime) -> None:
        super().__init__()
        self.now, self.age, self.debt = now, 0, 0
        self.credits: list[Credit] = []
        self.tasks: list[Task] = []

    def sweep(self) -> None:
        """Take away free credits past their date, as every change does first."""
        self.credits = [
            one
            for one in self.credits
            if one.task_id is not None or one.expires_at is None or one.expires_at > self.now
        ]

    def is_expired(self, one: Credit) -> bool:
        return one.expires_at is not None and one.expires_at <= self.now

    def draw(self, amount: int) -> list[Credit] | None:
        """The credits that are used up first; None when there are not so many."""
        free = [one for one in self.credits if one.task_id is None and not self.is_expired(one)]
        free.sort(key=lambda one: (one.priority, one.expires_at or datetime.max.replace(tzinfo=UTC), one.age))
        return free[:amount] if len(free) >= amount else None

    def drawn(self, amount: int) -> list[Credit]:
        """The same where there must be so many."""
        found = self.draw(amount)
        assert found is not None
        return found

    def forget(self, gone: list[Credit]) -> None:
        self.credits = [one for one in self.credits if not any(one is other for other in gone)]

    def of_task(self, task: Task) -> list[Credit]:
        """What a task holds, in the order in which it is used up."""
        found = [one for one in self.credits if one.task_id == task.id]
        found.sort(key=lambda one: (one.priority, one.expires_at or datetime.max.replace(tzinfo=UTC), one.age))
        return found

    def given(self, amount: int, priority: int, expires_at: datetime | None) -> None:
        self.sweep()
        self.age += 1
        paid = min(amount, self.debt)
        self.debt -= paid
        self.credits += [Credit(priority, expires_at, self.age) for _ in range(amount - paid)]

    def taken(self, amount: int) -> None:
        self.forget(self.drawn(amount))
        self.sweep()

    def taken_back(self, amount: int) -> None:
        self.sweep()
        free = [one for one in self.credits if one.task_id is None]
        drawn = self.draw(min(amount, len(free))) or []
        self.forget(drawn)
        self.debt += amount - len(drawn)

    def held(self, task: Task, amount: int) -> None:
        for one in self.drawn(amount):
            one.task_id = task.id
        self.sweep()
        self.tasks.append(task)

    def settled(self, task: Task, paid: list[Credit]) -> None:
        task.chargeable_count += len(paid)
        self.forget(paid)
        self.sweep()

    def freed(self, there: list[Credit]) -> None:
        for one in there:
            one.task_id = None
        if there:
            self.sweep()
            free = [one for one in self.credits if one.task_id is None]
            paid = self.drawn(min(self.debt, len(free)))
            self.forget(paid)
            self.debt -= len(paid)
