"""Mail hosts on loopback addresses: plays sessions on sockets, with a round trip and handshakes where asked."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

from verifier.lab.host_memory import Greylist, Tally
from verifier.lab.log import Log
from verifier.lab.script import Script
from verifier.lab.session import Reply, Session, Then

_LINE_BYTES_MAX = 64 * 1024
_VERBS = frozenset(
    {"EHLO", "HELO", "STARTTLS", "MAIL", "RCPT", "RSET", "NOOP", "VRFY", "EXPN", "HELP", "AUTH", "DATA", "BDAT", "QUIT"}
)
OTHER_VERB = "…"
"""What everything else is counted as, so that no client can fill the counters."""
_BYTE_EVERY_SECONDS = 0.001


@dataclass(slots=True)
class MailHost:
    """A running mail host: its name, the domains that it serves and everything that outlives a connection."""

    name: str
    address: str
    script: Script
    domains: Collection[str]
    greylist: Greylist
    tally: Tally
    connections: set["Connection"] = field(default_factory=set)


class Connection(asyncio.Protocol):
    """One connection. Replies are worked out at once and sent when they are due, in order.

    A reply is due one round trip after the client's write came in, so that commands pipelined in one write pay for it
    once. Connecting itself is free on loopback: the round trip of the TCP handshake is not played.
    """

    def __init__(self, host: MailHost, log: Log, delay_seconds: float, tls: Callable[[], ssl.SSLContext]) -> None:
        self._host = host
        self._log = log
        self._delay_seconds = delay_seconds
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._outbox: deque[tuple[float, bytes, Then]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._is_deaf = False
        self._is_shaking_hands = False
        self._handshaking: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast("asyncio.Transport", transport)
        self._host.connections.add(self)
        self._number = self._log.connection(self._host.name)
        self._session = Session(
            host=self._host.name,
            domains=self._host.domains,
            script=self._host.script,
            greylist=self._host.greylist,
            tally=self._host.tally,
            client=self._transport.get_extra_info("peername")[0],
        )
        self._send(self._session.open(len(self._host.connections)))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        """Forget what was not sent. A broken handshake tells it here too, where the transport may not."""
        if self not in self._host.connections:
            return
        self._is_deaf = True
        if self._timer:
            self._timer.cancel()
        self._outbox.clear()
        self._host.connections.discard(self)
        self._log.disconnection(self._host.name, self._number)

    def data_received(self, data: bytes) -> None:
        """Answer every whole line; the rest waits for its end."""
        if self._is_shaking_hands:
            # Decrypted, but the transport that encrypts the replies is not here yet.
            self._buffer += data
            return
        if self._is_deaf:
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > _LINE_BYTES_MAX:
            self._transport.abort()
            return
        for line in lines:
            if not self._command(line.rstrip(b"\r").decode("utf-8", "replace")):
                return

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def _command(self, line: str) -> bool:
        """Answer one line; tells whether the next one is read."""
        word = line.partition(" ")[0].upper()
        verb = word if word in _VERBS else OTHER_VERB
        self._log.command(self._host.name, self._number, verb, line)
        reply = self._session.receive(line, is_pipelined=bool(self._outbox))
        if verb == "RCPT" and _is_refusal(reply.data):
            self._log.refusal(self._host.name, self._number, reply.data.decode("utf-8", "replace").rstrip())
        self._send(reply)
        return not self._is_deaf

    def _send(self, reply: Reply) -> None:
        due_at = self._loop.time() + self._delay_seconds
        if self._outbox:
            due_at = max(due_at, self._outbox[-1][0])
        due_at += reply.after_seconds
        # What comes in after the last word, or beside a handshake, is not read (RFC 3207 section 4.2).
        self._is_deaf = reply.then is not Then.GO_ON
        if self._host.script.byte_by_byte:
            for start, end in pairwise(range(len(reply.data))):
                due_at += _BYTE_EVERY_SECONDS
                self._outbox.append((due_at, reply.data[start:end], Then.GO_ON))
            self._outbox.append((due_at, reply.data[-1:], reply.then))
        else:
            self._outbox.append((due_at, reply.data, reply.then))
        if self._timer is None:
            self._timer = self._loop.call_at(self._outbox[0][0], self._flush)

    def _flush(self) -> None:
        self._timer = None
        _, due, then = self._outbox.popleft()
        now, is_one_by_one = self._loop.time(), self._host.script.byte_by_byte
        while then is Then.GO_ON and not is_one_by_one and self._outbox and self._outbox[0][0] <= now:
            _, data, then = self._outbox.popleft()
            due += data
        self._transport.write(due)
        if then is Then.CLOSE:
            self._transport.close()
        elif then is Then.BREAK_HANDSHAKE:
            self._transport.write(b"\x00 this is no handshake \x00")
            self._transport.close()
        elif then is Then.HANDSHAKE:
            self._handshaking = self._loop.create_task(self._handshake())
        elif self._outbox:
            self._timer = self._loop.call_at(self._outbox[0][0], self._flush)

    async def _handshake(self) -> None:
        self._session.encrypted()
        self._buffer = b""
        self._is_deaf, self._is_shaking_hands = False, True
        try:
            transport = await self._loop.start_tls(self._transport, self, self._tls(), server_side=True)
        except (OSError, ssl.SSLError):
            self._transport.abort()
            self.connection_lost(None)
            return
        self._transport = cast("asyncio.Transport", transport)
        self._is_shaking_hands = False
        self.data_received(b"")


def _is_refusal(reply: bytes) -> bool:
    return reply[:1] in (b"4", b"5") and not reply.startswith(b"452 4.5.3")
