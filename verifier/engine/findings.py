"""What the steps found out about one address: values, errors among them, from which the verdict is drawn."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from verifier.engine.domain import RouteOutcome
from verifier.engine.evidence import Evidence, Stage
from verifier.engine.replies import Reply

_TEXT_LENGTH_MAX = 200


class Cause(StrEnum):
    """Why a conversation ended before the mailbox was asked about."""

    UNREACHABLE = "no connection"
    NO_WAY_OUT = "no way out"
    CLOSED = "the connection was closed"
    EXPIRED = "no answer in time"
    NOT_SMTP = "not SMTP"
    REPLY = "an unwelcome reply"
    EAI_UNSUPPORTED = "the server lacks SMTPUTF8"


@dataclass(frozen=True, slots=True)
class Failure:
    """A conversation that came to an end at a stage, with the reply that ended it where there was one."""

    stage: Stage
    cause: Cause
    host: str
    occurred_at: datetime
    reply: Reply | None = None
    detail: str = ""

    @property
    def evidence(self) -> Evidence:
        """The failure as evidence."""
        if self.reply is not None:
            return of_reply(self.stage, self.host, self.reply, self.occurred_at)
        text = f"{self.cause}: {self.detail}" if self.detail else str(self.cause)
        return Evidence(self.stage, self.occurred_at, host=self.host, text=text[:_TEXT_LENGTH_MAX])


@dataclass(frozen=True, slots=True)
class Answered:
    """A mail host's reply about a recipient."""

    host: str
    reply: Reply
    occurred_at: datetime
    conversation: int
    """A number that tells conversations apart."""
    has_contrast: bool = False
    """Another real recipient of the domain was accepted in the same conversation."""

    def as_evidence(self, stage: Stage) -> Evidence:
        """Return the reply as evidence of a stage."""
        return of_reply(stage, self.host, self.reply, self.occurred_at)


@dataclass(frozen=True, slots=True)
class Findings:
    """All that is known about one well-formed address."""

    route: RouteOutcome
    hosts: tuple[str, ...] = ()
    """The names of the domain's mail hosts."""
    answers: tuple[Answered, ...] = ()
    """The replies about the address, in the order in which they came."""
    failures: tuple[Failure, ...] = ()
    """What went wrong on the way, in order."""
    probe: Answered | None = None
    """The reply about the random recipient of the same domain by the host that answered last."""
    probe_failure: Failure | None = None
    """Why the random recipient got no reply."""
    accepts_then_bounces: bool = False
    """The mail host is known to accept every recipient and to bounce later."""

    def with_answer(self, answered: Answered) -> "Findings":
        """Return these findings with one more reply."""
        return replace(self, answers=(*self.answers, answered))


def of_reply(stage: Stage, host: str, reply: Reply, occurred_at: datetime) -> Evidence:
    """Return a reply as evidence of a stage."""
    return Evidence(stage, occurred_at, host, reply.code, reply.enhanced_code, reply.short_text)


def failed(stage: Stage, cause: Cause, host: str, *, reply: Reply | None = None, detail: str = "") -> Failure:
    """Return a failure that happens now."""
    return Failure(stage, cause, host, datetime.now(UTC), reply, detail)
