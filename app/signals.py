"""Hears the signals that stop a program, and the end of the `uv run` that started it."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from app import processes

T = TypeVar("T")
PARENT_LOOK_SECONDS = 0.5


class Stopped(Exception):
    """The program was asked to stop before it had come up, or before its work was done."""


async def cancelled_by_sigterm(coroutine: Coroutine[Any, Any, T]) -> T:
    """Await `coroutine`, which SIGTERM cancels, once, as asyncio has it cancelled by Ctrl-C; raises Stopped then.

    An exception raised by a signal's handler would arise in whatever runs, and be lost in a callback of a transport.
    """
    task = asyncio.ensure_future(coroutine)

    def stop() -> None:
        if not task.cancelling():
            task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    try:
        return await task
    except asyncio.CancelledError:
        if task.cancelling():
            raise Stopped from None
        raise


@contextlib.asynccontextmanager
async def stop_event() -> AsyncIterator[asyncio.Event]:
    """Give an event that is set by SIGINT, SIGTERM, and by the end of a `uv run` above us, even by kill -9.

    A second signal changes nothing: stopping takes less than ten seconds anyway, and `uv run` passes Ctrl-C on twice.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    parent = os.getppid()  # now: the task begins later, and the parent may be gone by then
    watch = asyncio.create_task(_watch(parent, stop), name="watch uv") if processes.parent_is_uv() else None
    try:
        yield stop
    finally:
        if watch is not None:
            watch.cancel()


async def unless_stopped(stop: asyncio.Event, coroutine: Coroutine[Any, Any, T]) -> T:
    """Await `coroutine`, but cancel it and raise Stopped when `stop` is set before it has ended."""
    work = asyncio.ensure_future(coroutine)
    waiting = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((work, waiting), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise Stopped
    finally:
        waiting.cancel()
        if not work.done():
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work


async def first_of(stop: asyncio.Event, fault: Coroutine[Any, Any, None]) -> None:
    """Wait until `stop` is set; raises what `fault` raises, should it end before."""
    with contextlib.suppress(Stopped):
        await unless_stopped(stop, fault)


async def _watch(parent: int, stop: asyncio.Event) -> None:
    while os.getppid() == parent:  # noqa: ASYNC110 - there is nothing that would set an event
        await asyncio.sleep(PARENT_LOOK_SECONDS)
    stop.set()
