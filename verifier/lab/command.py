"""The lab as a program: runs until it is told to stop."""

import asyncio
from collections.abc import Callable

from verifier.lab.internet import Lab


async def run(
    *, dns_port: int, smtp_port: int, delay_seconds: float, ready: Callable[[], None], stop: asyncio.Event
) -> None:
    """Serve the sandbox on the given ports (0: a free one); call `ready` once it answers, return once `stop` is set.

    Raises OSError where a port is in use.
    """
    async with Lab(dns_port, smtp_port, delay_seconds):
        ready()
        await stop.wait()
