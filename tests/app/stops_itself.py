"""`python -m app sdl`, but that it is asked to stop while text is executed, as where a dataclass is made."""

import argparse
import sys
from unittest import mock

from app import cli


def _stopped(_options: argparse.Namespace) -> int:
    exec("import os, signal; os.kill(os.getpid(), signal.SIGTERM)")  # noqa: S102 - it is about such text
    return 0


if __name__ == "__main__":
    with mock.patch.object(cli, "_sdl", _stopped):
        sys.exit(cli.main(["sdl"]))
