"""One SMTP session of a mail host, without any network: command lines go in, replies come out (RFC 5321)."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from verifier.lab import mailboxes
from verifier.lab.host_memory import Greylist, Tally
from verifier.lab.script import Script, Tls

_PATH = re.compile(r"(?:FROM|TO):\s*<(.*)>\s*(.*)", re.IGNORECASE)
_OVER_RATE = "451 4.7.1 <{address}>: Recipient address rejected: rate limit of {client} exceeded"
_BLOCKED = "554 5.7.1 Service unavailable; Client host [{client}] blocked for abuse"
_CLOSED_BY_SERVER = "421 4.7.0 {host} Error: too many errors"


class Then(Enum):
    """What happens once a reply was sent."""

    GO_ON = "go on"
    CLOSE = "close"
    HANDSHAKE = "handshake"
    BREAK_HANDSHAKE = "break handshake"


@dataclass(frozen=True, slots=True)
class Reply:
    """Bytes for the client, sent `after_seconds`."""

    data: bytes
    after_seconds: float = 0.0
    then: Then = Then.GO_ON


class Session:
    """The state of one connection: what was greeted, who sends, how many were refused."""

    def __init__(
        self,
        *,
        host: str,
        domains: Collection[str],
        script: Script,
        greylist: Greylist,
        tally: Tally,
        client: str = "127.0.0.1",
    ) -> None:
        self._host = host
        self._domains = domains
        self._script = script
        self._greylist = greylist
        self._tally = tally
        self._client = client
        self._is_greeted = False
        self._is_encrypted = False
        self._is_extended = False
        self._takes_utf8 = False
        self._sender: str | None = None
        self._recipients = 0
        self._refusals = 0

    def open(self, connections: int = 1) -> Reply:
        """What the host says first; `connections` counts the open ones, this one included."""
        script = self._script
        if script.connections_max is not None and connections > script.connections_max:
            return self._reply("421 4.7.0 {host} Error: too many connections from {client}", then=Then.CLOSE)
        if script.raw_banner is not None:
            return Reply(script.raw_banner, script.banner_after_seconds, Then.CLOSE)
        if self._tally.is_blocked(self._client):
            return self._reply(_BLOCKED, then=Then.CLOSE)
        then = Then.GO_ON if script.banner.startswith("2") else Then.CLOSE
        return self._reply(script.banner, then=then, after_seconds=script.banner_after_seconds)

    def receive(self, line: str, *, is_pipelined: bool = False) -> Reply:
        """Answer one command line. `is_pipelined`: it was sent before the reply to the one before was there."""
        script = self._script
        if is_pipelined and (script.drops_pipeliners or not (script.offers_pipelining and self._is_extended)):
            return Reply(b"", then=Then.CLOSE)
        if script.refusals_max is not None and self._refusals >= script.refusals_max and not is_quit(line):
            return self._reply(_CLOSED_BY_SERVER, then=Then.CLOSE)
        verb, _, argument = line.partition(" ")
        match verb.upper():
            case "EHLO" | "HELO" as greeting:
                return self._greet(greeting, argument)
            case "STARTTLS":
                return self._starttls()
            case "MAIL":
                return self._mail(argument)
            case "RCPT":
                return self._rcpt(argument)
            case "RSET":
                self._end_transaction()
                return self._reply("250 2.0.0 Ok")
            case "NOOP":
                return self._reply("250 2.0.0 Ok")
            case "VRFY":
                return self._reply("252 2.0.0 Send some mail, and it will be tried")
            case "DATA":
                return self._reply("451 4.3.0 The lab takes no messages")
            case "QUIT":
                return self._reply("221 2.0.0 Bye", then=Then.CLOSE)
        return self._reply("500 5.5.2 Error: command not recognized")

    def encrypted(self) -> None:
        """The handshake is done: everything that was said before is forgotten (RFC 3207 section 4.2)."""
        self._is_encrypted = True
        self._is_greeted = False
        self._end_transaction()

    def _greet(self, greeting: str, name: str) -> Reply:
        self._end_transaction()
        if self._script.wants_fqdn and "." not in name:
            return self._reply("504 5.5.2 Helo command rejected: need fully-qualified hostname")
        if greeting == "HELO":
            self._is_greeted = True
            self._is_extended = False
            return self._reply(self._script.helo)
        if self._script.ehlo is not None:
            return self._reply(self._script.ehlo)
        self._is_greeted = self._is_extended = True
        has_tls = self._script.tls is not Tls.ABSENT and not self._is_encrypted
        return self._reply("\n".join(["250 {host}", *self._script.extensions, *(["STARTTLS"] if has_tls else [])]))

    def _starttls(self) -> Reply:
        if self._is_encrypted or self._script.tls is Tls.ABSENT:
            return self._reply("503 5.5.1 Error: STARTTLS is not offered")
        if self._script.tls is Tls.TEMPORARILY_OUT:
            return self._reply("454 4.7.0 TLS not available due to temporary reason")
        is_broken = self._script.tls is Tls.BROKEN
        return self._reply("220 2.0.0 Ready to start TLS", then=Then.BREAK_HANDSHAKE if is_broken else Then.HANDSHAKE)

    def _mail(self, argument: str) -> Reply:
        script = self._script
        if not self._is_greeted:
            return self._reply("503 5.5.1 Error: send HELO/EHLO first")
        if script.tls is Tls.DEMANDED and not self._is_encrypted:
            return self._reply("530 5.7.0 Must issue a STARTTLS command first")
        path = _PATH.fullmatch(argument)
        if not path:
            return self._reply("501 5.5.4 Syntax: MAIL FROM:<address>")
        sender, parameters = path.groups()
        is_utf8_asked = "SMTPUTF8" in parameters.upper().split()
        if is_utf8_asked and not script.offers_smtputf8:
            return self._reply("555 5.5.4 Unsupported option: SMTPUTF8")
        if self._sender is not None:
            return self._reply("503 5.5.1 Error: nested MAIL command")
        answer = script.null_sender if not sender and script.null_sender is not None else script.mail
        if answer.startswith("2"):
            self._sender, self._takes_utf8 = sender, is_utf8_asked
        return self._reply(answer, sender=sender)

    def _rcpt(self, argument: str) -> Reply:
        if self._sender is None:
            return self._reply("503 5.5.1 Error: need MAIL command")
        path = _PATH.fullmatch(argument)
        if not path or "@" not in path[1]:
            return self._reply("501 5.5.4 Syntax: RCPT TO:<address>")
        script, address = self._script, path[1]
        self._recipients += 1
        if script.recipients_max is not None and self._recipients > script.recipients_max:
            return self._reply("452 4.5.3 Error: too many recipients")
        answer = self._recipient(address)
        self._refusals += not answer.startswith("2")
        after_seconds = script.rcpt_after_seconds
        if script.tarpit_after is not None and self._refusals > script.tarpit_after:
            after_seconds += script.tarpit_seconds
        then = Then.CLOSE if answer.startswith("5") and script.closes_after_refusal else Then.GO_ON
        return self._reply(answer, then=then, address=address, after_seconds=after_seconds)

    def _recipient(self, address: str) -> str:
        script = self._script
        if script.blocks_after is not None and self._tally.is_block_due(
            self._client, script.blocks_after, script.block_seconds
        ):
            return _BLOCKED
        if script.rate_max is not None and self._tally.is_over_rate(self._client, script.rate_max, script.rate_seconds):
            return _OVER_RATE
        local, _, domain = address.rpartition("@")
        if domain.lower() not in self._domains:
            return "554 5.7.1 <{address}>: Relay access denied"
        if not address.isascii() and not self._takes_utf8:
            return "553 5.6.7 <{address}>: the address requires SMTPUTF8"
        if script.greylist_seconds is not None and not self._greylist.is_open(
            self._client, self._sender or "", address, script.greylist_seconds
        ):
            return script.greylist
        if mailboxes.is_mailbox(local):
            return script.known
        return script.strange if script.strange is not None and not mailboxes.is_name(local) else script.unknown

    def _end_transaction(self) -> None:
        self._sender = None
        self._takes_utf8 = False
        self._recipients = 0

    def _reply(
        self, template: str, *, then: Then = Then.GO_ON, after_seconds: float = 0.0, address: str = "", sender: str = ""
    ) -> Reply:
        text = template.format(host=self._host, client=self._client, address=address, sender=sender)
        code, lines = text[:3], text[4:].split("\n")
        encoded = [
            f"{code}{' ' if number == len(lines) else '-'}{line}".encode(self._script.encoding, "replace")
            for number, line in enumerate(lines, 1)
        ]
        return Reply(b"".join(line + self._script.line_end for line in encoded), after_seconds, then)


def is_quit(line: str) -> bool:
    """Tell whether the client says goodbye."""
    return line[:4].upper() == "QUIT"
