"""Progress as an event stream, what a stream says of tasks that are not the caller's, and floods on a WebSocket."""

import base64
import socket
from collections.abc import Iterator

import httpx
import pytest

from conftest import RunningApp
from tests.client import Client

CREATE = "mutation($input: CreateTaskInput!) { createTask(input: $input) { task { id } } }"
PROGRESS = "subscription($id: ID!) { taskProgress(taskId: $id) { task { status metrics { progressPercent } } } }"


async def events(app: RunningApp, task_id: str, token: str | None) -> list[tuple[str, str]]:
    """The events of a task's progress over SSE, each with its data, until the stream ends."""
    headers = {"Accept": "text/event-stream"} | ({"Authorization": f"Bearer {token}"} if token else {})
    body = {"query": PROGRESS, "variables": {"id": task_id}}
    seen: list[tuple[str, str]] = []
    async with (
        httpx.AsyncClient(timeout=30) as http,
        http.stream("POST", app.graphql, json=body, headers=headers) as response,
    ):
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        event = ""
        async for line in response.aiter_lines():
            if line.startswith("event:"):
                event = line.removeprefix("event:").strip()
                if event == "complete":
                    seen.append((event, ""))
            elif line.startswith("data:") and event != "complete":
                seen.append((event, line.removeprefix("data:").strip()))
    return seen


async def test_a_task_is_followed_over_sse_from_its_present_state_to_its_end(running_app: RunningApp) -> None:
    async with httpx.AsyncClient(base_url=running_app.web, timeout=30) as http:
        emails = [f"jane.roe{n}@ok.mailverdict.test" for n in range(60)]
        created = await Client(http, running_app.token).ask(CREATE, input={"emails": emails})
    seen = await events(running_app, created["createTask"]["task"]["id"], running_app.token)
    assert [event for event, _ in seen] == ["next"] * (len(seen) - 1) + ["complete"]
    assert '"progressPercent":100' in seen[-2][1]
    assert '"COMPLETED"' in seen[-2][1]


async def test_a_stream_of_no_task_of_the_callers_is_one_error(running_app: RunningApp) -> None:
    unknown = "task_" + "0" * 22
    for task_id, token, code in (
        (unknown, running_app.token, "NOT_FOUND"),
        ("nonsense", running_app.token, "NOT_FOUND"),
        (unknown, None, "UNAUTHENTICATED"),
    ):
        seen = await events(running_app, task_id, token)
        assert [event for event, _ in seen] == ["next", "complete"]
        assert f'"{code}"' in seen[0][1]


UPGRADE = (
    "GET /graphql HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: {}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)
TEXT, PING = 0x1, 0x9
FLOOD_BYTES = 64 << 20
BLOCKED_SECONDS = 2.0


def frame(operation: int, payload: bytes) -> bytes:
    """A frame of a client, masked with zeros (RFC 6455, section 5.2)."""
    count = len(payload)
    length = bytes([0x80 | count]) if count < 126 else b"\xff" + count.to_bytes(8, "big")
    return bytes([0x80 | operation]) + length + bytes(4) + payload


def send_in_pieces(to: socket.socket, piece: bytes, total_bytes: int) -> None:
    """Send so much; raises TimeoutError when one piece is not taken in time."""
    for _ in range(total_bytes // len(piece)):
        to.sendall(piece)


@pytest.fixture
def raw_socket(running_app: RunningApp) -> Iterator[socket.socket]:
    """A connection that was acknowledged, and on which nothing is read but by the test."""
    url = httpx.URL(running_app.web)
    with socket.create_connection((url.host, url.port), BLOCKED_SECONDS) as made:
        made.sendall(UPGRADE.format(url.netloc.decode(), base64.b64encode(bytes(16)).decode()).encode())
        assert made.recv(4096).startswith(b"HTTP/1.1 101 ")
        made.sendall(frame(TEXT, b'{"type": "connection_init"}'))
        assert b"connection_ack" in made.recv(4096)
        yield made


@pytest.mark.parametrize(
    "ping", [frame(PING, b"x" * 125), frame(TEXT, b'{"type": "ping"}')], ids=["frames", "messages"]
)
def test_security_22_who_floods_with_pings_and_reads_no_answer_is_not_heard_any_more(
    running_app: RunningApp, raw_socket: socket.socket, ping: bytes
) -> None:
    with pytest.raises(TimeoutError):  # what we would have to keep stays with the sender
        send_in_pieces(raw_socket, ping * 5000, FLOOD_BYTES)
    answer = httpx.get(running_app.graphql, params={"query": "{ __typename }"}, headers={"accept": "application/json"})
    assert answer.json()["data"] == {"__typename": "Query"}


def test_security_22_a_frame_that_is_too_long_closes_its_connection(raw_socket: socket.socket) -> None:
    raw_socket.sendall(frame(TEXT, b'{"type": "ping", "payload": {"x": "' + b"x" * 300_000 + b'"}}'))
    answer = raw_socket.recv(4096)
    assert answer[0] == 0x88  # a close frame
    assert int.from_bytes(answer[2:4], "big") == 1009
