"""The name server of the lab: authoritative for one zone, over UDP (with truncation) and TCP (RFC 1035)."""

import asyncio
import struct
from typing import Protocol

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from verifier.lab.log import Log

TTL_SECONDS = 300
NEGATIVE_TTL_SECONDS = 60
_UDP_BYTES_MIN = 512
_UDP_BYTES_MAX = 1232


class Answer:
    """What is told about one name: records by type, or a code; or that nothing is said, or little over UDP."""

    def __init__(
        self,
        records: dict[str, list[str]] | None = None,
        *,
        code: dns.rcode.Rcode = dns.rcode.NOERROR,
        is_silent: bool = False,
        is_truncated: bool = False,
    ) -> None:
        self.records = records or {}
        self.code = code
        self.is_silent = is_silent
        self.is_truncated = is_truncated


class Records(Protocol):
    """What the server knows."""

    @property
    def origin(self) -> str:
        """The zone that it is authoritative for, without the last dot."""
        ...

    def find(self, name: str) -> Answer | None:
        """The answer for a lower-case name; None where there is no such name."""
        ...


class NameServer:
    """Answers questions; knows nothing of sockets."""

    def __init__(self, records: Records, log: Log) -> None:
        self._records = records
        self._log = log
        origin = records.origin
        self._origin = dns.name.from_text(origin)
        self._soa = dns.rrset.from_text(
            f"{origin}.",
            NEGATIVE_TTL_SECONDS,
            "IN",
            "SOA",
            f"ns.{origin}. hostmaster.{origin}. 1 3600 600 86400 {NEGATIVE_TTL_SECONDS}",
        )

    def answer(self, wire: bytes, *, over_tcp: bool) -> bytes | None:
        """The reply to a query in wire format; None where nothing is said: no query, or a silent name."""
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        if query.flags & dns.flags.QR or len(query.question) != 1:
            return None
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        record_type = dns.rdatatype.to_text(question.rdtype)
        self._log.question(name, record_type, "TCP" if over_tcp else "UDP")
        response = dns.message.make_response(query, our_payload=_UDP_BYTES_MAX)
        if not question.name.is_subdomain(self._origin):
            response.set_rcode(dns.rcode.REFUSED)
            return response.to_wire()
        response.flags |= dns.flags.AA
        found = self._fill(response, name, record_type)
        if found is not None and found.is_silent:
            return None
        if over_tcp:
            return response.to_wire(max_size=65535)
        payload = min(max(query.payload, _UDP_BYTES_MIN), _UDP_BYTES_MAX)
        return _truncated(response, payload, always=found is not None and found.is_truncated)

    def _fill(self, response: dns.message.Message, name: str, record_type: str) -> Answer | None:
        """Put in the records, following aliases; tells what was found for the name asked."""
        first = found = self._records.find(name)
        while found and (target := found.records.get("CNAME")) and record_type != "CNAME":
            response.answer.append(dns.rrset.from_text(f"{name}.", TTL_SECONDS, "IN", "CNAME", *target))
            name = target[0].rstrip(".")
            found = self._records.find(name)
        if found is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
            response.authority.append(self._soa)
            return first
        response.set_rcode(found.code)
        records = found.records.get(record_type)
        if record_type == "SOA" and name == self._records.origin:
            response.answer.append(self._soa)
        elif records:
            response.answer.append(dns.rrset.from_text(f"{name}.", TTL_SECONDS, "IN", record_type, *records))
        elif found.code == dns.rcode.NOERROR:
            response.authority.append(self._soa)
        return first


def _truncated(response: dns.message.Message, payload: int, *, always: bool) -> bytes:
    if not always:
        try:
            return response.to_wire(max_size=payload)
        except dns.exception.TooBig:
            pass
    response.flags |= dns.flags.TC
    response.answer.clear()
    response.authority.clear()
    return response.to_wire(max_size=payload)


class UdpServer(asyncio.DatagramProtocol):
    """The name server's UDP side; every reply is held back by the round trip."""

    def __init__(self, server: NameServer, delay_seconds: float) -> None:
        self._server = server
        self._delay_seconds = delay_seconds

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # no other comes
        """Keep the way to send."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one query."""
        reply = self._server.answer(data, over_tcp=False)
        if reply is None:
            return
        if self._delay_seconds:
            asyncio.get_running_loop().call_later(self._delay_seconds, self._send, reply, addr)
        else:
            self._send(reply, addr)

    def _send(self, reply: bytes, address: tuple[str, int]) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(reply, address)


async def serve_tcp(
    server: NameServer, delay_seconds: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer the queries of one TCP connection (RFC 7766), until the client has no more."""
    try:
        while True:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            reply = server.answer(await reader.readexactly(length), over_tcp=True)
            if reply is None:
                continue
            await asyncio.sleep(delay_seconds)
            writer.write(struct.pack("!H", len(reply)) + reply)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()
