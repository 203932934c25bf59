"""Mail to people: through a mail server when one is configured, else into the log of a development instance."""

import urllib.parse
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Protocol

import aiosmtplib
import structlog

from services import trust

_TIMEOUT_SECONDS = 20.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Letter:
    """One message. `link` is the only thing in it that a person needs."""

    to: str
    subject: str
    text: str
    link: str | None = None


class Mailer(Protocol):
    """Sends letters."""

    @property
    def is_real(self) -> bool:
        """Letters reach people."""

    async def send(self, letter: Letter) -> None:
        """Send one; raises nothing that the sender of the letter could mend."""


class LogMailer:
    """Writes the link of a letter into the log, where a developer finds it; in production only that there was one."""

    is_real = False

    def __init__(self, *, is_link_shown: bool) -> None:
        """`is_link_shown`: a link lets its reader in, so only in development."""
        self._is_link_shown = is_link_shown

    async def send(self, letter: Letter) -> None:
        """Log it."""
        shown = {"link": letter.link} if self._is_link_shown else {}
        log.info("mail is not configured: this letter was not sent", subject=letter.subject, **shown)


class SmtpMailer:
    """Speaks to a mail server (RFC 5321): `smtp://` with STARTTLS where it is offered, `smtps://` with TLS at once."""

    is_real = True

    def __init__(self, url: str, sender: str) -> None:
        """`url` is smtp[s]://[user:password@]host[:port]; `sender` the address in From."""
        parts = urllib.parse.urlsplit(url)
        self._is_tls = parts.scheme == "smtps"
        self._host, self._port = parts.hostname or "localhost", parts.port or (465 if self._is_tls else 587)
        self._user = urllib.parse.unquote(parts.username) if parts.username else None
        self._password = urllib.parse.unquote(parts.password) if parts.password else None
        self._sender = sender

    async def send(self, letter: Letter) -> None:
        """Hand it to the server; a failure is logged."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self._sender, letter.to, letter.subject
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=self._sender.rpartition("@")[2] or "localhost")
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(f"{letter.text}\n\n{letter.link}\n" if letter.link else f"{letter.text}\n")
        try:
            await aiosmtplib.send(
                message,
                hostname=self._host,
                port=self._port,
                username=self._user,
                password=self._password,
                use_tls=self._is_tls,
                tls_context=trust.context(),
                timeout=_TIMEOUT_SECONDS,
            )
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            log.warning("a letter could not be sent", subject=letter.subject, problem=type(error).__name__)
