"""A command that is asked to stop."""

import subprocess
import sys

import pytest

from conftest import ROOT


@pytest.mark.parametrize("where", ["text", "callback"])
def test_a_stop_ends_with_130_whatever_was_going_on(where: str) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.app.stops_itself",
        where,
    ]  # what CPython does at the end differs for a script
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")
