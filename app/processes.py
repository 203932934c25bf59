"""Children that cannot outlive us: how they are tied to this process, and what can be told about one by its id."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def tied_to_us(death_signal: signal.Signals) -> Callable[[], None]:
    """Give a `preexec_fn` that puts a child in its own process group and ties its life to ours.

    The group keeps a Ctrl-C of the terminal from the child, which we stop in our own order. On Linux the kernel sends
    `death_signal` to the child when the thread that started it ends, kill -9 included (prctl(2), PR_SET_PDEATHSIG):
    start children from the main thread. A change of user clears the setting, so this must run after it, as the
    `user=` argument of subprocess does. Elsewhere only an orderly stop ends children.
    """
    parent = os.getpid()

    def prepare() -> None:
        os.setpgid(0, 0)
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:  # it died between fork and prctl: no signal will come
                os._exit(1)

    return prepare


def is_alive(pid: int) -> bool:
    """Tell whether a process with this id exists; one that has ended and waits for its parent does not count."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


def works_in(pid: int, folder: Path) -> bool:
    """Tell whether the process has `folder` as its working directory, as a PostgreSQL server has its data directory."""
    try:
        return Path(f"/proc/{pid}/cwd").resolve(strict=True) == folder.resolve()
    except OSError:
        if Path("/proc/self/cwd").exists():
            return False
    command = ["/bin/ps", "-o", "command=", "-p", str(pid)]
    listing = subprocess.run(command, capture_output=True, text=True, check=False)
    return str(folder) in listing.stdout


def parent_is_uv() -> bool:
    """Tell whether this process was started by `uv run`, whose end should be ours too."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{os.getppid()}/comm").read_text().strip() == "uv"
    command = ["/bin/ps", "-o", "comm=", "-p", str(os.getppid())]
    with contextlib.suppress(OSError):
        listing = subprocess.run(command, capture_output=True, text=True, check=False)
        return Path(listing.stdout.strip()).name == "uv"
    return False
