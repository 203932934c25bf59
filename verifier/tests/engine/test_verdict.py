"""The verdict, row by row of the table, and what must never be said."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.engine import findings, replies, verdict
from verifier.engine.domain import RouteOutcome
from verifier.engine.evidence import Reason, Stage, Status
from verifier.engine.findings import Answered, Cause, Failure, Findings
from verifier.engine.replies import Meaning

NOW = datetime(2026, 11, 21, tzinfo=UTC)
UNKNOWN_USER = "550 5.1.1 User unknown"
LISTED = "554 5.7.1 blocked using zen.spamhaus.org"


def answered(line: str, host: str = "mx", conversation: int = 1, *, has_contrast: bool = False) -> Answered:
    parts = replies.split(line)
    assert parts is not None
    return Answered(host, replies.assemble(parts[0], [parts[2]]), NOW, conversation, has_contrast)


def failure(stage: Stage, cause: Cause, line: str | None = None) -> Failure:
    return Failure(stage, cause, "mx", NOW, answered(line).reply if line else None)


def asked(*lines: str, probe: str | None = None) -> Findings:
    return Findings(
        RouteOutcome.MAIL_HOSTS, ("mx",), tuple(map(answered, lines)), probe=answered(probe) if probe else None
    )


def ended(stage: Stage, cause: Cause, line: str | None = None) -> Findings:
    return Findings(RouteOutcome.MAIL_HOSTS, ("mx",), failures=(failure(stage, cause, line),))


TABLE = [
    (Findings(RouteOutcome.NO_DOMAIN), Status.NOT_EXISTS, Reason.NO_DOMAIN, False),
    (Findings(RouteOutcome.NO_MAIL_HOST), Status.NOT_EXISTS, Reason.NO_MAIL_HOST, False),
    (Findings(RouteOutcome.NULL_MX), Status.NOT_EXISTS, Reason.NULL_MX, False),
    (Findings(RouteOutcome.DNS_FAILURE), Status.UNKNOWN, Reason.DNS_FAILURE, True),
    (Findings(RouteOutcome.UNROUTABLE), Status.UNKNOWN, Reason.UNROUTABLE, False),
    (ended(Stage.CONNECT, Cause.UNREACHABLE), Status.UNKNOWN, Reason.NO_CONNECTION, True),
    (ended(Stage.CONNECT, Cause.EXPIRED), Status.UNKNOWN, Reason.NO_CONNECTION, True),
    (ended(Stage.BANNER, Cause.CLOSED), Status.UNKNOWN, Reason.NO_CONNECTION, True),
    (ended(Stage.BANNER, Cause.NOT_SMTP), Status.UNKNOWN, Reason.PROTOCOL, True),
    (ended(Stage.BANNER, Cause.EXPIRED), Status.UNKNOWN, Reason.TIMEOUT, True),
    (ended(Stage.BANNER, Cause.REPLY, "421 busy"), Status.UNKNOWN, Reason.TEMPORARY, True),
    (ended(Stage.EHLO, Cause.REPLY, "450 no"), Status.UNKNOWN, Reason.TEMPORARY, True),
    (ended(Stage.MAIL, Cause.REPLY, "451 4.3.0 no"), Status.UNKNOWN, Reason.TEMPORARY, True),
    (ended(Stage.BANNER, Cause.REPLY, LISTED), Status.UNKNOWN, Reason.BLOCKED, False),
    (ended(Stage.EHLO, Cause.REPLY, "550 go away"), Status.UNKNOWN, Reason.BLOCKED, False),
    (ended(Stage.MAIL, Cause.REPLY, "550 5.7.25 no PTR"), Status.UNKNOWN, Reason.BLOCKED, False),
    (ended(Stage.MAIL, Cause.REPLY, "553 5.1.8 bad sender"), Status.UNKNOWN, Reason.SENDER_REJECTED, False),
    (ended(Stage.MAIL, Cause.EAI_UNSUPPORTED), Status.UNKNOWN, Reason.EAI_UNSUPPORTED, False),
    (ended(Stage.RCPT, Cause.EXPIRED), Status.UNKNOWN, Reason.TIMEOUT, True),
    (asked("250 ok", probe=UNKNOWN_USER), Status.EXISTS, Reason.ACCEPTED, False),
    (asked("251 forwards", probe=UNKNOWN_USER), Status.EXISTS, Reason.ACCEPTED, False),
    (asked("250 ok", probe="550 no thanks"), Status.EXISTS, Reason.ACCEPTED, False),
    (asked("250 ok", probe="250 ok"), Status.CATCHALL, Reason.ACCEPT_ALL, False),
    (asked("250 ok", probe="450 4.2.0 Greylisted"), Status.UNKNOWN, Reason.GREYLISTED, True),
    (asked("250 ok", probe="451 later"), Status.UNKNOWN, Reason.TEMPORARY, True),
    (asked("250 ok", probe=LISTED), Status.UNKNOWN, Reason.BLOCKED, False),
    (asked("250 ok", probe="550 5.7.1 policy: not for you"), Status.EXISTS, Reason.ACCEPTED, False),
    (asked("250 ok"), Status.UNKNOWN, Reason.TEMPORARY, True),
    (asked("252 perhaps", probe="252 perhaps"), Status.UNKNOWN, Reason.CANNOT_VERIFY, False),
    (asked(UNKNOWN_USER), Status.NOT_EXISTS, Reason.NO_SUCH_USER, False),
    (asked(UNKNOWN_USER, probe=UNKNOWN_USER), Status.NOT_EXISTS, Reason.NO_SUCH_USER, False),
    (asked(UNKNOWN_USER, probe="250 ok"), Status.NOT_EXISTS, Reason.NO_SUCH_USER, False),
    (asked("550 no", probe="250 ok"), Status.NOT_EXISTS, Reason.NO_SUCH_USER, False),
    (asked("550 no", probe="550 no"), Status.UNKNOWN, Reason.BLOCKED, False),
    (asked("550 no", probe="554 no"), Status.NOT_EXISTS, Reason.NO_SUCH_USER, False),
    (asked("550 no"), Status.UNKNOWN, Reason.TEMPORARY, True),
    (asked("550 5.2.1 disabled"), Status.NOT_EXISTS, Reason.MAILBOX_DISABLED, False),
    (asked("550 mailbox inactive"), Status.NOT_EXISTS, Reason.MAILBOX_DISABLED, False),
    (asked("452 4.2.2 full"), Status.EXISTS, Reason.MAILBOX_FULL, False),
    (asked("552 5.2.2 full"), Status.EXISTS, Reason.MAILBOX_FULL, False),
    (asked("552 quota exceeded"), Status.EXISTS, Reason.MAILBOX_FULL, False),
    (asked("450 4.2.1 receiving mail at a rate"), Status.EXISTS, Reason.RATE_LIMITED_MAILBOX, False),
    (asked("451 4.3.0 fault"), Status.UNKNOWN, Reason.SERVER_ERROR, True),
    (asked("554 5.3.0 fault"), Status.UNKNOWN, Reason.SERVER_ERROR, True),
    (asked("450 4.2.0 Greylisted"), Status.UNKNOWN, Reason.GREYLISTED, True),
    (asked("451 4.7.1 Greylisted"), Status.UNKNOWN, Reason.GREYLISTED, True),
    (asked("450 4.1.1 unverified"), Status.UNKNOWN, Reason.TEMPORARY, True),
    (asked("452 4.5.3 Too many recipients"), Status.UNKNOWN, Reason.TEMPORARY, True),
    (asked(LISTED), Status.UNKNOWN, Reason.BLOCKED, False),
    (asked("550 5.7.1 Sender address rejected"), Status.UNKNOWN, Reason.SENDER_REJECTED, False),
    (asked("550 5.7.1 user unknown"), Status.NOT_EXISTS, Reason.NO_SUCH_USER, False),
    (asked("554 5.7.1 Relay access denied"), Status.NOT_EXISTS, Reason.NO_SUCH_USER, False),
    (asked("503 5.5.1 bad sequence"), Status.UNKNOWN, Reason.PROTOCOL, False),
    (asked("554 5.4.4 odd"), Status.UNKNOWN, Reason.OTHER, False),
]


@pytest.mark.parametrize(("found", "status", "reason", "is_transient"), TABLE)
def test_the_verdict_of_a_row(found: Findings, status: Status, reason: Reason, is_transient: bool) -> None:
    assert verdict.judge(found) == (status, reason, is_transient)


def test_relay_denied_by_one_of_two_hosts_proves_nothing() -> None:
    denied = (answered("554 5.7.1 Relay access denied", "mx1"),)
    down = (findings.failed(Stage.CONNECT, Cause.UNREACHABLE, "mx2"),)
    found = Findings(RouteOutcome.MAIL_HOSTS, ("mx1", "mx2"), denied, down)
    assert verdict.judge(found)[:2] == (Status.UNKNOWN, Reason.NO_CONNECTION)


def test_relay_denied_by_every_host_is_proof() -> None:
    denied = tuple(answered("554 5.7.1 Relay access denied", host) for host in ("mx1", "mx2"))
    found = Findings(RouteOutcome.MAIL_HOSTS, ("mx1", "mx2"), denied)
    assert verdict.judge(found)[:2] == (Status.NOT_EXISTS, Reason.NO_SUCH_USER)


def test_a_refusal_without_a_reason_counts_where_another_recipient_was_accepted() -> None:
    refused = answered("550 no", has_contrast=True)
    found = Findings(RouteOutcome.MAIL_HOSTS, ("mx",), (refused,), probe=answered("550 no"))
    assert verdict.judge(found)[:2] == (Status.NOT_EXISTS, Reason.NO_SUCH_USER)


def test_a_random_recipient_of_another_conversation_does_not_speak_for_or_against_a_block() -> None:
    found = Findings(RouteOutcome.MAIL_HOSTS, ("mx",), (answered("550 no"),), probe=answered("250 ok", conversation=2))
    assert verdict.judge(found) == (Status.UNKNOWN, Reason.TEMPORARY, True)


def test_what_a_host_accepts_that_bounces_later_is_catchall() -> None:
    found = Findings(RouteOutcome.MAIL_HOSTS, ("mx",), (answered("250 ok"),), accepts_then_bounces=True)
    assert verdict.judge(found)[:2] == (Status.CATCHALL, Reason.ACCEPT_ALL)


_texts = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["user unknown", "5.1.1 no such user", "4.1.1 user unknown", "mailbox disabled", "quota", "relay denied"]
    ),
)
_replies = st.builds(lambda code, text: replies.assemble(code, [text]), st.integers(200, 599), _texts)
_answers = st.builds(
    Answered, st.sampled_from(["mx1", "mx2"]), _replies, st.just(NOW), st.integers(1, 3), st.booleans()
)
_failures = st.builds(
    Failure, st.sampled_from(Stage), st.sampled_from(Cause), st.just("mx1"), st.just(NOW), st.none() | _replies
)
_PROOFS = {Meaning.NO_SUCH_USER, Meaning.REFUSED, Meaning.DISABLED, Meaning.RELAY_DENIED}


@given(
    st.sampled_from(RouteOutcome),
    st.lists(_answers, max_size=4),
    st.lists(_failures, max_size=3),
    st.none() | _answers,
)
def test_only_a_5xx_about_the_address_or_dns_makes_it_gone(
    route: RouteOutcome, answers: list[Answered], failures: list[Failure], probe: Answered | None
) -> None:
    found = Findings(route, ("mx1", "mx2"), tuple(answers), tuple(failures), probe)
    judged = verdict.judge(found)
    if judged.status is Status.NOT_EXISTS:
        is_gone_by_dns = route in {RouteOutcome.NO_DOMAIN, RouteOutcome.NO_MAIL_HOST, RouteOutcome.NULL_MX}
        proofs = [each for each in answers if replies.meaning_at_rcpt(each.reply) in _PROOFS and each.reply.code >= 500]
        assert is_gone_by_dns or proofs
    if judged.status in {Status.EXISTS, Status.CATCHALL}:
        assert route is RouteOutcome.MAIL_HOSTS
        assert answers


_AGAINST_US = [
    "blocked using zen.spamhaus.org",
    "Client host rejected: cannot find your reverse hostname",
    "your IP is on our block list (S3140), user unknown to us",
    "Service unavailable; Client host [192.0.2.1] blocked",
    "SPF validation failed",
    "Sender address rejected: Domain not found",
    "too many connections from your host",
]
_put_off = st.builds(lambda code, text: f"{code} {text}", st.integers(400, 499), _texts)
_blocking = st.builds(
    lambda code, enhanced, text: f"{code} {enhanced}{text}",
    st.sampled_from([550, 553, 554, 571]),
    st.sampled_from(["", "5.7.1 ", "5.7.25 ", "5.7.606 "]),
    st.sampled_from(_AGAINST_US),
)


@given(
    st.sampled_from([RouteOutcome.MAIL_HOSTS, RouteOutcome.DNS_FAILURE, RouteOutcome.UNROUTABLE]),
    st.lists(st.one_of(_put_off, _blocking), max_size=4),
    st.lists(_failures, max_size=3),
    st.none() | _answers,
)
def test_no_4xx_no_dns_failure_and_no_block_of_ours_ever_makes_it_gone(
    route: RouteOutcome, lines: list[str], failures: list[Failure], probe: Answered | None
) -> None:
    answers = tuple(answered(" ".join(line.split())) for line in lines)
    judged = verdict.judge(Findings(route, ("mx",), answers, tuple(failures), probe))
    assert judged.status is not Status.NOT_EXISTS
