"""`python -m app verify`: a file goes in, a file with verdicts comes out, and errors say what to do."""

import csv
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from app import datadir
from conftest import ROOT, NewDataDir

CONTACTS = """\
name,email,city
"Lovelace, Ada",alice@ok.mailverdict.test,London
Nobody,nobody@ok.mailverdict.test,Paris
Again, alice@OK.mailverdict.test,London
Wrong,not an address,Rome
Ada,alice@OK.mailverdict.test ,London
"""


@pytest.fixture
def contacts(tmp_path: Path) -> Path:
    path = tmp_path / "contacts.csv"
    path.write_text(CONTACTS)
    return path


def verify(*arguments: str | Path, timeout_seconds: float = 90.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", "verify", *map(str, arguments)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )


def verdicts(text: str) -> list[tuple[str, str, str]]:
    return [(row["name"], row["city"], row["verdict"]) for row in csv.DictReader(text.splitlines())]


EXPECTED = [
    ("Lovelace, Ada", "London", "EXISTS"),
    ("Nobody", "Paris", "NOT_EXISTS"),
    ("Again", "London", "EXISTS"),
    ("Wrong", "Rome", "INVALID_SYNTAX"),
    ("Ada", "London", "EXISTS"),
]


def test_a_file_is_verified_by_the_running_service(contacts: Path, tmp_path: Path, running_app: Any) -> None:
    results = tmp_path / "results.csv"
    ended = verify(contacts, "-o", results, "--data-dir", running_app.data_dir)
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    assert verdicts(results.read_text()) == EXPECTED
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    words = ended.stderr.split()
    assert [words[words.index(word) + 2] for word in ("exists", "address", "all")] == ["1", "1", "3"]
    assert f"The results of 5 rows are in {results}" in " ".join(words)


def test_results_go_to_standard_output_when_no_file_is_named(contacts: Path, running_app: Any) -> None:
    ended = verify(contacts, "--url", running_app.graphql, "--token", running_app.token)
    assert ended.returncode == 0, ended.stderr
    assert verdicts(ended.stdout) == EXPECTED


def test_a_service_is_started_where_none_runs(contacts: Path, new_data_dir: NewDataDir) -> None:
    data_dir = new_data_dir("for-a-time")
    ended = verify(contacts, "--data-dir", data_dir)
    assert ended.returncode == 0, ended.stderr
    assert verdicts(ended.stdout) == EXPECTED
    listing = subprocess.run(["ps", "-ww", "-eo", "args="], capture_output=True, text=True, check=True).stdout
    assert str(data_dir) not in listing
    datadir.Lock(data_dir, "instance").release()


def test_a_stop_takes_the_service_with_it_that_was_started_for_the_time(
    contacts: Path, new_data_dir: NewDataDir
) -> None:
    data_dir = new_data_dir("stopped-in-time")
    command = [sys.executable, "-m", "app", "verify", str(contacts), "--data-dir", str(data_dir)]
    slow = os.environ | {"VERIFIER_LAB_DELAY_MS": "5000"}  # the task outlasts its start by far
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=slow, stdout=pipe, stderr=pipe, text=True) as verifying:
        deadline = time.monotonic() + 30
        while not (data_dir / "service.json").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        verifying.terminate()
        said, problems = verifying.communicate(timeout=15)
    assert (verifying.returncode, said) == (130, "")
    assert "Traceback" not in problems
    listing = subprocess.run(["ps", "-ww", "-eo", "args="], capture_output=True, text=True, check=True).stdout
    assert str(data_dir) not in listing


def test_why_a_service_did_not_start_is_told(contacts: Path) -> None:
    ended = verify(contacts, "--data-dir", "/proc/none/data")
    assert ended.returncode == 1
    assert "error: the service did not start: the data directory /proc/none/data cannot be used" in ended.stderr


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "error: The file is empty."),
        ("name,city\nAda,London\n", "error: No column of the file holds e-mail addresses."),
    ],
)
def test_a_file_that_is_not_accepted(content: str, problem: str, contacts: Path, running_app: Any) -> None:
    contacts.write_text(content)
    ended = verify(contacts, "--data-dir", running_app.data_dir)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines()[-1].startswith(problem)


def test_a_wrong_token(contacts: Path, running_app: Any) -> None:
    ended = verify(contacts, "--url", running_app.graphql, "--token", "wrong")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines()[-1].startswith("error: Sign in first")


def test_a_service_that_is_not_there(contacts: Path) -> None:
    url = f"http://127.0.0.1:{datadir.free_port()}/graphql"
    ended = verify(contacts, "--url", url, "--token", "any")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"error: {url} cannot be reached (ConnectError)\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["/proc/none.csv"], "/proc/none.csv is not a file"),
        ([__file__, "-o", "/proc/none/results.csv"], "the folder of /proc/none/results.csv cannot be written"),
        ([__file__, "--url", "http://127.0.0.1/graphql"], "--url and --token go together"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_begins(arguments: list[str], problem: str) -> None:
    ended = verify(*arguments)
    assert (ended.returncode, ended.stderr) == (2, f"error: {problem}\n")
