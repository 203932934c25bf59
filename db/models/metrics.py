"""Counts of a task, in the upstream verifier's words. Kept in columns of the row, never counted on the hot path."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Mapped, mapped_column


class JobStatusCounts(NamedTuple):
    """Addresses by where their check stands; the four add up to the total."""

    pending: int
    processing: int
    completed: int
    failed: int


class VerificationStatusCounts(NamedTuple):
    """Finished addresses by verdict; the last two are flags counted beside them."""

    exists: int = 0
    not_exists: int = 0
    catchall: int = 0
    invalid_syntax: int = 0
    unknown: int = 0
    role_based: int = 0
    disposable_domain_emails: int = 0


class VerdictCounters:
    """Columns of a table that count verdicts."""

    exists_count: Mapped[int] = mapped_column(default=0)
    not_exists_count: Mapped[int] = mapped_column(default=0)
    catchall_count: Mapped[int] = mapped_column(default=0)
    invalid_syntax_count: Mapped[int] = mapped_column(default=0)
    unknown_count: Mapped[int] = mapped_column(default=0)
    role_based_count: Mapped[int] = mapped_column(default=0)
    disposable_count: Mapped[int] = mapped_column(default=0)

    @property
    def verification_status(self) -> VerificationStatusCounts:
        """The counts, in the words of metrics."""
        return VerificationStatusCounts(
            self.exists_count,
            self.not_exists_count,
            self.catchall_count,
            self.invalid_syntax_count,
            self.unknown_count,
            self.role_based_count,
            self.disposable_count,
        )


class TaskMetrics(NamedTuple):
    """Counts of one or more tasks."""

    total_email_addresses: int
    job_status: JobStatusCounts
    verification_status: VerificationStatusCounts
    last_verification_requested_at: datetime | None
    last_verification_completed_at: datetime | None

    @property
    def progress(self) -> float:
        """(completed + failed) / total, 0 to 1; an empty task is done."""
        done = self.job_status.completed + self.job_status.failed
        return done / self.total_email_addresses if self.total_email_addresses else 1.0

    @property
    def progress_percent(self) -> int:
        """The same, 0 to 100, rounded down."""
        done = self.job_status.completed + self.job_status.failed
        return done * 100 // self.total_email_addresses if self.total_email_addresses else 100
