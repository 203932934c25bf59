"""What a check saw and what it concluded: the words of the wire contract."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Stage(StrEnum):
    """Where in a check something was seen."""

    SYNTAX = "syntax"
    DNS = "dns"
    CONNECT = "connect"
    BANNER = "banner"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    MAIL = "mail"
    RCPT = "rcpt"
    CATCHALL_PROBE = "catchall_probe"


class Status(StrEnum):
    """The verdict on one address."""

    EXISTS = "exists"
    NOT_EXISTS = "not_exists"
    CATCHALL = "catchall"
    INVALID_SYNTAX = "invalid_syntax"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """The stable sub-status beside a verdict."""

    ACCEPTED = "accepted"
    ACCEPT_ALL = "accept_all"
    SYNTAX = "syntax"
    NO_DOMAIN = "no_domain"
    NO_MAIL_HOST = "no_mail_host"
    NULL_MX = "null_mx"
    NO_SUCH_USER = "no_such_user"
    MAILBOX_DISABLED = "mailbox_disabled"
    MAILBOX_FULL = "mailbox_full"
    RATE_LIMITED_MAILBOX = "rate_limited_mailbox"
    GREYLISTED = "greylisted"
    TEMPORARY = "temporary"
    SERVER_ERROR = "server_error"
    BLOCKED = "blocked"
    SENDER_REJECTED = "sender_rejected"
    CANNOT_VERIFY = "cannot_verify"
    NO_CONNECTION = "no_connection"
    TIMEOUT = "timeout"
    DNS_FAILURE = "dns_failure"
    PROTOCOL = "protocol"
    EAI_UNSUPPORTED = "eai_unsupported"
    UNROUTABLE = "unroutable"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that was seen on the way to a verdict. `text` is at most 200 characters of the reply or finding."""

    stage: Stage
    occurred_at: datetime
    host: str | None = None
    code: int | None = None
    enhanced_code: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome for one address.

    `input` is the text as it was asked, `email` the normalised address (the trimmed input where it is malformed).
    `is_transient` tells that asking again later may tell more.
    """

    input: str
    email: str
    status: Status
    reason: Reason
    checked_at: datetime
    role_based: bool = False
    disposable: bool = False
    free_provider: bool = False
    suggestion: str | None = None
    score: int | None = None
    score_reasons: tuple[str, ...] = ()
    mail_host: str | None = None
    evidence: tuple[Evidence, ...] = field(default=())
    is_transient: bool = False
