"""The front page: what an account has, did and found in a span of days."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from db.models.metrics import TaskMetrics
from db.models.tasks import TaskStatus


@dataclass(frozen=True, slots=True)
class TaskStatusCount:
    """How many tasks have a status."""

    status: TaskStatus
    count: int


@dataclass(frozen=True, slots=True)
class Overview:
    """The tasks of an account that were made in a span of days, and whose front page it is."""

    account_id: UUID
    first_day: date
    last_day: date
    counted: Mapping[TaskStatus, int]
    metrics: TaskMetrics

    @property
    def task_counts(self) -> list[TaskStatusCount]:
        """Every status once."""
        return [TaskStatusCount(status, self.counted.get(status, 0)) for status in TaskStatus]
