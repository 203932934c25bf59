"""Processes of the service beside the one that a test runs in."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

from conftest import ROOT
from tests.conftest import PUBLIC_URL, SECRET


@contextlib.contextmanager
def running(
    command: str, database_url: str, upstream_url: str, **environment: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`python -m app COMMAND` as a process of its own, and where it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database_url,
        "UPSTREAM_URL": upstream_url,
        "UPSTREAM_KEY": "the-key-of-the-tests",
        "SECRET_KEY": SECRET,
        "PUBLIC_URL": PUBLIC_URL,
        "PORT": str(port),
        **environment,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "app", command], cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
