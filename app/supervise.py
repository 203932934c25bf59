"""Keeps child programs running: started again with a growing pause when they end, and never left behind."""

import asyncio
import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from app import processes

PAUSE_SECONDS_FIRST = 0.3
PAUSE_SECONDS_MOST = 10.0
SOUND_LIFE_SECONDS = 30.0
"""A child that lived as long begins again with the first pause."""
EARLY_ENDS_MAX = 3
"""A child that ended as often without ever being ready does not come up."""
GRACE_SECONDS = 2.5
"""From asking a child to stop to making it."""

log = structlog.get_logger(__name__)


class StartFailed(Exception):
    """Something that was started did not come up; the sentence says what, and its own output why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """A child program: its name for people, its command, its whole environment, and its ready file."""

    name: str
    command: Sequence[str | Path]
    environment: Mapping[str, str]
    ready_file: Path | None = None


class Supervisor:
    """The children of this process, which work in `cwd`. Only for the main thread (see `processes.tied_to_us`)."""

    def __init__(self, cwd: Path) -> None:
        self._cwd = cwd
        self._children: list[_Child] = []

    async def run(self, program: Program) -> None:
        """Run a program to its end; raises StartFailed unless it ends with 0."""
        process = await _spawn(program, self._cwd)
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            _kill_group(process)
            raise
        if code != 0:
            raise StartFailed(f"{program.name} ended with {_told(code)}")

    def start(self, program: Program) -> None:
        """Start a program and keep it running until `stop`."""
        self._children.append(_Child(program, self._cwd))

    async def wait_ready(self, timeout_seconds: float) -> None:
        """Wait until every child has written its ready file; raises StartFailed when one cannot or takes too long."""
        deadline = time.monotonic() + timeout_seconds
        for child in self._children:
            while not child.is_ready:
                if child.early_ends >= EARLY_ENDS_MAX:
                    raise StartFailed(f"{child.name} ended {child.early_ends} times before it was ready")
                if time.monotonic() > deadline:
                    raise StartFailed(f"{child.name} was not ready after {timeout_seconds:.0f} s")
                await asyncio.sleep(0.02)

    def pids(self) -> dict[str, int]:
        """Give the process ids of the children that run now, by name."""
        return {child.name: child.pid for child in self._children if child.pid}

    async def stop(self) -> None:
        """Stop every child, all at once: asked first, made to after GRACE_SECONDS."""
        await asyncio.gather(*(child.stop() for child in self._children))
        self._children.clear()


class _Child:
    """One program that is kept running."""

    def __init__(self, program: Program, cwd: Path) -> None:
        self._program = program
        self._cwd = cwd
        self._process: asyncio.subprocess.Process | None = None
        self.early_ends = 0
        if program.ready_file:
            program.ready_file.unlink(missing_ok=True)
        self._task = asyncio.create_task(self._keep_running(), name=f"supervise {program.name}")

    @property
    def name(self) -> str:
        return self._program.name

    @property
    def pid(self) -> int:
        return self._process.pid if self._process and self._process.returncode is None else 0

    @property
    def is_ready(self) -> bool:
        return bool(self.pid) and (self._program.ready_file is None or self._program.ready_file.exists())

    async def _keep_running(self) -> None:
        pause = PAUSE_SECONDS_FIRST
        while True:
            began = time.monotonic()
            self._process = await _spawn(self._program, self._cwd)
            code = await self._process.wait()
            if not self.was_ready():
                self.early_ends += 1
            if time.monotonic() - began > SOUND_LIFE_SECONDS:
                pause = PAUSE_SECONDS_FIRST
            told = _told(code)
            log.warning("a child ended and is started again", child=self.name, ended_with=told, pause_seconds=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, PAUSE_SECONDS_MOST)

    def was_ready(self) -> bool:
        """Tell whether the run that just ended had come up. Its ready file goes: the next run writes its own."""
        if self._program.ready_file is None or not self._program.ready_file.exists():
            return self._program.ready_file is None
        self._program.ready_file.unlink()
        return True

    async def stop(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), GRACE_SECONDS)
            except TimeoutError:
                log.warning("a child did not stop in time and is ended", child=self.name)
                _kill_group(process)
                await process.wait()
        if self._program.ready_file:
            self._program.ready_file.unlink(missing_ok=True)


async def _spawn(program: Program, cwd: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *program.command,
        cwd=cwd,
        env=dict(program.environment),
        stdin=asyncio.subprocess.DEVNULL,
        # SIGKILL: when we were killed there is nobody left to wait for an orderly end.
        preexec_fn=processes.tied_to_us(signal.SIGKILL),
    )


def _kill_group(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _told(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
