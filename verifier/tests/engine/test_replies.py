"""What replies of real servers mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.engine import replies
from verifier.engine.replies import Meaning

NO_SUCH_USER = [
    "550 5.1.1 <x@y.example>: Recipient address rejected: User unknown in virtual mailbox table",
    "550 5.1.1 The email account that you tried to reach does not exist. Please try double-checking the address",
    "550 5.4.1 Recipient address rejected: Access denied. AS(201806281) [DB5.prod.protection.outlook.com]",
    "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
    "550 Requested action not taken: mailbox unavailable",
    "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).",
    "554 delivery error: dd This user doesn't have a yahoo.com account (x@yahoo.com) [0] - mta1.mail.yahoo.com",
    "550 Unrouteable address",
    "550 unrouteable address",
    "524 5.2.4 Mailing list expansion problem: <x@y.example>",
    "550 5.2.0 mailbox not here",
    "550 No such user here",
    "550 sorry, no mailbox here by that name. (#5.1.1)",
    "550 #5.1.0 Address rejected.",
    "511 sorry, no mailbox here by that name (#5.1.1 - chkuser)",
    "550 5.7.1 <x@y.example>: Recipient address rejected: User unknown",
    "501 5.1.3 Bad recipient address syntax",
    "550 Utilisateur inconnu",
    "550 Adresse d au moins un destinataire invalide. Invalid recipient.",
    "550 Benutzer unbekannt",
    "550 Empf\u00e4nger unbekannt",
    "550 El usuario no existe",
    "550 Utente sconosciuto",
    "550 Usu\u00e1rio desconhecido",
    "550 Gebruiker onbekend",
    "550 Нет такого пользователя",
    "550 \u7528\u6237\u4e0d\u5b58\u5728",
    "551 5.1.6 Recipient no longer here",
    "553 5.3.0 <x@y.example>... No such user here".replace("5.3.0 ", ""),
]
BLOCKED = [
    "554 5.7.1 Service unavailable; Client host [1.2.3.4] blocked using zen.spamhaus.org",
    "550 5.7.1 Client host rejected: cannot find your reverse hostname, [1.2.3.4]",
    "550 5.7.606 Access denied, banned sending IP [1.2.3.4]",
    "550 5.7.25 The IP address sending this message does not have a PTR record setup",
    "550 5.7.23 SPF validation failed",
    "550 Mail from 1.2.3.4 was rejected: listed on our block list (S3140)",
    "554 Your IP (1.2.3.4) is blocked",
    "550 5.0.0 rejected, your host is on the spamcop list",
    "554 5.7.1 mailbox unavailable",
    "550 5.7.1 user unknown or blocked by zen.spamhaus.org",
]
TABLE = [
    *((line, Meaning.NO_SUCH_USER) for line in NO_SUCH_USER),
    *((line, Meaning.BLOCKED) for line in BLOCKED),
    ("250 2.1.5 Ok", Meaning.ACCEPTED),
    ("250", Meaning.ACCEPTED),
    ("251 2.1.5 User not local; will forward", Meaning.ACCEPTED),
    ("252 2.1.5 Cannot VRFY user, but will accept message", Meaning.CANNOT_VERIFY),
    ("550 5.2.1 The email account that you tried to reach is disabled.", Meaning.DISABLED),
    ("550 mailbox disabled", Meaning.DISABLED),
    ("554 5.0.0 This account is inactive", Meaning.DISABLED),
    ("452 4.2.2 The email account that you tried to reach is over quota", Meaning.FULL),
    ("552 5.2.2 Mailbox size limit exceeded", Meaning.FULL),
    ("552 Requested mail action aborted: exceeded storage allocation", Meaning.FULL),
    ("550 5.1.1 user over quota", Meaning.FULL),
    ("452 Mailbox full", Meaning.FULL),
    ("450 4.2.1 The user you are trying to contact is receiving mail at a rate that", Meaning.RATE_LIMITED),
    ("450 4.2.1 Mailbox temporarily disabled", Meaning.TEMPORARY),
    ("452 4.3.1 Insufficient system storage", Meaning.SERVER_ERROR),
    ("451 4.3.0 Temporary lookup failure", Meaning.SERVER_ERROR),
    ("554 5.3.0 Server error", Meaning.SERVER_ERROR),
    ("450 4.2.0 <x@y.example>: Recipient address rejected: Greylisted, see http://postgrey", Meaning.GREYLISTED),
    ("451 4.7.1 Greylisting in action, please come back later", Meaning.GREYLISTED),
    ("451 4.7.1 Please try again later", Meaning.GREYLISTED),
    ("450 4.2.0 try again in five minutes", Meaning.GREYLISTED),
    ("450 4.1.1 <x@y.example>: Recipient address rejected: unverified address", Meaning.TEMPORARY),
    ("450 4.1.1 user unknown", Meaning.TEMPORARY),
    ("450 mailbox unavailable", Meaning.TEMPORARY),
    ("451 Requested action aborted: local error in processing", Meaning.TEMPORARY),
    ("452 4.5.3 Too many recipients", Meaning.TOO_MANY_RECIPIENTS),
    ("552 Too many recipients", Meaning.TOO_MANY_RECIPIENTS),
    ("550 5.1.8 <p@q.example>: Sender address rejected: Domain not found", Meaning.SENDER_REJECTED),
    ("550 5.1.7 Invalid sender", Meaning.SENDER_REJECTED),
    ("550 Sender verify failed", Meaning.SENDER_REJECTED),
    ("550 5.1.0 Sender address rejected: unknown", Meaning.SENDER_REJECTED),
    ("554 5.7.1 <x@y.example>: Relay access denied", Meaning.RELAY_DENIED),
    ("550 5.7.1 Unable to relay", Meaning.RELAY_DENIED),
    ("550 relay not permitted", Meaning.RELAY_DENIED),
    ("553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", Meaning.RELAY_DENIED),
    ("500 5.5.1 Command unrecognized", Meaning.PROTOCOL),
    ("503 5.5.1 Bad sequence of commands", Meaning.PROTOCOL),
    ("501 Syntax error", Meaning.PROTOCOL),
    ("530 5.7.0 Must issue a STARTTLS command first", Meaning.TLS_DEMANDED),
    ("550 5.6.7 SMTPUTF8 is needed", Meaning.EAI_UNSUPPORTED),
    ("550 Mail is not taken here", Meaning.REFUSED),
    ("550 <full@disabled.example>: no, thank you", Meaning.REFUSED),
    ("554 5.4.4 no way", Meaning.OTHER),
]


def reply(line: str) -> replies.Reply:
    parts = replies.split(line)
    assert parts is not None
    return replies.assemble(parts[0], [parts[2]])


@pytest.mark.parametrize(("line", "meaning"), TABLE)
def test_a_reply_means(line: str, meaning: Meaning) -> None:
    assert replies.meaning_at_rcpt(reply(line)) is meaning


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("421 4.3.2 too busy", Meaning.TEMPORARY),
        ("450 4.7.1 Greylisted", Meaning.GREYLISTED),
        ("554 5.7.1 blocked using zen.spamhaus.org", Meaning.BLOCKED),
        ("554 No SMTP service here", Meaning.BLOCKED),
        ("550 5.7.25 no PTR record", Meaning.BLOCKED),
        ("553 5.1.8 Sender address rejected: Domain not found", Meaning.SENDER_REJECTED),
        ("530 5.7.0 Must issue a STARTTLS command first", Meaning.TLS_DEMANDED),
        ("530 5.7.0 Authentication required", Meaning.BLOCKED),
        ("550 5.1.1 user unknown", Meaning.BLOCKED),
    ],
)
def test_before_rcpt_no_reply_speaks_of_a_mailbox(line: str, meaning: Meaning) -> None:
    assert replies.meaning_before_rcpt(reply(line)) is meaning


def test_lines_of_one_reply_are_joined_and_lose_their_enhanced_codes() -> None:
    joined = replies.assemble(550, ["5.1.1 The account", "5.1.1 does not exist"])
    assert (joined.code, joined.enhanced_code, joined.text) == (550, "5.1.1", "The account does not exist")


def test_an_ip_address_is_no_enhanced_code() -> None:
    assert reply("550 5.1.1.2 is not welcome").enhanced_code is None


@pytest.mark.parametrize("line", ["HTTP/1.1 400 Bad Request", "", "25", "250_ok", "999 no", "SSH-2.0-x"])
def test_what_is_no_reply_line_is_told(line: str) -> None:
    assert replies.split(line) is None


def test_bytes_are_read_as_utf8_and_else_as_latin_1() -> None:
    assert replies.decode("Empfänger".encode()) == "Empfänger"
    assert replies.decode("Empfänger".encode("latin-1")) == "Empfänger"


@given(st.integers(400, 499), st.text(max_size=80))
def test_no_4xx_ever_means_that_there_is_no_such_user(code: int, text: str) -> None:
    meaning = replies.meaning_at_rcpt(replies.assemble(code, [text]))
    assert meaning not in {Meaning.NO_SUCH_USER, Meaning.DISABLED, Meaning.REFUSED, Meaning.RELAY_DENIED}
