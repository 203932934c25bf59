"""A command that is asked to stop where an exception would be lost, or misunderstood: in text, or in a callback."""

import argparse
import asyncio
import os
import signal
import socket
import sys

import pytest

from app import cli


def _in_text(_options: argparse.Namespace) -> int:
    """While text is executed, as where a dataclass is made."""
    exec("os.kill(os.getpid(), signal.SIGTERM)")  # noqa: S102 - it is about such text
    return 0


def _in_callback(_options: argparse.Namespace) -> int:
    """While a transport tells its protocol of what has come."""
    return cli._run(_received())


class _Stopping(asyncio.Protocol):
    def data_received(self, _data: bytes) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


async def _received() -> int:
    ours, theirs = socket.socketpair()
    await asyncio.get_running_loop().create_connection(_Stopping, sock=ours)
    theirs.send(b"something")
    await asyncio.sleep(60)
    return 0


if __name__ == "__main__":
    command = {"text": _in_text, "callback": _in_callback}[sys.argv[1]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "_sdl", command)
        sys.exit(cli.main(["sdl"]))
