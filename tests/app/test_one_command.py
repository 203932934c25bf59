"""`python -m app`: everything comes up, everything goes down, and errors are one line that says what to do."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 10.0
CHILDREN = 4  # PostgreSQL, and the verifier's lab, serve and work

StartApp = Callable[..., contextlib.AbstractContextManager[Any]]


def children(pid: int) -> list[int]:
    listing = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = (line.split() for line in listing.splitlines())
    return [int(child) for child, parent in pairs if int(parent) == pid]


def is_gone(pid: int) -> bool:
    listing = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return not listing.strip() or listing.strip().startswith("Z")


def seconds_until_gone(pids: list[int]) -> float:
    began = time.monotonic()
    while not all(is_gone(pid) for pid in pids):
        assert time.monotonic() - began < STOP_SECONDS, f"still there: {[pid for pid in pids if not is_gone(pid)]}"
        time.sleep(0.05)
    return time.monotonic() - began


def run(*arguments: str, timeout_seconds: float = 60.0, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )


def test_all_is_up_when_the_ready_file_is_there(running_app: Any) -> None:
    ready = httpx.get(f"{running_app.web}/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert httpx.get(f"{running_app.verifier}/health").status_code == 200
    answer = httpx.post(
        running_app.graphql,
        json={"query": "{ viewer { email } }"},
        headers={"authorization": f"Bearer {running_app.token}"},
    )
    assert answer.json()["data"] == {"viewer": {"email": "developer@mailverdict.test"}}


def test_the_front_page_leads_to_graphiql(running_app: Any) -> None:
    page = httpx.get(running_app.web, headers={"accept": "text/html"}, follow_redirects=True)
    assert page.status_code == 200
    assert page.url.path == "/graphql"
    assert "GraphiQL" in page.text


def test_files_with_a_secret_are_for_their_owner_alone(running_app: Any) -> None:
    ready_file = running_app.data_dir.with_name(f"{running_app.data_dir.name}.ready")
    names = ("service.json", "secret.key", "verifier.key", "postgres.password")
    modes = [path.stat().st_mode & 0o777 for path in (ready_file, *(running_app.data_dir / name for name in names))]
    assert modes == [0o600] * 5
    assert json.loads(ready_file.read_text())["token"] == running_app.token


def test_what_is_printed_can_be_pasted(running_app: Any) -> None:
    printed = running_app.log.read_text()
    assert f"GraphiQL   {running_app.graphql}\n" in printed
    query = printed[printed.index("  mutation {") : printed.index("A file of addresses")]
    header = json.loads(next(line for line in printed.splitlines() if "Authorization" in line).split("header")[1])
    answer = httpx.post(running_app.graphql, json={"query": query}, headers=header).json()
    assert answer["data"]["createTask"]["userErrors"] == []
    assert answer["data"]["createTask"]["task"]["emailCount"] == 3


def test_sigterm_stops_every_child_in_less_than_ten_seconds(start_app: StartApp) -> None:
    with start_app("signalled") as app:
        pids = children(app.pid)
        assert len(pids) == CHILDREN
        os.kill(app.pid, signal.SIGTERM)
        assert seconds_until_gone([app.pid, *pids]) < STOP_SECONDS
        assert not (app.data_dir / "service.json").exists()
        assert not app.data_dir.with_name("signalled.ready").exists()
        assert "Traceback" not in app.log.read_text()


def test_a_kill_of_the_parent_leaves_no_child_and_the_next_start_works_until_ctrl_c(start_app: StartApp) -> None:
    with start_app("killed") as app:
        pids = children(app.pid)
        assert len(pids) == CHILDREN
        os.kill(app.pid, signal.SIGKILL)
        seconds_until_gone([app.pid, *pids])
    with start_app("killed") as again:
        assert httpx.get(f"{again.web}/health/ready").status_code == 200
        pids = children(again.pid)
        os.kill(again.pid, signal.SIGINT)
        assert seconds_until_gone([again.pid, *pids]) < STOP_SECONDS


@pytest.mark.parametrize("sign", ["instance.lock", "postgres.log", "run/lab-dns.port"])
def test_a_stop_while_it_starts_leaves_nothing(sign: str, open_temp_dir: Path) -> None:
    """It is stopped when it has made a certain file: at its very beginning, with PostgreSQL, with the verifier."""
    data_dir = open_temp_dir / f"interrupted-{sign.replace('/', '-')}"
    command = [sys.executable, "-m", "app", "--port", "0", "--data-dir", str(data_dir)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as starting:
        deadline = time.monotonic() + 30
        while not (data_dir / sign).exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        pids = children(starting.pid)
        starting.terminate()
        _, said = starting.communicate(timeout=STOP_SECONDS)
    seconds_until_gone(pids)
    assert starting.returncode in (0, 130)
    assert b"Traceback" not in said
    listing = subprocess.run(["ps", "-ww", "-eo", "args="], capture_output=True, text=True, check=True).stdout
    assert str(data_dir) not in listing


@pytest.mark.parametrize("command", ["verifier lab", "verifier serve", "verifier work", "bin/postgres"])
def test_a_child_that_dies_is_started_again(command: str, running_app: Any) -> None:
    listing = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()]
    (child,) = (int(pid) for pid, parent, args in rows if int(parent) == running_app.pid and command in args)
    os.kill(child, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while True:
        status = httpx.get(f"{running_app.web}/health/ready", timeout=10).status_code
        now = children(running_app.pid)
        if status == 200 and len(now) == CHILDREN and child not in now and is_used(running_app):
            return
        assert time.monotonic() < deadline, (status, now)
        time.sleep(0.05)


def is_used(app: Any) -> bool:
    """Every part is needed for this: the API, both databases, the verifier's API, its engine and the sandbox."""
    query = """mutation { verifyEmail(input: {email: "alice@ok.mailverdict.test"}) { verification { verdict } } }"""
    headers = {"authorization": f"Bearer {app.token}"}
    answer = httpx.post(app.graphql, json={"query": query}, headers=headers, timeout=40).json()
    return bool((answer.get("data") or {}).get("verifyEmail") == {"verification": {"verdict": "EXISTS"}})


def test_a_second_instance_in_the_same_data_directory_is_refused(running_app: Any) -> None:
    ended = run("--port", "0", "--data-dir", str(running_app.data_dir))
    assert ended.returncode == 2
    expected = f"is in use by another running instance (process {running_app.pid})\n"
    assert ended.stderr == f"error: the data directory {running_app.data_dir} {expected}"


def test_a_port_in_use_is_told_in_one_line(open_temp_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run("--port", str(port), "--data-dir", str(open_temp_dir / "port-in-use"))
    assert ended.returncode == 2
    assert ended.stderr == f"error: port {port} on 127.0.0.1 is in use: choose another with --port\n"


def test_a_data_directory_that_is_a_file_is_told_in_one_line(open_temp_dir: Path) -> None:
    file = open_temp_dir / "a-file"
    file.touch()
    ended = run("--port", "0", "--data-dir", str(file))
    assert ended.returncode == 2
    assert ended.stderr == f"error: the data directory {file} is not a directory\n"


def test_a_data_directory_that_cannot_be_made_is_told_in_one_line() -> None:
    ended = run("--port", "0", "--data-dir", "/proc/none/data")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: the data directory /proc/none/data cannot be used: ")
    assert ended.stderr.count("\n") == 1


def test_settings_that_are_wrong_are_all_told() -> None:
    ended = run("serve", PORT="x", LOG_LEVEL="loud")
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "error: PORT must be a whole number from 0 to 65535, not 'x'",
        "error: LOG_LEVEL must be one of debug, info, warning, error, not 'loud'",
    ]


@pytest.mark.parametrize("command", ["serve", "work", "migrate"])
def test_a_part_alone_needs_a_database(command: str) -> None:
    ended = run(command)
    assert ended.returncode == 2
    assert ended.stderr == "error: DATABASE_URL is not set; only `python -m app` brings its own PostgreSQL\n"


@pytest.mark.parametrize("command", [(), ("serve",), ("work",), ("migrate",), ("sdl",), ("verify",)])
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    ended = run(*command, "--help")
    assert ended.returncode == 0
    assert "usage: python -m app" in ended.stdout
