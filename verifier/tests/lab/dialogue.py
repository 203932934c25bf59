"""A plain SMTP client for talking to the lab: sends lines, reads whole replies, decides nothing."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from verifier.lab import Lab

TIMEOUT_SECONDS = 5.0


class Dialogue:
    """One connection to a mail host of the lab."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        """Return one reply, all its lines; what was left of one when the host hung up (nothing: b"")."""
        reply = b""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while line := await self._reader.readline():
                reply += line
                if line[3:4] != b"-":
                    break
        return reply

    def send(self, *lines: str) -> None:
        """Send command lines in one write."""
        self._writer.write("".join(f"{line}\r\n" for line in lines).encode())

    async def ask(self, line: str) -> bytes:
        """Send one command line and return the reply."""
        self.send(line)
        return await self.read()

    async def greet(self, domain: str, sender: str = "probe@client.test") -> None:
        """Go as far as an open transaction; `domain` is not looked at by the host."""
        for line in (f"EHLO {domain}", f"MAIL FROM:<{sender}>"):
            reply = await self.ask(line)
            assert reply.startswith(b"250"), reply

    async def encrypt(self) -> str:
        """Shake hands without looking at the certificate; return the version of TLS."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        await self._writer.start_tls(context, ssl_handshake_timeout=TIMEOUT_SECONDS)
        return str(self._writer.get_extra_info("ssl_object").version())


@asynccontextmanager
async def dialogue(lab: Lab, host: str) -> AsyncIterator[Dialogue]:
    """Connect to a mail host by its short name; the greeting is still to be read."""
    reader, writer = await asyncio.open_connection(lab.geography.addresses[host], lab.smtp_port)
    try:
        yield Dialogue(reader, writer)
    finally:
        writer.close()
        # The other side may have hung up first.
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
