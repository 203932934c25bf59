"""GraphQL over server-sent events, distinct connections mode, and their end when the caller's credentials end."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
from typing import ClassVar

from strawberry.http.streaming import SSETransport

from app.graphql import codec


class EventStream(SSETransport):
    """Writes events with LF line ends: urql splits at them, and does not know CRLF."""

    headers: ClassVar[Mapping[str, str]] = {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-store, no-transform",
        "x-accel-buffering": "no",
        "vary": "Accept",
    }

    def encode_event(self, event: str, data: str | None = None) -> str:
        """Write one event; `data` is one line of JSON, or nothing."""
        return f"event: {event}\ndata: {data or ''}\n\n"

    def encode_comment(self, comment: str) -> str:
        """Write a comment, which keeps proxies from closing a quiet stream."""
        return f": {comment}\n\n"


async def until(
    source: AsyncGenerator[str, None],
    *,
    dismissal: Coroutine[None, None, None],
    farewell: Mapping[str, object],
    closing: Coroutine[None, None, None],
) -> AsyncIterator[str]:
    """Give the events of `source`; once `dismissal` returns, an event with `farewell` and the end instead.

    Once `closing` returns, the stream breaks off without a word: clients take it for a lost connection and come back.
    Closes `source`, and with it the subscription, whichever way it ends.
    """
    transport = EventStream()
    leaving, stopping = asyncio.ensure_future(dismissal), asyncio.ensure_future(closing)
    step: asyncio.Future[str] | None = None
    try:
        while True:
            step = asyncio.ensure_future(anext(source))
            await asyncio.wait({step, leaving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                return
            if leaving.done():
                yield transport.encode_event("next", codec.encode(farewell).decode())
                yield transport.encode_complete()
                return
            try:
                event = step.result()
            except StopAsyncIteration:
                return
            yield event
    finally:
        for task in (step, leaving, stopping):
            if task is not None and not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
                    await task
        await source.aclose()
