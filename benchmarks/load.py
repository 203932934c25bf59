"""A load generator: so many connections that each send the next request when the last was answered. One process.

`python -m benchmarks.load` reads one job a line of standard input as JSON, {port, connections, seconds, requests:
[text]}, and writes one line for each: requests a second, p50 and p99 in milliseconds. Each connection looks for errors
in its first answer, and afterwards only at status and length, so that one core is worth some 20,000 requests a second.
"""

import asyncio
import itertools
import json
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

import uvloop

OK = b"HTTP/1.1 200"
LENGTH = b"content-length:"


class Connection(asyncio.Protocol):
    """One connection: a request, its whole answer, the next request."""

    def __init__(self, requests: Iterator[bytes], until: float, seconds: list[float]) -> None:
        """Ask until the moment `until` (perf_counter); `seconds` gets how long each answer took."""
        self._requests, self._until, self._seconds = requests, until, seconds
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._buffer, self._missing, self._started = b"", 0, 0.0
        self._is_checked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport: Any = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Take a piece of an answer; after the last one send the next request."""
        if self._missing:
            self._missing -= len(data)
            if not self._is_checked:
                self._buffer += data
        else:
            self._buffer += data
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end].lower()
            at = head.find(LENGTH)
            if not self._buffer.startswith(OK) or at < 0:
                self._fail(self._buffer[:2000])
                return
            length = int(head[at + len(LENGTH) :].split(b"\r", 1)[0])
            self._missing = end + 4 + length - len(self._buffer)
        if self._missing == 0:
            if not self._is_checked and (b'"errors"' in self._buffer or b":null}" in self._buffer[-10:]):
                self._fail(self._buffer[:2000])
                return
            self._is_checked = True
            now = time.perf_counter()
            self._seconds.append(now - self._started)
            if now < self._until:
                self._ask()
            else:
                self._transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        """Be done."""
        if not self.done.done():
            self.done.set_result(None)

    def _ask(self) -> None:
        self._buffer, self._started = b"", time.perf_counter()
        self._transport.write(next(self._requests))

    def _fail(self, text: bytes) -> None:
        self.done.set_exception(RuntimeError(f"an answer is not as it should be: {text!r}"))
        self._transport.close()


async def run(port: int, connections: int, seconds: float, requests: list[str]) -> dict[str, float]:
    """Ask for so many seconds."""
    loop, taken = asyncio.get_running_loop(), list[float]()
    endless = itertools.cycle([request.encode() for request in requests])
    started = time.perf_counter()
    opened = [
        (await loop.create_connection(lambda: Connection(endless, started + seconds, taken), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*(connection.done for connection in opened))
    passed = time.perf_counter() - started
    cuts = statistics.quantiles(taken, n=100)
    return {"rate": len(taken) / passed, "requests": len(taken), "p50_ms": cuts[49] * 1000, "p99_ms": cuts[98] * 1000}


def main() -> None:
    """Do the jobs of standard input, one after the other."""
    for line in sys.stdin:
        print(json.dumps(uvloop.run(run(**json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
