"""Tasks, their parts upstream, and the files they came from."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db import ids
from db.models.metrics import JobStatusCounts, TaskMetrics, VerdictCounters
from db.models.table import Table, words


class TaskStatus(StrEnum):
    """Where a task stands. It moves down this list; FAILED and CANCELED are ends."""

    DRAFT = "DRAFT"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


OPEN_STATUSES = (TaskStatus.QUEUED, TaskStatus.RUNNING)
"""A task in one of these still waits for verdicts; every other never asks upstream."""
UNENDED = "status IN ('DRAFT', 'QUEUED', 'RUNNING')"
"""SQL: the tasks that have not ended, and have an index of their own."""
FINAL_STATUSES = (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELED)


class TaskSource(StrEnum):
    """How the addresses of a task came in."""

    INLINE = "INLINE"
    FILE = "FILE"
    INTEGRATION = "INTEGRATION"
    UPSTREAM = "UPSTREAM"


class ColumnRole(StrEnum):
    """What a column of a file is used for."""

    EMAIL = "EMAIL"
    FIRST_NAME = "FIRST_NAME"
    LAST_NAME = "LAST_NAME"
    REFERENCE = "REFERENCE"


class PartState(StrEnum):
    """Where a part stands: waiting to be posted, sent and looked for, running upstream, being stopped, or over."""

    WAITING = "WAITING"
    SENT = "SENT"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    ENDED = "ENDED"


@dataclass(frozen=True, slots=True)
class TaskFileColumn:
    """One column of an uploaded list."""

    index: int
    name: str | None
    role: ColumnRole | None


@dataclass(frozen=True, slots=True)
class TaskFile:
    """An uploaded list."""

    name: str
    size_bytes: int
    row_count: int
    columns: list[TaskFileColumn]
    sha256: str


@dataclass(frozen=True, slots=True)
class TaskQuote:
    """What a list holds and what checking it costs."""

    row_count: int
    unique_count: int
    invalid_count: int
    sample: list[list[str]]

    @property
    def duplicate_count(self) -> int:
        """Rows that repeat an address."""
        return self.row_count - self.unique_count - self.invalid_count

    @property
    def cost(self) -> int:
        """Credits that starting holds."""
        return self.unique_count


class Task(VerdictCounters, Table):
    """One verification job over a list of addresses. Its counters are the truth that every list shows."""

    __tablename__ = "task"
    __table_args__ = (
        Index("ix_task_account_id_created_at", "account_id", "created_at", "id"),
        Index("ix_task_account_id_name", "account_id", text("lower(name)"), "id"),
        Index("ix_task_account_id_total", "account_id", "total_count", "id"),
        # Of an expression, so that it is for everybody's tasks alone: by the column, the planner would take it for the
        # list of one account too, whose rows it may have to look for among all.
        Index("ix_task_created_at_utc", text("(created_at AT TIME ZONE 'UTC'::text)"), "id"),
        Index("ix_task_account_id_updated_at", "account_id", "updated_at"),
        Index("ix_task_account_id_open", "account_id", "created_at", postgresql_where=text(UNENDED)),
        # Whose rows are past their time: of most tasks they have gone long ago.
        Index("ix_task_finished_at", "finished_at", postgresql_where=text("results_purged_at IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    name: Mapped[str]
    status: Mapped[TaskStatus] = mapped_column(words(TaskStatus))
    source: Mapped[TaskSource] = mapped_column(words(TaskSource))
    integration: Mapped[str | None]
    """Slug of the product that made it."""
    api_key_id: Mapped[UUID | None]
    """The key that it was made with; its use is counted there."""
    failure_reason: Mapped[str | None]

    email_count: Mapped[int]
    domain_count: Mapped[int]
    total_count: Mapped[int]
    malformed_count: Mapped[int]
    malformed_row_count: Mapped[int] = mapped_column(default=0, server_default="0")
    """Rows that hold no address; `malformed_count` counts different texts."""
    processing_count: Mapped[int] = mapped_column(default=0)
    completed_count: Mapped[int] = mapped_column(default=0)
    failed_count: Mapped[int] = mapped_column(default=0)
    chargeable_count: Mapped[int] = mapped_column(default=0)
    """Ingested verdicts that cost a credit; outlives purged results."""
    charge_policy: Mapped[int | None]
    """Version of the policy of charges that it was made under; null for a task that costs nothing."""

    file_name: Mapped[str | None]
    file_size_bytes: Mapped[int | None]
    file_sha256: Mapped[bytes | None] = mapped_column(LargeBinary)
    file_columns: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB)

    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    updated_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    refreshed_at: Mapped[datetime]
    """When its counters were last brought up to date from upstream."""
    last_verification_requested_at: Mapped[datetime | None]
    last_verification_completed_at: Mapped[datetime | None]
    retry_count: Mapped[int] = mapped_column(default=0, server_default="0")
    """How often its UNKNOWN addresses were asked for again."""
    is_awaiting_upstream: Mapped[bool] = mapped_column(default=False, server_default="false")
    """Sent upstream, and not yet found there."""
    webhook_url: Mapped[str | None]
    """Told by a signed POST when it ends, besides the account's webhooks."""
    results_purged_at: Mapped[datetime | None]
    """When its rows and verdicts were deleted; its counters stay."""

    @property
    def global_id(self) -> str:
        """Public id."""
        return ids.global_id("task", self.id)

    @property
    def well_formed_count(self) -> int:
        """Different addresses that can be asked about."""
        return self.total_count - self.malformed_count

    @property
    def is_open(self) -> bool:
        """It still waits for verdicts."""
        return self.status in OPEN_STATUSES

    @property
    def credits_spent(self) -> int:
        """Credits spent on addresses already checked."""
        return self.chargeable_count if self.charge_policy is not None else 0

    @property
    def credits_reserved(self) -> int:
        """Credits still held: one a well-formed address, less those spent, until the task ends."""
        if self.charge_policy is None or not self.is_open:
            return 0
        # A run that is not the first holds nothing for what has its verdict.
        settled = self.invalid_syntax_count - self.malformed_count if self.retry_count else 0
        return self.well_formed_count - self.chargeable_count - settled

    @property
    def metrics(self) -> TaskMetrics:
        """Counts so far."""
        pending = self.total_count - self.processing_count - self.completed_count - self.failed_count
        return TaskMetrics(  # by place: names take twice as long, and lists are long
            self.total_count,
            JobStatusCounts(pending, self.processing_count, self.completed_count, self.failed_count),
            self.verification_status,
            self.last_verification_requested_at,
            self.last_verification_completed_at,
        )

    @property
    def columns(self) -> list[TaskFileColumn]:
        """Columns of the uploaded file, in order; empty for a list sent inline."""
        return [
            TaskFileColumn(index, c["name"], ColumnRole(c["role"]) if c["role"] else None)
            for index, c in enumerate(self.file_columns or ())
        ]

    @property
    def file(self) -> TaskFile | None:
        """The uploaded file; None when addresses were sent inline."""
        if self.file_name is None or self.file_size_bytes is None or self.file_sha256 is None:
            return None
        return TaskFile(self.file_name, self.file_size_bytes, self.email_count, self.columns, self.file_sha256.hex())


class TaskPart(Table):
    """At most 10,000 addresses of a task, one task upstream. Its own outbox: `due_at` says when to act next."""

    __tablename__ = "task_part"
    __table_args__ = (
        Index("ix_task_part_due_at", "due_at", postgresql_where=text("state <> 'ENDED'")),
        # Never linked to two parts; also how tasks upstream are told from those that nobody here knows.
        Index("uq_task_part_upstream_id", "upstream_id", unique=True, postgresql_where=text("upstream_id IS NOT NULL")),
    )

    task_id: Mapped[UUID] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"), primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    state: Mapped[PartState] = mapped_column(words(PartState), default=PartState.WAITING)
    upstream_id: Mapped[UUID | None]
    cursor: Mapped[int] = mapped_column(default=0)
    """The last result ingested, as upstream numbers them."""
    attempt: Mapped[int] = mapped_column(default=0)
    """Calls that failed since the last that worked."""
    failing_since: Mapped[datetime | None]
    """When the first of them failed; without meaning while there are none."""
    sent_at: Mapped[datetime | None]
    """When it was sent to an upstream that gives no id for it; to any other, when somebody first began to post it."""
    remade_count: Mapped[int] = mapped_column(default=0)
    """Times that upstream had lost the task, and it was made again."""
    due_at: Mapped[datetime]
    poll_seconds: Mapped[float] = mapped_column(default=0.2)
    total: Mapped[int]
    processing: Mapped[int] = mapped_column(default=0)
    completed: Mapped[int] = mapped_column(default=0)
    failed: Mapped[int] = mapped_column(default=0)
    verdicts: Mapped[dict[str, int]] = mapped_column(JSONB, default=dict)
    """Upstream's verification_status, as last told."""
    requested_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]

    @property
    def key(self) -> tuple[UUID, int]:
        """What names it: its task, and its number there."""
        return self.task_id, self.n

    @property
    def idempotency_key(self) -> str:
        """What makes posting it repeat-safe."""
        return f"{self.task_id}:{self.n}" + (f":{self.remade_count}" if self.remade_count else "")


class LetGoUpstreamTask(Table):
    """A task upstream that was ours, and that no part names any more: it is never taken for one made elsewhere."""

    __tablename__ = "let_go_upstream_task"

    upstream_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), index=True)


class IdempotencyKey(Table):
    """A repeat-safe key, counted per account and operation, with the hash of what was asked."""

    __tablename__ = "idempotency_key"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), primary_key=True)
    operation: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[bytes] = mapped_column(LargeBinary)
    subject_id: Mapped[UUID]
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """What was answered, where no row of its own keeps that."""
    created_at: Mapped[datetime]


class WorkerHeartbeat(Table):
    """A worker of the service, for readiness: it is alive while `beat_at` is recent."""

    __tablename__ = "worker_heartbeat"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    started_at: Mapped[datetime]
    beat_at: Mapped[datetime]
