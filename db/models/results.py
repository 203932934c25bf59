"""Rows as they were sent, distinct addresses with their verdicts, and the two read together."""

from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, Integer, SmallInteger, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db import ids
from db.models.table import Table, words


class Verdict(StrEnum):
    """Judgement on an address."""

    EXISTS = "EXISTS"
    NOT_EXISTS = "NOT_EXISTS"
    CATCHALL = "CATCHALL"
    INVALID_SYNTAX = "INVALID_SYNTAX"
    UNKNOWN = "UNKNOWN"


class VerdictReason(StrEnum):
    """Why an address got its verdict."""

    ACCEPTED = "ACCEPTED"
    ACCEPT_ALL = "ACCEPT_ALL"
    SYNTAX = "SYNTAX"
    NO_DOMAIN = "NO_DOMAIN"
    NO_MAIL_HOST = "NO_MAIL_HOST"
    NULL_MX = "NULL_MX"
    NO_SUCH_USER = "NO_SUCH_USER"
    MAILBOX_DISABLED = "MAILBOX_DISABLED"
    MAILBOX_FULL = "MAILBOX_FULL"
    RATE_LIMITED_MAILBOX = "RATE_LIMITED_MAILBOX"
    GREYLISTED = "GREYLISTED"
    TEMPORARY = "TEMPORARY"
    SERVER_ERROR = "SERVER_ERROR"
    BLOCKED = "BLOCKED"
    SENDER_REJECTED = "SENDER_REJECTED"
    CANNOT_VERIFY = "CANNOT_VERIFY"
    NO_CONNECTION = "NO_CONNECTION"
    TIMEOUT = "TIMEOUT"
    DNS_FAILURE = "DNS_FAILURE"
    PROTOCOL = "PROTOCOL"
    EAI_UNSUPPORTED = "EAI_UNSUPPORTED"
    OTHER = "OTHER"
    UNROUTABLE = "UNROUTABLE"


class EvidenceStage(StrEnum):
    """Stage of a check."""

    SYNTAX = "SYNTAX"
    DNS = "DNS"
    CONNECT = "CONNECT"
    BANNER = "BANNER"
    EHLO = "EHLO"
    STARTTLS = "STARTTLS"
    MAIL = "MAIL"
    RCPT = "RCPT"
    CATCHALL_PROBE = "CATCHALL_PROBE"


@dataclass(frozen=True, slots=True)
class EvidenceStep:
    """One thing that was seen while checking an address."""

    stage: EvidenceStage
    host: str | None
    code: int | None
    enhanced_code: str | None
    text: str | None
    occurred_at: datetime

    @classmethod
    def of_syntax(cls, problem: str, at: datetime) -> "EvidenceStep":
        """Why a text is no address; of that sentence at most 200 characters."""
        return cls(EvidenceStage.SYNTAX, None, None, None, problem[:200], at)

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "stage": self.stage.value,
            "host": self.host,
            "code": self.code,
            "enhanced_code": self.enhanced_code,
            "text": self.text,
            "occurred_at": self.occurred_at.isoformat(),
        }

    @classmethod
    def from_json(cls, step: dict[str, Any]) -> "EvidenceStep":
        """As it was stored."""
        return cls(
            EvidenceStage(step["stage"]),
            step["host"],
            step["code"],
            step["enhanced_code"],
            step["text"],
            datetime.fromisoformat(step["occurred_at"]),
        )


class TaskAddress(Table):
    """One distinct address of a task. `email` is null where the text is not an address."""

    __tablename__ = "task_address"
    __table_args__ = (
        ForeignKeyConstraint(["task_id"], ["task.id"], ondelete="CASCADE"),
        Index("uq_task_address_email", "task_id", "email", unique=True, postgresql_where=text("email IS NOT NULL")),
        Index("ix_task_address_part", "task_id", "part", postgresql_where=text("verdict IS NULL")),
    )

    task_id: Mapped[UUID] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(Integer, primary_key=True)
    part: Mapped[int | None] = mapped_column(Integer)
    email: Mapped[str | None]
    domain: Mapped[str | None]
    verdict: Mapped[Verdict | None] = mapped_column(words(Verdict))
    reason: Mapped[VerdictReason | None] = mapped_column(words(VerdictReason))
    score: Mapped[int | None] = mapped_column(SmallInteger)
    score_reasons: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    is_role: Mapped[bool | None]
    is_disposable: Mapped[bool | None]
    is_free: Mapped[bool | None]
    mx_host: Mapped[str | None]
    suggestion: Mapped[str | None]
    evidence: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB)
    verified_at: Mapped[datetime | None]


class TaskRow(Table):
    """One row of the input, as sent. `address_n` points at its distinct address."""

    __tablename__ = "task_row"
    __table_args__ = (
        ForeignKeyConstraint(["task_id"], ["task.id"], ondelete="CASCADE"),
        Index("ix_task_row_address", "task_id", "address_n"),
    )

    task_id: Mapped[UUID] = mapped_column(primary_key=True)
    row_number: Mapped[int] = mapped_column(Integer, primary_key=True)
    address_n: Mapped[int] = mapped_column(Integer)
    input: Mapped[str]
    reference: Mapped[str | None]
    cells: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    """Every cell of the file's row; null for a list sent inline."""


@dataclass(frozen=True, slots=True)
class EmailVerification:
    """What was found out about one address."""

    email: str | None
    verdict: Verdict
    reason: VerdictReason
    score: int | None
    score_reasons: list[str]
    evidence: list[EvidenceStep]
    is_role: bool
    is_disposable: bool
    is_free: bool
    mx_host: str | None
    suggestion: str | None
    verified_at: datetime

    @property
    def is_catch_all(self) -> bool | None:
        """The domain accepts every address; None when not tested."""
        if self.verdict is Verdict.CATCHALL:
            return True
        return False if self.reason is VerdictReason.ACCEPTED else None

    def to_json(self) -> dict[str, Any]:
        """As an answer to a repeat-safe request is stored."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return plain | {
            "evidence": [step.to_json() for step in self.evidence],
            "verified_at": self.verified_at.isoformat(),
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "EmailVerification":
        """As it was stored."""
        return cls(
            **stored
            | {
                "verdict": Verdict(stored["verdict"]),
                "reason": VerdictReason(stored["reason"]),
                "evidence": [EvidenceStep.from_json(step) for step in stored["evidence"]],
                "verified_at": datetime.fromisoformat(stored["verified_at"]),
            }
        )


@dataclass(frozen=True, slots=True)
class TaskResult:
    """The outcome for one input row: the row joined with its address."""

    task_id: UUID
    row_number: int
    reference: str | None
    input: str
    verification: EmailVerification | None

    @property
    def global_id(self) -> str:
        """Public id."""
        return ids.row_id("result", self.task_id, self.row_number)
