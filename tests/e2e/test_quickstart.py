"""The newcomer's way: the commands of docs/quickstart.md as they stand there, against the running program."""

import re
import subprocess

from conftest import ROOT, RunningApp

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 60


def test_the_commands_of_the_quickstart_work_as_they_stand(running_app: RunningApp) -> None:
    commands = "".join(BLOCK.findall((ROOT / "docs" / "quickstart.md").read_text()))
    assert commands.count("http://127.0.0.1:8000") == 1
    commands = commands.replace("http://127.0.0.1:8000", running_app.web)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert '"errors"' not in said
    ledger, total = done.stdout.strip().splitlines()[-2:]
    (balance,) = re.findall(r'"balance":(\d+)', ledger)
    assert total == f"sum of the entries: {balance}"
    assert {"SPENT", "RESERVED", "PURCHASED", "GRANTED"} <= set(re.findall(r'"kind":"(\w+)"', ledger))
    assert int(balance) == 1_000_000 + 1_000 - 2
    verdicts = set(re.findall(r'"verdict":"(\w+)"', said))
    assert verdicts == {"EXISTS", "NOT_EXISTS", "INVALID_SYNTAX"}
