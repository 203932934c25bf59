"""Two gigabytes are sent to the whole program: refused in bounded memory and time, and nothing of them is kept."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app import processes as alive
from conftest import RunningApp

BYTES = 2 << 30
PIECE = b"ann@ok.mailverdict.test\n" * 2730
HEAD = (
    b'--x\r\nContent-Disposition: form-data; name="operations"\r\n\r\n'
    b'{"query": "mutation($f: Upload!) { uploadTaskFile(input: {file: $f}) { task { id } } }",'
    b' "variables": {"f": null}}\r\n'
    b'--x\r\nContent-Disposition: form-data; name="map"\r\n\r\n{"0": ["variables.f"]}\r\n'
    b'--x\r\nContent-Disposition: form-data; name="0"; filename="list.csv"\r\nContent-Type: text/csv\r\n\r\n'
)
MEMORY_BYTES = 64 << 20
"""What the program may grow by."""
SECONDS = 15.0


class Left(Exception):
    """The client is gone."""


class Sending:
    """The body of a request as it is sent: how much of it went out before the other side hung up."""

    def __init__(self, leaves_after_bytes: int = BYTES) -> None:
        self.sent = 0
        self._leaves_after_bytes = leaves_after_bytes

    def __iter__(self) -> Iterator[bytes]:
        yield HEAD
        while self.sent < BYTES:
            if self.sent > self._leaves_after_bytes:
                raise Left
            self.sent += len(PIECE)
            yield PIECE


@pytest.fixture
def client(running_app: RunningApp) -> Iterator[httpx.Client]:
    """Sends without looking up, and reads the answer once its words are not taken any more, as curl does."""
    headers = {"authorization": f"Bearer {running_app.token}"}
    with httpx.Client(base_url=running_app.web, headers=headers, timeout=SECONDS) as made:
        yield made


def send(client: httpx.Client, body: Sending, **headers: str) -> httpx.Response:
    form = {"content-type": "multipart/form-data; boundary=x"}
    return client.post("/graphql", content=body, headers=form | headers)


def most_memory_bytes(pid: int) -> int:
    """The most that a process has ever held (VmHWM, proc(5))."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def nameless_files(pid: int) -> list[str]:
    """The files without a name that a process has open: what is uploaded is written to such."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(entry.readlink()))
    return [target for target in found if target.endswith(" (deleted)")]


def assert_it_lives_and_kept_nothing(app: RunningApp, client: httpx.Client, memory_bytes_before: int) -> None:
    deadline = time.monotonic() + SECONDS
    while nameless_files(app.pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert most_memory_bytes(app.pid) - memory_bytes_before < MEMORY_BYTES
    assert alive.is_alive(app.pid)
    assert client.post("/graphql", json={"query": "{ viewer { id } }"}).json()["data"]["viewer"] is not None


@pytest.mark.parametrize("headers", [{"content-length": str(BYTES)}, {}], ids=["length told", "in chunks"])
def test_security_28_two_gigabytes_are_refused_in_bounded_memory_and_time(
    running_app: RunningApp, client: httpx.Client, headers: dict[str, str]
) -> None:
    before, began, body = most_memory_bytes(running_app.pid), time.monotonic(), Sending()
    answer = send(client, body, **headers)
    assert time.monotonic() - began < SECONDS
    assert answer.status_code == 413
    assert answer.json()["errors"][0]["extensions"]["code"] == "PAYLOAD_TOO_LARGE"
    assert body.sent < BYTES / 4
    assert_it_lives_and_kept_nothing(running_app, client, before)


def test_security_28_a_client_that_leaves_half_way_leaves_no_file_behind(
    running_app: RunningApp, client: httpx.Client
) -> None:
    before, body = most_memory_bytes(running_app.pid), Sending(leaves_after_bytes=50 << 20)
    with pytest.raises(Left):
        send(client, body)
    assert body.sent > 50 << 20
    assert_it_lives_and_kept_nothing(running_app, client, before)
