"""The main process of a PostgreSQL server, as its pid file tells of it (PostgreSQL 10 and later)."""

import contextlib
import dataclasses
import os
import signal
import time
from pathlib import Path

from app import processes

STOP_SECONDS = 2.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)
"""Fast shutdown, then immediate (both in PostgreSQL's chapter on shutting down), then the kernel's."""


@dataclasses.dataclass(frozen=True)
class Postmaster:
    """What a pid file says; it may be stale, and its id another process's by now."""

    pid: int
    port: int
    is_ready: bool

    def is_running_in(self, cluster: Path) -> bool:
        """Tell whether the process is alive and really the server of this cluster."""
        return processes.is_alive(self.pid) and processes.works_in(self.pid, cluster)


def read(cluster: Path) -> Postmaster | None:
    """Read the pid file of a cluster; None when there is none, or one that is being written."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        pid = abs(int(lines[0]))
    except (OSError, ValueError, IndexError):
        return None
    port = int(lines[3]) if len(lines) > 3 and lines[3].isdecimal() else 0
    return Postmaster(pid=pid, port=port, is_ready=len(lines) > 7 and lines[7].strip() == "ready")


def end(pid: int) -> None:
    """Stop a server that is not our child: it is asked, and after some seconds made to."""
    for how in STOP_SIGNALS:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            if not processes.is_alive(pid):
                return
            time.sleep(0.02)


def end_in(cluster: Path) -> None:
    """Stop the server of a cluster, if one runs."""
    found = read(cluster)
    if found and found.is_running_in(cluster):
        end(found.pid)
