"""Tables, and the pictures of them that are read from one row."""

from db.models.accounts import Account, ApiKey, ApiKeyScope, UserRole
from db.models.audit import AuditEvent
from db.models.credits import (
    BALANCE_MAX,
    CreditAccount,
    CreditEntry,
    CreditHold,
    CreditHoldLot,
    CreditLot,
    CreditTransaction,
    CreditTransactionKind,
    Ledger,
)
from db.models.identity import AuthSession, Credential, OneTimeToken, RefreshToken, SigningKey, TokenPurpose
from db.models.metrics import JobStatusCounts, TaskMetrics, VerificationStatusCounts
from db.models.ordering import OrderDirection, TaskOrderField
from db.models.overview import Overview, TaskStatusCount
from db.models.payments import PaymentEvent, PaymentFact, Purchase, PurchaseStatus
from db.models.profiles import DOCUMENT_BYTES_MAX, Profile
from db.models.results import (
    EmailVerification,
    EvidenceStage,
    EvidenceStep,
    TaskAddress,
    TaskResult,
    TaskRow,
    Verdict,
    VerdictReason,
)
from db.models.series import AccountDay, TaskDay, TaskSeries, TaskSeriesPoint
from db.models.table import Table
from db.models.tasks import (
    FINAL_STATUSES,
    OPEN_STATUSES,
    ColumnRole,
    IdempotencyKey,
    PartState,
    Task,
    TaskFile,
    TaskFileColumn,
    TaskPart,
    TaskQuote,
    TaskSource,
    TaskStatus,
    WorkerHeartbeat,
)
from db.models.upstream_keys import KeyOrigin, UpstreamKey
from db.models.usage import UsageDay, UsageSeries, UsageSeriesPoint, UsageTotal
from db.models.webhooks import Webhook, WebhookDelivery, WebhookEvent, WebhookSecret

__all__ = [
    "BALANCE_MAX",
    "DOCUMENT_BYTES_MAX",
    "FINAL_STATUSES",
    "OPEN_STATUSES",
    "Account",
    "AccountDay",
    "ApiKey",
    "ApiKeyScope",
    "AuditEvent",
    "AuthSession",
    "ColumnRole",
    "Credential",
    "CreditAccount",
    "CreditEntry",
    "CreditHold",
    "CreditHoldLot",
    "CreditLot",
    "CreditTransaction",
    "CreditTransactionKind",
    "EmailVerification",
    "EvidenceStage",
    "EvidenceStep",
    "IdempotencyKey",
    "JobStatusCounts",
    "KeyOrigin",
    "Ledger",
    "OneTimeToken",
    "OrderDirection",
    "Overview",
    "PartState",
    "PaymentEvent",
    "PaymentFact",
    "Profile",
    "Purchase",
    "PurchaseStatus",
    "RefreshToken",
    "SigningKey",
    "Table",
    "Task",
    "TaskAddress",
    "TaskDay",
    "TaskFile",
    "TaskFileColumn",
    "TaskMetrics",
    "TaskOrderField",
    "TaskPart",
    "TaskQuote",
    "TaskResult",
    "TaskRow",
    "TaskSeries",
    "TaskSeriesPoint",
    "TaskSource",
    "TaskStatus",
    "TaskStatusCount",
    "TokenPurpose",
    "UpstreamKey",
    "UsageDay",
    "UsageSeries",
    "UsageSeriesPoint",
    "UsageTotal",
    "UserRole",
    "Verdict",
    "VerdictReason",
    "VerificationStatusCounts",
    "Webhook",
    "WebhookDelivery",
    "WebhookEvent",
    "WebhookSecret",
    "WorkerHeartbeat",
]
