"""The parts of the service as programs of their own: the API, and the worker."""

import contextlib

from app import logs, service, serving, signals, wiring
from app.settings import Settings


async def serve(settings: Settings) -> int:
    """Run the API until SIGINT or SIGTERM; returns the exit code."""
    logs.configure(settings.log_format, settings.log_level)
    async with signals.stop_event() as stop, contextlib.AsyncExitStack() as opened:
        listener = serving.bind(settings.host, settings.port)
        opened.callback(listener.close)
        parts = await opened.enter_async_context(wiring.open_parts(settings))
        api = await opened.enter_async_context(service.api(parts, settings, listener))
        await signals.first_of(stop, api.wait_ended())
    return 0


async def work(settings: Settings) -> int:
    """Run the worker until SIGINT or SIGTERM; returns the exit code."""
    logs.configure(settings.log_format, settings.log_level)
    async with (
        signals.stop_event() as stop,
        wiring.open_parts(settings) as parts,
        service.worker(parts, settings),
    ):
        await stop.wait()
    return 0
