"""Children: started again when they die, given up when they never come up, and gone when we are."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app import processes, signals, supervise
from app.supervise import Program, StartFailed, Supervisor

ROOT = Path(__file__).resolve().parents[2]
COMES_UP = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
IS_STUBBORN = """
import pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(60)
"""


def program(code: str, ready_file: Path) -> Program:
    command = (sys.executable, "-c", code, str(ready_file))
    return Program(name="child", command=command, environment={}, ready_file=ready_file)


async def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.01)


async def test_a_child_that_dies_is_started_again_and_stopped_at_the_end(tmp_path: Path) -> None:
    supervisor = Supervisor(ROOT)
    supervisor.start(program(COMES_UP, tmp_path / "ready"))
    await supervisor.wait_ready(10)
    first = supervisor.pids()["child"]
    os.kill(first, 9)
    await until(lambda: supervisor.pids().get("child") not in (None, first))
    await supervisor.wait_ready(10)
    second = supervisor.pids()["child"]
    await supervisor.stop()
    assert not processes.is_alive(second)
    assert not (tmp_path / "ready").exists()


async def test_a_child_that_never_comes_up_is_given_up(tmp_path: Path) -> None:
    supervisor = Supervisor(ROOT)
    supervisor.start(program("raise SystemExit(3)", tmp_path / "ready"))
    with pytest.raises(StartFailed, match=r"^child ended 3 times before it was ready$"):
        await supervisor.wait_ready(20)
    await supervisor.stop()


async def test_a_child_that_takes_too_long_is_told(tmp_path: Path) -> None:
    supervisor = Supervisor(ROOT)
    supervisor.start(program("import time; time.sleep(60)", tmp_path / "ready"))
    with pytest.raises(StartFailed, match=r"^child was not ready after 0 s$"):
        await supervisor.wait_ready(0.2)
    await supervisor.stop()


async def test_a_program_that_must_end_well_is_told_when_it_does_not() -> None:
    supervisor = Supervisor(ROOT)
    command = (sys.executable, "-c", "raise SystemExit(3)")
    with pytest.raises(StartFailed, match=r"^migrate ended with exit code 3$"):
        await supervisor.run(Program(name="migrate", command=command, environment={}))


async def test_a_child_that_will_not_stop_is_made_to_with_its_own_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "GRACE_SECONDS", 0.3)
    supervisor = Supervisor(ROOT)
    ready = tmp_path / "ready"
    supervisor.start(program(IS_STUBBORN, ready))
    await until(lambda: ready.exists() and bool(ready.read_text()))
    child, grandchild = supervisor.pids()["child"], int(ready.read_text())
    began = time.monotonic()
    await supervisor.stop()
    assert time.monotonic() - began < 5
    assert not processes.is_alive(child)
    await until(lambda: not processes.is_alive(grandchild))


def test_the_end_of_uv_run_is_heard(tmp_path: Path) -> None:
    waits = (
        "import asyncio, pathlib\n"
        "from app import signals\n"
        "async def main():\n"
        "    async with signals.stop_event() as stop:\n"
        f"        pathlib.Path({str(tmp_path / 'up')!r}).touch()\n"
        "        await stop.wait()\n"
        f"        pathlib.Path({str(tmp_path / 'stopped')!r}).touch()\n"
        "asyncio.run(main())\n"
    )
    uv = tmp_path / "uv"  # a shell by that name, which waits for its child as `uv run` does
    uv.symlink_to("/bin/sh")
    script = tmp_path / "waits.py"
    script.write_text(waits)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([uv, "-c", f'"{sys.executable}" "{script}"; exit 1'], env=environment) as parent:
        wait_for(tmp_path / "up")
        parent.kill()
    wait_for(tmp_path / "stopped")


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 10 + signals.PARENT_LOOK_SECONDS
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.02)
