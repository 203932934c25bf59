"""Tables, and the pictures of them that are read from one row."""

from db.models.accounts import Account, ApiKey, ApiKeyScope, UserRole
from db.models.identity import AuthSession, Credential, OneTimeToken, RefreshToken, SigningKey, TokenPurpose
from db.models.metrics import JobStatusCounts, TaskMetrics, VerificationStatusCounts
from db.models.ordering import OrderDirection, TaskOrderField
from db.models.results import (
    CHARGEABLE_VERDICTS,
    EmailVerification,
    EvidenceStage,
    EvidenceStep,
    TaskAddress,
    TaskResult,
    TaskRow,
    Verdict,
    VerdictReason,
)
from db.models.table import Table
from db.models.tasks import (
    OPEN_STATUSES,
    ColumnRole,
    IdempotencyKey,
    PartState,
    Task,
    TaskFile,
    TaskFileColumn,
    TaskPart,
    TaskSource,
    TaskStatus,
    WorkerHeartbeat,
)

__all__ = [
    "CHARGEABLE_VERDICTS",
    "OPEN_STATUSES",
    "Account",
    "ApiKey",
    "ApiKeyScope",
    "AuthSession",
    "ColumnRole",
    "Credential",
    "EmailVerification",
    "EvidenceStage",
    "EvidenceStep",
    "IdempotencyKey",
    "JobStatusCounts",
    "OneTimeToken",
    "OrderDirection",
    "PartState",
    "RefreshToken",
    "SigningKey",
    "Table",
    "Task",
    "TaskAddress",
    "TaskFile",
    "TaskFileColumn",
    "TaskMetrics",
    "TaskOrderField",
    "TaskPart",
    "TaskResult",
    "TaskRow",
    "TaskSource",
    "TaskStatus",
    "TokenPurpose",
    "UserRole",
    "Verdict",
    "VerdictReason",
    "VerificationStatusCounts",
    "WorkerHeartbeat",
]
