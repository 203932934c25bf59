"""How a mail host of the lab behaves: a script is data, the session plays it."""

from dataclasses import dataclass
from enum import Enum

EXTENSIONS = ("PIPELINING", "SIZE 10240000", "ENHANCEDSTATUSCODES", "8BITMIME")
TAKEN = "250 2.1.5 Ok"
RELAY = "554 5.7.1 <{address}>: Relay access denied"
FAULT = "451 4.3.0 <{address}>: Temporary lookup failure"


class Tls(Enum):
    """What a host does with STARTTLS."""

    ABSENT = "absent"
    OFFERED = "offered"
    DEMANDED = "demanded"
    """MAIL is answered 530 until the session is encrypted."""
    TEMPORARILY_OUT = "temporarily out"
    """Offered, and answered 454."""
    BROKEN = "broken"
    """Offered, answered 220, and then no handshake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One behaviour of a mail host.

    Replies are templates: `{host}`, `{address}` (the recipient), `{sender}` and `{client}` are filled in, and further
    lines make a multi-line reply. Times are seconds.
    """

    banner: str = "220 {host} ESMTP ready"
    raw_banner: bytes | None = None
    """Sent instead of a banner, whereupon the connection is closed: a host that does not speak SMTP."""
    banner_after_seconds: float = 0.0
    ehlo: str | None = None
    """The reply to EHLO where it is refused."""
    helo: str = "250 {host}"
    wants_fqdn: bool = False
    """A greeting without a dot in its name is refused (RFC 5321 section 4.1.4)."""
    connections_max: int | None = None
    """Open connections of one client; further ones are greeted with 421."""
    extensions: tuple[str, ...] = EXTENSIONS
    tls: Tls = Tls.ABSENT
    mail: str = "250 2.1.0 Ok"
    null_sender: str | None = None
    """The reply to `MAIL FROM:<>` where it differs."""
    known: str = "250 2.1.5 Ok"
    unknown: str = "550 5.1.1 <{address}>: Recipient address rejected: User unknown in virtual mailbox table"
    strange: str | None = None
    """The reply for a recipient that does not even look like a name, where it differs from `unknown`."""
    rcpt_after_seconds: float = 0.0
    greylist_seconds: float | None = None
    """A recipient is put off until this long after it was first asked for by the same client and sender."""
    greylist: str = (
        "450 4.2.0 <{address}>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/{host}"
    )
    recipients_max: int | None = None
    """Recipients a transaction; the next ones are answered 452 4.5.3 (RFC 5321 section 4.5.3.1.10)."""
    refusals_max: int | None = None
    """Refused recipients a connection; the next command is answered 421 and the connection closed."""
    tarpit_after: int | None = None
    """Refused recipients a connection; each further reply to RCPT takes `tarpit_seconds`."""
    tarpit_seconds: float = 1.0
    rate_max: int | None = None
    """Recipients of a client in `rate_seconds`; the next ones are answered 451, and not counted."""
    rate_seconds: float = 60.0
    blocks_after: int | None = None
    """Recipients of a client, after which it is refused everything for `block_seconds`."""
    block_seconds: float = 600.0
    closes_after_refusal: bool = False
    drops_pipeliners: bool = False
    encoding: str = "utf-8"
    line_end: bytes = b"\r\n"
    byte_by_byte: bool = False

    @property
    def offers_pipelining(self) -> bool:
        """RFC 2920: whether several commands may be sent at once."""
        return "PIPELINING" in self.extensions

    @property
    def offers_smtputf8(self) -> bool:
        """RFC 6531: whether recipients outside ASCII are taken."""
        return "SMTPUTF8" in self.extensions


UTF8 = Script(extensions=(*EXTENSIONS, "SMTPUTF8"))
