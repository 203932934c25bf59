"""The verdict: one pure function of the findings. Only proof makes NOT_EXISTS; all doubt is UNKNOWN with its reason."""

from typing import NamedTuple

from verifier.engine import wording
from verifier.engine.domain import RouteOutcome
from verifier.engine.evidence import Reason, Stage, Status
from verifier.engine.findings import Answered, Cause, Failure, Findings
from verifier.engine.replies import REFUSALS, Meaning, meaning_at_rcpt, meaning_before_rcpt


class Verdict(NamedTuple):
    """What is concluded, why, and whether asking again later may tell more."""

    status: Status
    reason: Reason
    is_transient: bool = False


_BY_ROUTE = {
    RouteOutcome.NO_DOMAIN: Verdict(Status.NOT_EXISTS, Reason.NO_DOMAIN),
    RouteOutcome.NO_MAIL_HOST: Verdict(Status.NOT_EXISTS, Reason.NO_MAIL_HOST),
    RouteOutcome.NULL_MX: Verdict(Status.NOT_EXISTS, Reason.NULL_MX),
    RouteOutcome.DNS_FAILURE: Verdict(Status.UNKNOWN, Reason.DNS_FAILURE, is_transient=True),
    RouteOutcome.UNROUTABLE: Verdict(Status.UNKNOWN, Reason.UNROUTABLE),
}

_BY_MEANING = {
    Meaning.CANNOT_VERIFY: Verdict(Status.UNKNOWN, Reason.CANNOT_VERIFY),
    Meaning.NO_SUCH_USER: Verdict(Status.NOT_EXISTS, Reason.NO_SUCH_USER),
    Meaning.DISABLED: Verdict(Status.NOT_EXISTS, Reason.MAILBOX_DISABLED),
    Meaning.FULL: Verdict(Status.EXISTS, Reason.MAILBOX_FULL),
    Meaning.RATE_LIMITED: Verdict(Status.EXISTS, Reason.RATE_LIMITED_MAILBOX),
    Meaning.GREYLISTED: Verdict(Status.UNKNOWN, Reason.GREYLISTED, is_transient=True),
    Meaning.TEMPORARY: Verdict(Status.UNKNOWN, Reason.TEMPORARY, is_transient=True),
    Meaning.TOO_MANY_RECIPIENTS: Verdict(Status.UNKNOWN, Reason.TEMPORARY, is_transient=True),
    Meaning.SERVER_ERROR: Verdict(Status.UNKNOWN, Reason.SERVER_ERROR, is_transient=True),
    Meaning.BLOCKED: Verdict(Status.UNKNOWN, Reason.BLOCKED),
    Meaning.SENDER_REJECTED: Verdict(Status.UNKNOWN, Reason.SENDER_REJECTED),
    Meaning.TLS_DEMANDED: Verdict(Status.UNKNOWN, Reason.PROTOCOL),
    Meaning.EAI_UNSUPPORTED: Verdict(Status.UNKNOWN, Reason.EAI_UNSUPPORTED),
    Meaning.PROTOCOL: Verdict(Status.UNKNOWN, Reason.PROTOCOL),
    Meaning.OTHER: Verdict(Status.UNKNOWN, Reason.OTHER),
}

_BLOCKED = _BY_MEANING[Meaning.BLOCKED]
_ACCEPTED = Verdict(Status.EXISTS, Reason.ACCEPTED)
_ACCEPT_ALL = Verdict(Status.CATCHALL, Reason.ACCEPT_ALL)
_TEMPORARY = _BY_MEANING[Meaning.TEMPORARY]

# Where several hosts left a doubt, the one that tells most is named.
_TELLING = (
    Reason.GREYLISTED,
    Reason.SERVER_ERROR,
    Reason.TEMPORARY,
    Reason.BLOCKED,
    Reason.SENDER_REJECTED,
    Reason.EAI_UNSUPPORTED,
    Reason.CANNOT_VERIFY,
    Reason.PROTOCOL,
    Reason.TIMEOUT,
    Reason.NO_CONNECTION,
    Reason.OTHER,
)

DECISIVE = frozenset(
    {
        Meaning.ACCEPTED,
        Meaning.CANNOT_VERIFY,
        Meaning.NO_SUCH_USER,
        Meaning.REFUSED,
        Meaning.DISABLED,
        Meaning.FULL,
        Meaning.RATE_LIMITED,
    }
)
"""After a reply of these no other mail host is asked."""


def judge(findings: Findings) -> Verdict:
    """Return the verdict on one well-formed address. Order of evidence: stage, basic code, enhanced code, text."""
    if findings.route in _BY_ROUTE:
        return _BY_ROUTE[findings.route]
    for answered in reversed(findings.answers):
        meaning = meaning_at_rcpt(answered.reply)
        if meaning in DECISIVE:
            return _decide(meaning, answered, findings)
    if _is_denied_by_every_host(findings):
        return _BY_MEANING[Meaning.NO_SUCH_USER]
    return _name_the_doubt(findings)


def needs_probe(answered: Answered) -> bool:
    """Tell whether a reply says nothing final before the random recipient was asked about."""
    meaning = meaning_at_rcpt(answered.reply)
    return meaning is Meaning.ACCEPTED or (meaning is Meaning.REFUSED and not answered.has_contrast)


def shows_catchall(probe: Answered) -> bool | None:
    """Tell from a random recipient's reply whether the domain takes every name; None where it does not say."""
    meaning = meaning_at_rcpt(probe.reply)
    if meaning is Meaning.ACCEPTED:
        return True
    if meaning in REFUSALS or (meaning is Meaning.BLOCKED and not wording.AGAINST_US.search(probe.reply.words)):
        return False
    return None


def _decide(meaning: Meaning, answered: Answered, findings: Findings) -> Verdict:
    if meaning is Meaning.ACCEPTED:
        return _decide_on_accepted(findings)
    if meaning is Meaning.REFUSED:
        return _decide_on_refused(answered, findings.probe)
    return _BY_MEANING[meaning]


def _decide_on_accepted(findings: Findings) -> Verdict:
    """Judge a 250: alone it proves nothing, beside a refused random recipient it does."""
    if findings.accepts_then_bounces:
        return _ACCEPT_ALL
    if findings.probe is not None:
        is_catchall = shows_catchall(findings.probe)
        if is_catchall is not None:
            return _ACCEPT_ALL if is_catchall else _ACCEPTED
        doubt = _BY_MEANING.get(meaning_at_rcpt(findings.probe.reply), _TEMPORARY)
        return doubt if doubt.status is Status.UNKNOWN else _TEMPORARY
    if findings.probe_failure is not None:
        return _of_failure(findings.probe_failure)
    return _TEMPORARY


def _decide_on_refused(answered: Answered, probe: Answered | None) -> Verdict:
    """Judge a refusal that gives no reason: it is a block where it meets everybody (rules 9), the random recipient too.

    Only what happened in one conversation counts, and a real recipient that was accepted in it speaks against a block.
    A random recipient that was never answered leaves the doubt, and doubt is not proof.
    """
    if answered.has_contrast:
        return _BY_MEANING[Meaning.NO_SUCH_USER]
    if probe is None or probe.conversation != answered.conversation or probe.host != answered.host:
        return _TEMPORARY
    is_same = (probe.reply.code, probe.reply.enhanced_code) == (answered.reply.code, answered.reply.enhanced_code)
    return _BLOCKED if is_same else _BY_MEANING[Meaning.NO_SUCH_USER]


def _is_denied_by_every_host(findings: Findings) -> bool:
    """Tell whether every mail host of the domain says that it does not serve it."""
    denied = {each.host for each in findings.answers if meaning_at_rcpt(each.reply) is Meaning.RELAY_DENIED}
    return bool(findings.hosts) and denied >= set(findings.hosts)


def _name_the_doubt(findings: Findings) -> Verdict:
    """Return UNKNOWN with the reason that tells most: what was said of the mailbox before what went wrong."""
    said = [_BY_MEANING[meaning] for meaning in map(_meaning, findings.answers) if meaning in _BY_MEANING]
    happened = [_of_failure(failure) for failure in findings.failures]
    doubts = [doubt for doubt in said if doubt.status is Status.UNKNOWN] or happened
    if not doubts:
        return _TEMPORARY
    return min(doubts, key=lambda doubt: _TELLING.index(doubt.reason))


def _meaning(answered: Answered) -> Meaning:
    return meaning_at_rcpt(answered.reply)


def _of_failure(failure: Failure) -> Verdict:
    """Return the doubt that a failed conversation leaves; never more than a doubt."""
    if failure.cause is Cause.EAI_UNSUPPORTED:
        return _BY_MEANING[Meaning.EAI_UNSUPPORTED]
    if failure.cause is Cause.REPLY and failure.reply is not None:
        return _BY_MEANING[meaning_before_rcpt(failure.reply)]
    if failure.cause is Cause.NOT_SMTP:
        return Verdict(Status.UNKNOWN, Reason.PROTOCOL, is_transient=True)
    if failure.cause is Cause.EXPIRED and failure.stage is not Stage.CONNECT:
        return Verdict(Status.UNKNOWN, Reason.TIMEOUT, is_transient=True)
    return Verdict(Status.UNKNOWN, Reason.NO_CONNECTION, is_transient=True)
