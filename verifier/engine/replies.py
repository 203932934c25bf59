"""SMTP replies: their parts, and what they mean to somebody who asked about a mailbox. Pure functions."""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from verifier.engine import wording

_TEXT_LENGTH_MAX = 200
_MEANINGS_MAX = 4096
_READ_LENGTH_MAX = 1000  # what is said later in a reply says nothing about the mailbox
_REPLY_LINE = re.compile(r"([2-5]\d\d)(?:([ -])(.*))?", re.DOTALL)
# RFC 3463, at the head of the text as RFC 2034 wants it, or marked by # ( [ as some servers write it.
_ENHANCED_AT_HEAD = re.compile(r"\W{0,2}([245])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")
_ENHANCED_MARKED = re.compile(r"[#(\[<]\s?([45])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")

_ADDRESS = re.compile(r"\S*@\S+")
_NAME = re.compile(r"(?<![\w.-])[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+")

_NO_SUCH_USER_CODES = frozenset({"1.0", "1.1", "1.2", "1.3", "1.6", "1.10", "2.0", "2.4", "4.1"})
_SYNTAX_CODES = frozenset({500, 501, 502, 503, 504})
_SENDER_CODES = frozenset({"1.7", "1.8"})


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole reply: its code, its enhanced code (RFC 3463) if any, and its text, lines joined by blanks."""

    code: int
    enhanced_code: str | None
    text: str
    lines: tuple[str, ...] = ()
    """The text line by line, as EHLO needs it; of a refusal, which may be remembered for long, nothing."""

    @property
    def subject(self) -> str:
        """The enhanced code without its class, "1.1" of "5.1.1"; the class is the basic code's business."""
        return self.enhanced_code.split(".", 1)[1] if self.enhanced_code else ""

    @property
    def words(self) -> str:
        """The text without addresses and host names, whose parts are nobody's words: think of full@closed.example."""
        plain = _ADDRESS.sub(" ", self.text) if "@" in self.text else self.text
        return _NAME.sub(lambda name: name[0] if wording.LISTED.search(name[0]) else " ", plain)

    @property
    def short_text(self) -> str:
        """The text as evidence keeps it: at most 200 characters."""
        return self.text[:_TEXT_LENGTH_MAX]


class Meaning(StrEnum):
    """What a reply to RCPT says about the mailbox."""

    ACCEPTED = "accepted"
    CANNOT_VERIFY = "cannot verify"
    NO_SUCH_USER = "no such user"
    REFUSED = "refused without a reason"
    DISABLED = "disabled"
    FULL = "full"
    RATE_LIMITED = "rate limited"
    GREYLISTED = "greylisted"
    TEMPORARY = "temporary"
    TOO_MANY_RECIPIENTS = "too many recipients"
    SERVER_ERROR = "server error"
    BLOCKED = "blocked"
    SENDER_REJECTED = "sender rejected"
    RELAY_DENIED = "relay denied"
    TLS_DEMANDED = "tls demanded"
    EAI_UNSUPPORTED = "eai unsupported"
    PROTOCOL = "protocol"
    OTHER = "other"


REFUSALS = frozenset({Meaning.NO_SUCH_USER, Meaning.REFUSED, Meaning.DISABLED, Meaning.RELAY_DENIED, Meaning.OTHER})
"""A random recipient that is answered so shows that the domain does not take every name."""


def decode(line: bytes) -> str:
    """Return a reply line as text: UTF-8 (RFC 6531), else Latin-1, which never fails."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def split(line: str) -> tuple[int, bool, str] | None:
    """Return the code of a reply line, whether it is the last one, and its text; None if it is no reply line."""
    match = _REPLY_LINE.fullmatch(line)
    if match is None:
        return None
    return int(match[1]), match[2] != "-", match[3] or ""


def assemble(code: int, texts: list[str]) -> Reply:
    """Return the reply that lines of text make; the enhanced code is taken off each line."""
    enhanced_code: str | None = None
    plain: list[str] = []
    for text in texts:
        match = _ENHANCED_AT_HEAD.match(text)
        if match is not None:
            enhanced_code = enhanced_code or f"{match[1]}.{int(match[2])}.{int(match[3])}"
            plain.append(text[match.end() :].lstrip("])>: -"))
        else:
            plain.append(text)
    joined = " ".join(" ".join(plain).split())[:_READ_LENGTH_MAX]
    if enhanced_code is None and code >= 400:
        marked = _ENHANCED_MARKED.search(joined)
        if marked is not None:
            enhanced_code = f"{marked[1]}.{int(marked[2])}.{int(marked[3])}"
    return Reply(code, enhanced_code, joined, tuple(plain) if code < 300 and len(plain) > 1 else ())


@lru_cache(maxsize=_MEANINGS_MAX)
def meaning_at_rcpt(reply: Reply) -> Meaning:
    """Return what a reply to RCPT means. Code class first, then enhanced code, then text, but for four cases.

    Text beats the codes: "user unknown" inside 5.7.1; quota words inside 452, 552, 550; greylist words inside 4xx;
    block-list words inside a 5xx without an X.1, X.2 or X.4 code. Nothing but a 5xx means that there is no such user.
    """
    if reply.code in {250, 251}:
        return Meaning.ACCEPTED
    if 200 <= reply.code < 300:
        return Meaning.CANNOT_VERIFY
    if reply.code >= 400:
        return _meaning_of_refusal(reply.code, reply.subject, reply.words)
    return Meaning.PROTOCOL


@lru_cache(maxsize=_MEANINGS_MAX)
def _meaning_of_refusal(code: int, subject: str, words: str) -> Meaning:
    """Return what a refusal means. A host says the same words to everybody: they are read once."""
    return _meaning_of_4xx(code, subject, words) if code < 500 else _meaning_of_5xx(code, subject, words)


def _meaning_of_4xx(code: int, subject: str, text: str) -> Meaning:
    if wording.GREYLISTED.search(text):
        return Meaning.GREYLISTED
    if subject == "5.3" or wording.TOO_MANY_RECIPIENTS.search(text):
        return Meaning.TOO_MANY_RECIPIENTS
    if subject == "2.2" or (code == 452 and wording.QUOTA.search(text)):
        return Meaning.FULL
    if subject in {"2.1", ""} and wording.RATE.search(text):
        return Meaning.RATE_LIMITED
    if subject.startswith("3."):
        return Meaning.SERVER_ERROR
    if subject in {"2.0", "7.1"} and wording.TRY_AGAIN.search(text):
        return Meaning.GREYLISTED
    return Meaning.TEMPORARY


def _meaning_of_5xx(code: int, subject: str, text: str) -> Meaning:
    if code == 530:
        return Meaning.TLS_DEMANDED
    if code in _SYNTAX_CODES and not (code == 501 and subject in _NO_SUCH_USER_CODES):
        return Meaning.PROTOCOL
    if subject == "5.3" or wording.TOO_MANY_RECIPIENTS.search(text):
        return Meaning.TOO_MANY_RECIPIENTS
    if subject == "6.7":
        return Meaning.EAI_UNSUPPORTED
    if subject == "2.2" or (code in {550, 552} and wording.QUOTA.search(text)):
        return Meaning.FULL
    if subject in _SENDER_CODES or subject.startswith("7.") or (subject == "1.0" and wording.SENDER.search(text)):
        return _meaning_of_policy(subject, text)
    if wording.RELAY.search(text):
        return Meaning.RELAY_DENIED
    if subject == "2.1":
        return Meaning.DISABLED
    return Meaning.NO_SUCH_USER if subject in _NO_SUCH_USER_CODES else _meaning_of_words(subject, text)


def _meaning_of_words(subject: str, text: str) -> Meaning:
    """Read the text of a 5xx whose codes say nothing about the mailbox."""
    if not subject.startswith(("1.", "2.", "4.")):
        if wording.SENDER.search(text):
            return Meaning.SENDER_REJECTED
        if wording.BLOCKED.search(text):
            return Meaning.BLOCKED
    if subject.startswith("3."):
        return Meaning.SERVER_ERROR
    if wording.DISABLED.search(text):
        return Meaning.DISABLED
    if wording.NO_SUCH_USER.search(text):
        return Meaning.NO_SUCH_USER
    return Meaning.REFUSED if subject in {"", "0.0", "5.0"} else Meaning.OTHER


def _meaning_of_policy(subject: str, text: str) -> Meaning:
    """Tell apart what 5.7.x, 5.1.7 and 5.1.8 stand for."""
    if wording.RELAY.search(text):
        return Meaning.RELAY_DENIED
    if wording.SENDER.search(text):
        return Meaning.SENDER_REJECTED
    if wording.USER_UNKNOWN.search(text) and not wording.LISTED.search(text):
        return Meaning.NO_SUCH_USER
    if subject in _SENDER_CODES or subject == "1.0":
        return Meaning.SENDER_REJECTED
    return Meaning.BLOCKED


def meaning_before_rcpt(reply: Reply) -> Meaning:
    """Return what an unwelcome reply at the banner, EHLO, STARTTLS or MAIL means; it never speaks of a mailbox."""
    if reply.code < 500:
        return Meaning.GREYLISTED if wording.GREYLISTED.search(reply.words) else Meaning.TEMPORARY
    if reply.code == 530 and not wording.AUTHENTICATION.search(reply.words):
        return Meaning.TLS_DEMANDED
    if reply.subject == "6.7":
        return Meaning.EAI_UNSUPPORTED
    if reply.subject in _SENDER_CODES or (
        wording.SENDER.search(reply.words) and not wording.LISTED.search(reply.words)
    ):
        return Meaning.SENDER_REJECTED
    return Meaning.BLOCKED
