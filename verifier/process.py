"""What every long-running command needs: to hear the signals that stop it, and to tell when it is ready."""

import asyncio
import os
import signal
from pathlib import Path

import orjson


def stop_on_signals() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set. To be called inside the running loop."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping


def write_ready_file(path: Path | None, facts: dict[str, object]) -> None:
    """Write `facts` and our process id as JSON to `path`, whole or not at all."""
    if path is None:
        return
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(orjson.dumps({"pid": os.getpid(), **facts}))
    unfinished.replace(path)
