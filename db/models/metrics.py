"""Counts of a task, in the upstream verifier's words. Kept in columns of the row, never counted on the hot path."""

from datetime import datetime
from typing import NamedTuple, Self


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


class TaskMetrics(NamedTuple):
    """Counts of one or more tasks."""

    total_email_addresses: int
    job_status: JobStatusCounts
    verification_status: VerificationStatusCounts
    last_verification_requested_at: datetime | None
    last_verification_completed_at: datetime | None

    @classmethod
    def of(  # noqa: PLR0913, PLR0917 - as many as counters
        cls,
        total: int,
        processing: int,
        completed: int,
        failed: int,
        exists: int,
        not_exists: int,
        catchall: int,
        invalid_syntax: int,
        unknown: int,
        role_based: int,
        disposable: int,
        requested_at: datetime | None,
        completed_at: datetime | None,
    ) -> Self:
        """The metrics of counters, in the order in which rows have them."""
        return cls(
            total,
            JobStatusCounts(total - processing - completed - failed, processing, completed, failed),
            VerificationStatusCounts(exists, not_exists, catchall, invalid_syntax, unknown, role_based, disposable),
            requested_at,
            completed_at,
        )

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
