"""One SMTP connection: commands out, replies in, TLS. It can say only what cannot be misread, and never DATA."""

import asyncio
import contextlib
import errno
import re
import ssl
from enum import Enum

from verifier.engine import replies, socks
from verifier.engine.config import Way
from verifier.engine.findings import Cause
from verifier.engine.replies import Reply

LINE_BYTES_MAX = 64 * 1024
_REPLY_LINES_MAX = 256
_REPLY_BYTES_MAX = 2 * LINE_BYTES_MAX
_READ_BYTES = 64 * 1024

_WORD = re.compile(r"[A-Za-z0-9.:_\-\[\]]{1,255}")
# A path is one word, but that a quoted local part may hold blanks within its quotes (RFC 5321 section 4.1.2).
_PATH = re.compile(
    r'(?:"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*"|[^\s"<>\\\x00-\x20\x7f]+)@[A-Za-z0-9.\-\[\]:]{1,255}'
)


class Verb(Enum):
    """The commands that this client knows; DATA and BDAT are not among them."""

    EHLO = "EHLO"
    HELO = "HELO"
    STARTTLS = "STARTTLS"
    MAIL = "MAIL FROM:"
    RCPT = "RCPT TO:"
    RSET = "RSET"
    QUIT = "QUIT"


class Broken(Exception):
    """The conversation cannot go on; `cause` says why."""

    def __init__(self, cause: Cause, detail: str = "") -> None:
        self.cause = cause
        self.detail = detail
        super().__init__(f"{cause}: {detail}")


def is_name(text: str) -> bool:
    """Tell whether a text may be said in EHLO: one word, so that no second command can hide in it."""
    return _WORD.fullmatch(text) is not None


def is_path(text: str) -> bool:
    """Tell whether a text may stand in MAIL FROM or RCPT TO."""
    return _PATH.fullmatch(text) is not None


def own_name(name: str, local_address: str) -> str:
    """Return how we call ourselves: by name, or by our address where it has no dot (RFC 5321 section 4.1.4)."""
    if "." in name:
        return name
    return f"[IPv6:{local_address}]" if ":" in local_address else f"[{local_address}]"


def greeting(verb: Verb, name: str) -> bytes:
    """Return the EHLO or HELO command."""
    if not is_name(name):
        raise ValueError(f"not a name to greet with: {name!r}")
    return f"{verb.value} {name}\r\n".encode("ascii")


def envelope(verb: Verb, path: str, *, with_smtputf8: bool = False) -> bytes:
    """Return the MAIL or RCPT command for an address; the empty path is the null sender."""
    if path and not is_path(path):
        raise ValueError(f"not a path: {path!r}")
    return f"{verb.value}<{path}>{' SMTPUTF8' if with_smtputf8 else ''}\r\n".encode()


def bare(verb: Verb) -> bytes:
    """Return a command without an argument."""
    return f"{verb.value}\r\n".encode("ascii")


def tls_context() -> ssl.SSLContext:
    """Return the context of opportunistic TLS (RFC 3207): the peer's name is not checked, as between mail hosts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Wire:
    """An open connection. Every wait has a deadline on the loop's clock; what goes wrong is Broken."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._buffer = bytearray()

    @classmethod
    async def connect(cls, address: str, port: int, way: Way, deadline: float) -> "Wire":
        """Open a connection to a numeric address; raise Broken(UNREACHABLE, NO_WAY_OUT or EXPIRED)."""
        try:
            async with asyncio.timeout_at(deadline):
                if way.proxy is not None:
                    reader, writer = await socks.connect(way.proxy, address, port)
                else:
                    local = (way.source, 0) if way.source else None
                    reader, writer = await asyncio.open_connection(address, port, local_addr=local)
        except TimeoutError:
            raise Broken(Cause.EXPIRED, f"{address} port {port}") from None
        except socks.ProxyFailed as failed:
            raise Broken(Cause.NO_WAY_OUT, str(failed)) from None
        except (OSError, socks.TargetFailed) as error:
            # What cannot be bound is no address of this machine: the mail host was not asked at all.
            is_ours = isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL and way.source is not None
            text = getattr(error, "strerror", None) or str(error)
            detail = f"source address {way.source}: {text}" if is_ours else f"{address} port {port}: {text}"
            raise Broken(Cause.NO_WAY_OUT if is_ours else Cause.UNREACHABLE, detail) from None
        return cls(reader, writer)

    @property
    def local_address(self) -> str:
        """The numeric address of our end."""
        name = self._writer.get_extra_info("sockname")
        return str(name[0]) if name else "127.0.0.1"

    async def send(self, *commands: bytes) -> None:
        """Write commands in one piece; whoever closed the connection is found out when a reply is read."""
        with contextlib.suppress(OSError):
            self._writer.write(b"".join(commands))
            await self._writer.drain()

    async def reply(self, deadline: float) -> Reply:
        """Read one reply, of any number of lines; raise Broken."""
        try:
            async with asyncio.timeout_at(deadline):
                return await self._whole_reply()
        except TimeoutError:
            raise Broken(Cause.EXPIRED) from None
        except (OSError, ssl.SSLError) as error:
            raise Broken(Cause.CLOSED, str(error)) from None

    async def start_tls(self, context: ssl.SSLContext, server_name: str, deadline: float) -> None:
        """Begin TLS once the server is ready; raise Broken. What was sent before is forgotten (CVE-2011-0411)."""
        self._buffer.clear()
        try:
            async with asyncio.timeout_at(deadline):
                await self._writer.start_tls(context, server_hostname=server_name)
        except TimeoutError:
            raise Broken(Cause.EXPIRED, "TLS handshake") from None
        except (OSError, ssl.SSLError, ValueError) as error:
            raise Broken(Cause.CLOSED, f"TLS handshake: {error}") from None

    async def quit(self, seconds: float, *, is_said: bool = False) -> None:
        """Say QUIT (unless that was said), wait a moment for the goodbye, and close."""
        try:
            with contextlib.suppress(OSError, Broken):
                if not is_said:
                    await self.send(bare(Verb.QUIT))
                await self.reply(asyncio.get_running_loop().time() + seconds)
        finally:
            self._writer.close()  # even when nobody waits for the goodbye any more
        await self.close()

    async def close(self) -> None:
        """Close at once."""
        self._writer.close()
        with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
            async with asyncio.timeout(1.0):
                await self._writer.wait_closed()

    def abandon(self) -> None:
        """Say QUIT and close without waiting: for a conversation that is being cancelled."""
        with contextlib.suppress(OSError, RuntimeError):
            self._writer.write(bare(Verb.QUIT))
        self._writer.close()

    async def _whole_reply(self) -> Reply:
        texts: list[str] = []
        size = 0
        while len(texts) < _REPLY_LINES_MAX and size < _REPLY_BYTES_MAX:
            received = await self._line()
            size += len(received)
            line = replies.decode(received)
            parts = replies.split(line)
            if parts is None:
                raise Broken(Cause.NOT_SMTP, line[:120])
            code, is_last, text = parts
            texts.append(text)
            if is_last:
                return replies.assemble(code, texts)
        raise Broken(Cause.NOT_SMTP, "a reply without an end")

    async def _line(self) -> bytes:
        """Return the next line without its end; a bare LF ends a line too."""
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > LINE_BYTES_MAX:
                raise Broken(Cause.NOT_SMTP, "a line over 64 KiB")
            received = await self._reader.read(_READ_BYTES)
            if not received:
                if not self._buffer:
                    raise Broken(Cause.CLOSED)
                end = len(self._buffer)
                break
            self._buffer += received
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line.rstrip(b"\r")
