"""The graphql-transport-ws protocol, frame by frame, against a running server."""

import asyncio
import contextlib
import datetime as dt
import json
import logging
import typing
from collections.abc import AsyncIterator

import pytest
import structlog
import websockets
from websockets.asyncio.client import ClientConnection, connect

from app.graphql import view
from tests.edge import small

GOOD = {"authorization": "Bearer good"}
Protocols = typing.Sequence[str] | None


@contextlib.asynccontextmanager
async def opened(
    url: str, protocols: Protocols = ("graphql-transport-ws",), headers: dict[str, str] | None = None
) -> AsyncIterator[ClientConnection]:
    address = url.replace("http", "ws", 1)
    found = typing.cast("typing.Any", protocols)
    async with connect(address, subprotocols=found, additional_headers=headers, proxy=None) as socket:
        yield socket


async def say(socket: ClientConnection, **message: object) -> None:
    await socket.send(json.dumps(message))


async def hear(socket: ClientConnection) -> dict[str, typing.Any]:
    frame = await asyncio.wait_for(socket.recv(), 5)
    assert isinstance(frame, str), "frames are text, always"
    message: dict[str, typing.Any] = json.loads(frame)
    return message


async def begin(socket: ClientConnection, payload: object = None) -> None:
    await say(socket, type="connection_init", **({} if payload is None else {"payload": payload}))
    assert (await hear(socket))["type"] == "connection_ack"


async def close_code(socket: ClientConnection) -> int | None:
    with contextlib.suppress(websockets.ConnectionClosed):
        async with asyncio.timeout(6):
            async for _ in socket:
                pass
    return socket.close_code


async def test_a_query_gives_one_event_and_completes(url: str) -> None:
    async with opened(url) as socket:
        await begin(socket)
        await say(socket, id="1", type="subscribe", payload={"query": "{ hello }"})
        assert (await hear(socket))["payload"]["data"] == {"hello": "hello you"}
        assert await hear(socket) == {"id": "1", "type": "complete"}


async def test_a_subscription_gives_its_events_and_completes(url: str) -> None:
    async with opened(url) as socket:
        await begin(socket)
        await say(socket, id="1", type="subscribe", payload={"query": "subscription { count(to: 3) }"})
        heard = [await hear(socket) for _ in range(4)]
        assert [message.get("payload") for message in heard[:3]] == [{"data": {"count": n}} for n in range(3)]
        assert heard[3]["type"] == "complete"


@pytest.mark.parametrize(
    "payload",
    [
        {"authorization": "Bearer good"},
        {"Authorization": "Bearer good"},
        {"x-api-key": "good"},
        {"X-API-Key": "good"},
        {"apiKey": "good"},
    ],
)
async def test_the_first_message_names_the_caller(url: str, payload: dict[str, str]) -> None:
    async with opened(url) as socket:
        await begin(socket, payload)
        await say(socket, id="1", type="subscribe", payload={"query": "{ whoami }"})
        assert (await hear(socket))["payload"]["data"] == {"whoami": "ann"}


@pytest.mark.parametrize("headers", [GOOD, {"x-api-key": "good"}])
async def test_the_handshake_may_name_the_caller(url: str, headers: dict[str, str]) -> None:
    async with opened(url, headers=headers) as socket:
        await begin(socket)
        await say(socket, id="1", type="subscribe", payload={"query": "{ whoami }"})
        assert (await hear(socket))["payload"]["data"] == {"whoami": "ann"}


async def test_without_credentials_the_caller_is_nobody(url: str) -> None:
    async with opened(url) as socket:
        await begin(socket)
        await say(socket, id="1", type="subscribe", payload={"query": "{ whoami }"})
        assert (await hear(socket))["payload"]["data"] == {"whoami": None}


async def test_wrong_credentials_close_with_4403(url: str) -> None:
    async with opened(url) as socket:
        await say(socket, type="connection_init", payload={"authorization": "Bearer bad"})
        assert await close_code(socket) == 4403


async def test_an_absent_database_closes_with_1013(url: str, guests: small.Guests) -> None:
    guests.is_away = True
    async with opened(url) as socket:
        await say(socket, type="connection_init", payload=GOOD)
        assert await close_code(socket) == 1013


async def test_the_end_of_a_token_closes_with_4403_and_no_event_follows(url: str, guests: small.Guests) -> None:
    until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=0.5)
    guests.by_token["short"] = small.Actor("bo", until)
    async with opened(url) as socket:
        await begin(socket, {"authorization": "Bearer short"})
        await say(socket, id="1", type="subscribe", payload={"query": 'subscription { forever(name: "expired") }'})
        assert await close_code(socket) == 4403
        assert abs((dt.datetime.now(dt.UTC) - until).total_seconds()) < 0.5
    await until_closed("expired")


async def test_a_revoked_token_closes_its_socket(guests: small.Guests) -> None:
    async with small.serving(small.application(guests, recheck_seconds=0.1)) as url, opened(url) as socket:
        await begin(socket, GOOD)
        guests.is_away = True
        await asyncio.sleep(0.3)  # a database that is away hangs up on nobody
        guests.is_away = False
        await say(socket, type="ping")
        assert (await hear(socket))["type"] == "pong"
        del guests.by_token["good"]
        assert await close_code(socket) == 4403


async def test_a_caller_whose_role_has_changed_has_to_come_in_anew(guests: small.Guests) -> None:
    async with small.serving(small.application(guests, recheck_seconds=0.1)) as url, opened(url) as socket:
        await begin(socket, GOOD)
        guests.by_token["good"] = small.Actor("ann, no longer an administrator")
        assert await close_code(socket) == 4403


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("not json", 4400),
        ("[1]", 4400),
        ("1", 4400),
        ("null", 4400),
        ("[" * 100_000, 4400),
        (b"\x01\x02", 4400),
        (b'{"type":"ping"}', 4400),
        ('{"id":"1"}', 4400),
        ('{"type":{}}', 4400),
        ('{"type":"start"}', 4400),
        ('{"type":"connection_init","payload":"x"}', 4400),
        ('{"type":"ping","payload":1}', 4400),
        ('{"type":"subscribe","id":"1","payload":{"query":"{hello}"}}', 4401),
    ],
)
async def test_security_22_a_frame_that_breaks_the_protocol_closes(url: str, frame: str | bytes, code: int) -> None:
    async with opened(url) as socket:
        await socket.send(frame)
        assert await close_code(socket) == code


@pytest.mark.parametrize(
    "message",
    [
        {"type": "subscribe", "id": "1"},
        {"type": "subscribe", "id": {"a": 1}, "payload": {"query": "{hello}"}},
        {"type": "subscribe", "id": "", "payload": {"query": "{hello}"}},
        {"type": "subscribe", "payload": {"query": "{hello}"}},
        {"type": "subscribe", "id": "1", "payload": {"query": 5}},
        {"type": "subscribe", "id": "1", "payload": {"query": "{hello}", "variables": "x"}},
        {"type": "subscribe", "id": "1", "payload": {"query": "{hello}", "operationName": 1}},
        {"type": "subscribe", "id": "1", "payload": {"query": "{hello}", "extensions": []}},
        {"type": "complete"},
        {"type": "complete", "id": ["1"]},
    ],
)
async def test_a_malformed_message_closes_with_4400(url: str, message: dict[str, object]) -> None:
    async with opened(url) as socket:
        await begin(socket)
        await say(socket, **message)
        assert await close_code(socket) == 4400


async def test_a_second_init_closes_with_4429(url: str) -> None:
    async with opened(url) as socket:
        await begin(socket)
        await say(socket, type="connection_init")
        assert await close_code(socket) == 4429


async def test_a_second_operation_of_the_same_id_closes_with_4409(url: str) -> None:
    async with opened(url) as socket:
        await begin(socket)
        for _ in range(2):
            await say(socket, id="1", type="subscribe", payload={"query": "subscription { forever }"})
        assert await close_code(socket) == 4409


async def test_security_22_silence_closes_with_4408_after_three_seconds(url: str) -> None:
    async with opened(url) as socket:
        started = asyncio.get_running_loop().time()
        assert await close_code(socket) == 4408
        assert 2.5 < asyncio.get_running_loop().time() - started < 4


@pytest.mark.parametrize("protocols", [("graphql-ws",), ("nonsense",), None])
async def test_security_22_other_protocols_are_refused(url: str, protocols: Protocols) -> None:
    try:
        async with opened(url, protocols) as socket:
            assert socket.subprotocol is None
            assert await close_code(socket) == 4406
    except websockets.NegotiationError:
        pass


@pytest.mark.parametrize(
    ("origin", "is_let_in"),
    [("https://evil.example", False), ("null", False), ("https://app.example", True), ("http://127.0.0.1:1", False)],
)
async def test_security_22_only_pages_of_known_origins_open_a_socket(url: str, origin: str, is_let_in: bool) -> None:
    if is_let_in:
        async with opened(url, headers={"origin": origin}) as socket:
            await begin(socket)
        return
    with pytest.raises(websockets.InvalidStatus) as refusal:
        async with opened(url, headers={"origin": origin}):
            pass
    assert refusal.value.response.status_code == 403


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("query Q($n: Int!) { items(first: $n) { name } }", "BAD_USER_INPUT"),
        ("", "BAD_REQUEST"),
        ("{ hello }" + " " * 33_000, "OPERATION_TOO_COMPLEX"),
        ("{ " + " ".join(f"a{number}: hello" for number in range(40)) + " }", "OPERATION_TOO_COMPLEX"),
    ],
)
async def test_a_fault_in_one_operation_leaves_its_siblings_alone(url: str, query: str, code: str) -> None:
    async with opened(url) as socket:
        await begin(socket)
        await say(socket, id="sibling", type="subscribe", payload={"query": "subscription { forever }"})
        assert (await hear(socket))["id"] == "sibling"
        await say(socket, id="bad", type="subscribe", payload={"query": query})
        while (message := await hear(socket))["id"] != "bad":
            pass
        found = message["payload"] if message["type"] == "error" else message["payload"]["errors"]
        assert found[0]["extensions"]["code"] == code
        while (await hear(socket))["id"] != "sibling":
            pass
        assert (await hear(socket))["id"] == "sibling"


async def test_a_broken_stream_tells_nothing_of_its_cause(url: str) -> None:
    async with opened(url) as socket:
        await begin(socket)
        await say(socket, id="1", type="subscribe", payload={"query": "subscription { breaks }"})
        heard = [await hear(socket) for _ in range(3)]
        assert heard[1]["payload"]["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
        assert "hunter2" not in json.dumps(heard)
        assert heard[2]["type"] == "complete"


async def test_security_22_too_many_operations_are_refused_one_by_one(url: str) -> None:
    async with opened(url) as socket:
        await begin(socket)
        most = view.OPERATIONS_ON_A_SOCKET_MAX
        for number in range(most + 1):
            await say(socket, id=str(number), type="subscribe", payload={"query": "subscription { quiet }"})
        heard = [await hear(socket) for _ in range(most + 1)]
        refused = [message for message in heard if message["type"] == "error"]
        assert [message["id"] for message in refused] == [str(most)]
        assert refused[0]["payload"][0]["extensions"]["code"] == "TOO_MANY_OPERATIONS"
        await say(socket, id="0", type="complete")
        await asyncio.sleep(0.05)
        await say(socket, id="again", type="subscribe", payload={"query": "{ hello }"})
        assert (await hear(socket))["type"] == "next"


async def test_complete_ends_the_stream_and_frees_its_id(url: str) -> None:
    async with opened(url) as socket:
        await begin(socket)
        await say(socket, id="1", type="subscribe", payload={"query": 'subscription { forever(name: "completed") }'})
        await hear(socket)
        await say(socket, id="1", type="complete")
        await until_closed("completed")
        await say(socket, id="1", type="subscribe", payload={"query": "{ hello }"})
        while "hello" not in (message := await hear(socket)).get("payload", {}).get("data", {}):
            assert message["type"] == "next"


async def test_a_client_that_leaves_ends_its_streams_and_is_no_fault(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with structlog.testing.capture_logs() as lines:
        for number in range(5):
            async with opened(url) as socket:
                await begin(socket)
                query = f'subscription {{ forever(name: "left {number}") }}'
                await say(socket, id="1", type="subscribe", payload={"query": query})
                await hear(socket)
                socket.transport.abort()
            await until_closed(f"left {number}")
    assert [line["outcome"] for line in lines if line["event"] == "operation"] == ["cancelled"] * 5
    assert {line["log_level"] for line in lines} == {"info"}
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def until_closed(name: str) -> None:
    """Wait until the generator of a subscription has run its `finally`."""
    async with asyncio.timeout(3):
        while name not in small.closed_streams:
            await asyncio.sleep(0.01)


async def test_security_22_a_flood_of_operations_and_garbage_leaves_another_connection_alone(url: str) -> None:
    async with opened(url) as calm, opened(url) as wild:
        await begin(calm)
        await begin(wild)
        await say(calm, id="1", type="subscribe", payload={"query": "subscription { forever }"})
        for number in range(1000):
            await say(wild, id=str(number), type="subscribe", payload={"query": "subscription { quiet }"})
        started = [await hear(wild) for _ in range(1000)]
        assert sum(message["type"] == "next" for message in started) == view.OPERATIONS_ON_A_SOCKET_MAX
        await wild.send("garbage")
        assert await close_code(wild) == 4400
        before = (await hear(calm))["payload"]["data"]["forever"]
        assert (await hear(calm))["payload"]["data"]["forever"] == before + 1
