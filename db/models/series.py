"""Numbers by UTC day: of one task by the day of each verdict, of many tasks by the day on which they were made."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from db.models.metrics import JobStatusCounts, TaskMetrics, VerdictCounters
from db.models.table import Table, words
from db.models.tasks import TaskStatus


class TaskDay(VerdictCounters, Table):
    """Verdicts of a task that were found on one day. The database keeps it with every change of a verdict."""

    __tablename__ = "task_day"

    task_id: Mapped[UUID] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"), primary_key=True)
    date: Mapped[dt.date] = mapped_column(primary_key=True)
    last_verified_at: Mapped[dt.datetime | None]

    @property
    def metrics(self) -> TaskMetrics:
        """The counts in the words of a task's; all of them are of addresses that have their verdict."""
        found = self.verification_status
        total = found.exists + found.not_exists + found.catchall + found.invalid_syntax + found.unknown
        return TaskMetrics(
            total_email_addresses=total,
            job_status=JobStatusCounts(pending=0, processing=0, completed=total, failed=0),
            verification_status=found,
            last_verification_requested_at=None,
            last_verification_completed_at=self.last_verified_at,
        )


class AccountDay(VerdictCounters, Table):
    """The ended tasks of an account that were made on one day, by status. The database keeps it with every end."""

    __tablename__ = "account_day"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), primary_key=True)
    date: Mapped[dt.date] = mapped_column(primary_key=True)
    status: Mapped[TaskStatus] = mapped_column(words(TaskStatus), primary_key=True)
    task_count: Mapped[int]
    total_count: Mapped[int]
    processing_count: Mapped[int]
    completed_count: Mapped[int]
    failed_count: Mapped[int]
    last_verification_requested_at: Mapped[dt.datetime | None]
    """The latest that there ever was: a task that is deleted, or runs again, leaves its own."""
    last_verification_completed_at: Mapped[dt.datetime | None]


@dataclass(frozen=True, slots=True)
class TaskSeriesPoint:
    """Tasks made on one day."""

    date: dt.date
    task_count: int
    metrics: TaskMetrics


@dataclass(frozen=True, slots=True)
class TaskSeries:
    """Tasks over time: a point for every day of a span, in order."""

    points: Sequence[TaskSeriesPoint]
