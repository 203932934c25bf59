"""A greeted session with one mail host: banner, EHLO or HELO, STARTTLS; then transactions of MAIL and RCPT."""

import asyncio
import itertools
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from verifier.engine import findings, wire
from verifier.engine.config import EngineConfig, Way
from verifier.engine.evidence import Evidence, Stage
from verifier.engine.findings import Cause, Failure
from verifier.engine.memory import HostMemory
from verifier.engine.replies import Reply
from verifier.engine.wire import Broken, Verb, Wire

_numbers = itertools.count(1)


class Ended(Exception):
    """The session ended; `failure` says where and why."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(str(failure.cause))


@dataclass(slots=True)
class Session:
    """An open session. Made by `open_session`; every method raises Ended when it cannot go on."""

    host: str
    address: str
    config: EngineConfig
    way: Way
    memory: HostMemory
    connection: Wire
    deadline: float
    expires_at: float
    """When no more batches are begun, on the loop's clock like the deadline, which ends everything."""
    number: int = field(default_factory=lambda: next(_numbers))
    extensions: dict[str, str] = field(default_factory=dict)
    trace: list[Evidence] = field(default_factory=list)
    recipients: int = 0
    """How many were asked about."""
    errors: int = 0
    """Commands that were refused, of whatever kind: hosts count them all before they slow down or hang up."""
    is_encrypted: bool = False
    has_tried_tls: bool = False
    has_said_quit: bool = False
    is_over: bool = False

    def has_room_for(self, refusals: int) -> bool:
        """Tell whether so many further refusals are still polite."""
        return self.errors + refusals <= self.config.refusals_per_connection

    @property
    def pipelines(self) -> bool:
        """Whether several commands may be sent at once (RFC 2920): offered, and never held against us."""
        return "PIPELINING" in self.extensions and not self.memory.drops_pipeliners

    async def greet(self, context: ssl.SSLContext) -> None:
        """Read the banner, say EHLO (HELO where that is refused), and encrypt where it is offered."""
        await self._expect(Stage.BANNER, self.config.budgets.banner_seconds, lambda reply: reply.code == 220)
        await self._say_ehlo()
        if ("STARTTLS" in self.extensions or self.memory.wants_tls) and not self.memory.breaks_tls:
            await self.encrypt(context)

    async def encrypt(self, context: ssl.SSLContext) -> bool:
        """Ask for TLS and greet again; return False where the server does not want it now."""
        self.has_tried_tls = True
        await self._send(wire.bare(Verb.STARTTLS))
        reply = await self._read(Stage.STARTTLS)
        self._note(Stage.STARTTLS, reply)
        if reply.code != 220:
            return False
        try:
            await self.connection.start_tls(context, self.host, self._until(self.config.budgets.command_seconds))
            self.is_encrypted = True
            await self._say_ehlo()
        except Broken as broken:
            self.memory.breaks_tls = True
            raise self._ended(Stage.STARTTLS, broken) from None
        except Ended:
            self.memory.breaks_tls = True
            raise
        return True

    async def mail(self, sender: str, *, with_smtputf8: bool = False) -> Reply:
        """Begin a transaction and return the reply."""
        await self._send(wire.envelope(Verb.MAIL, sender, with_smtputf8=with_smtputf8))
        return await self.mail_reply()

    async def mail_reply(self) -> Reply:
        """Read the reply to MAIL that was sent before."""
        reply = await self._read(Stage.MAIL)
        self._note(Stage.MAIL, reply)
        return reply

    async def send_transaction(
        self, sender: str, recipients: list[str], *, with_smtputf8: bool, anew: bool, is_last: bool
    ) -> None:
        """Send RSET (when a transaction is open), MAIL and every RCPT in one piece; the replies are read one by one.

        QUIT goes along with the last one (RFC 2920 section 3.1 has it at the end of a group): a round trip saved.
        """
        commands = [wire.bare(Verb.RSET)] if anew else []
        commands.append(wire.envelope(Verb.MAIL, sender, with_smtputf8=with_smtputf8))
        commands += [wire.envelope(Verb.RCPT, recipient) for recipient in recipients]
        if is_last:
            commands.append(wire.bare(Verb.QUIT))
            self.has_said_quit = True
        self.recipients += len(recipients)
        await self._send(*commands)

    async def send_recipients(self, recipients: list[str]) -> None:
        """Send RCPT commands within the open transaction."""
        self.recipients += len(recipients)
        await self._send(*(wire.envelope(Verb.RCPT, recipient) for recipient in recipients))

    async def rcpt_reply(self) -> Reply:
        """Read the next reply to a RCPT, without its single lines: it is remembered, and many lines take much room."""
        return replace(await self._read(Stage.RCPT), lines=())

    async def reset(self) -> None:
        """Forget the open transaction."""
        await self._send(wire.bare(Verb.RSET))
        await self.reset_reply()

    async def reset_reply(self) -> None:
        """Read the reply to a RSET that was sent before; no server that matters refuses it."""
        await self._read(Stage.MAIL)

    async def end(self) -> None:
        """Say goodbye, whatever happened before."""
        if self.is_over:
            await self.connection.close()
        else:
            self.is_over = True
            await self.connection.quit(self.config.budgets.quit_seconds, is_said=self.has_said_quit)

    async def _say_ehlo(self) -> None:
        name = wire.own_name(self.way.helo or self.config.helo, self.connection.local_address)
        self.extensions = {}
        if not self.memory.wants_helo:
            await self._send(wire.greeting(Verb.EHLO, name))
            try:
                reply = await self._read(Stage.EHLO)
            except Ended as ended:
                # Some old servers hang up on a command they do not know.
                self.memory.wants_helo = ended.failure.cause is Cause.CLOSED and not self.is_encrypted
                raise
            self._note(Stage.EHLO, reply)
            if reply.code == 250:
                self.extensions = _extensions(reply)
                return
            if reply.code < 500:
                raise Ended(findings.failed(Stage.EHLO, Cause.REPLY, self.host, reply=reply))
        await self._send(wire.greeting(Verb.HELO, name))
        await self._expect(Stage.EHLO, self.config.budgets.command_seconds, lambda reply: reply.code == 250)
        self.memory.wants_helo = True

    async def _expect(self, stage: Stage, seconds: float, is_welcome: Callable[[Reply], bool]) -> Reply:
        reply = await self._read(stage, seconds)
        self._note(stage, reply)
        if not is_welcome(reply):
            raise Ended(findings.failed(stage, Cause.REPLY, self.host, reply=reply))
        return reply

    async def _send(self, *commands: bytes) -> None:
        await self.connection.send(*commands)

    async def _read(self, stage: Stage, seconds: float | None = None) -> Reply:
        try:
            reply = await self.connection.reply(self._until(seconds or self.config.budgets.command_seconds))
        except Broken as broken:
            raise self._ended(stage, broken) from None
        if reply.code == 421:
            # RFC 5321 section 3.8: the server is about to close the connection, whatever was asked.
            self.is_over = True
            raise Ended(findings.failed(stage, Cause.REPLY, self.host, reply=reply))
        self.errors += reply.code >= 400
        return reply

    def _ended(self, stage: Stage, broken: Broken) -> Ended:
        self.is_over = broken.cause is Cause.CLOSED or self.is_over
        return Ended(findings.failed(stage, broken.cause, self.host, detail=broken.detail))

    def _until(self, seconds: float) -> float:
        return min(asyncio.get_running_loop().time() + seconds, self.deadline)

    def _note(self, stage: Stage, reply: Reply) -> None:
        self.trace.append(findings.of_reply(stage, self.host, reply, datetime.now(UTC)))


async def open_session(
    host: str,
    address: str,
    port: int,
    *,
    config: EngineConfig,
    way: Way,
    memory: HostMemory,
    context: ssl.SSLContext,
    deadline: float,
) -> Session:
    """Connect to one address of a mail host and greet; raise Ended.

    A server that breaks off at TLS or EHLO is met once more without it.
    """
    flags_before = (memory.breaks_tls, memory.wants_helo)
    for _ in range(3):
        flags = (memory.breaks_tls, memory.wants_helo)
        now = asyncio.get_running_loop().time()
        try:
            connection = await Wire.connect(address, port, way, min(now + config.budgets.connect_seconds, deadline))
        except Broken as broken:
            raise Ended(findings.failed(Stage.CONNECT, broken.cause, host, detail=broken.detail)) from None
        session = Session(
            host, address, config, way, memory, connection, deadline, expires_at=now + config.budgets.session_seconds
        )
        text = f"{address} port {port}{_from(way)}"
        session.trace.append(Evidence(Stage.CONNECT, datetime.now(UTC), host=host, text=text))
        try:
            await session.greet(context)
        except Ended:
            await session.end()
            if flags == (memory.breaks_tls, memory.wants_helo):
                # What helped no more was not the cause: it is not held against the host.
                memory.breaks_tls, memory.wants_helo = flags_before
                raise
        except BaseException:
            connection.abandon()
            raise
        else:
            return session
    raise Ended(findings.failed(Stage.EHLO, Cause.CLOSED, host))


def _from(way: Way) -> str:
    """Return where we came from, where that was chosen."""
    if way.proxy is not None:
        return f" by way of {way.proxy.host} port {way.proxy.port}"
    return f" from {way.source}" if way.source else ""


def _extensions(reply: Reply) -> dict[str, str]:
    """Return the keywords of an EHLO reply with their parameters (RFC 5321 section 4.1.1.1)."""
    words = [line.upper().split(None, 1) for line in reply.lines[1:] if line.strip()]
    return {each[0]: each[1] if len(each) > 1 else "" for each in words}
