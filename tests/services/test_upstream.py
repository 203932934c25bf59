"""The HTTP client of a verifier, against one that misbehaves."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from db.models import EvidenceStage, Verdict, VerdictReason
from services.errors import UpstreamDown, UpstreamMissing, UpstreamRefused
from services.upstream.http import HttpUpstream
from tests.services.faulty_upstream import Fault, FaultyUpstream

KEY = "key"
BUSY = Fault(429, headers={"retry-after": "1"})


async def test_the_credential_and_the_idempotency_key_are_sent(upstream: HttpUpstream, faulty: FaultyUpstream) -> None:
    first = await upstream.create(KEY, ["a@example.com"], idempotency_key="one")
    assert await upstream.create(KEY, ["a@example.com"], idempotency_key="one") == first
    assert await upstream.create(KEY, ["a@example.com"], idempotency_key="two") != first
    assert faulty.credentials == {"Bearer key"}


async def test_faults_of_the_server_are_tried_three_times(upstream: HttpUpstream, faulty: FaultyUpstream) -> None:
    faulty.err("create", Fault(500), Fault(503))
    await upstream.create(KEY, ["a@example.com"], idempotency_key="k")
    assert faulty.calls["create"] == 3
    faulty.err("create", Fault(500), Fault(502), Fault(504))
    with pytest.raises(UpstreamDown):
        await upstream.create(KEY, ["a@example.com"], idempotency_key="k2")
    assert faulty.calls["create"] == 6


async def test_a_short_wait_that_is_asked_for_is_kept(upstream: HttpUpstream, faulty: FaultyUpstream) -> None:
    faulty.err("create", BUSY)
    started = time.monotonic()
    await upstream.create(KEY, ["a@example.com"], idempotency_key="k")
    assert time.monotonic() - started >= 1.0


async def test_security_15_a_long_wait_that_is_asked_for_is_told_to_the_caller(
    upstream: HttpUpstream, faulty: FaultyUpstream
) -> None:
    faulty.err("create", Fault(429, headers={"retry-after": "120"}))
    with pytest.raises(UpstreamDown) as down:
        await upstream.create(KEY, ["a@example.com"], idempotency_key="k")
    assert (down.value.retry_after_seconds, faulty.calls["create"]) == (120.0, 1)


async def test_a_wait_that_is_no_number_is_not_kept(upstream: HttpUpstream, faulty: FaultyUpstream) -> None:
    for value in ["-1", "soon", "²", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT", ""]:
        faulty.err("create", Fault(503, headers={"retry-after": value}))
        await upstream.create(KEY, ["a@example.com"], idempotency_key=repr(value.encode()))


async def test_a_wait_of_years_is_cut_to_an_hour(upstream: HttpUpstream, faulty: FaultyUpstream) -> None:
    faulty.err("create", Fault(429, headers={"retry-after": "9" * 30}))
    with pytest.raises(UpstreamDown) as down:
        await upstream.create(KEY, ["a@example.com"], idempotency_key="k")
    assert down.value.retry_after_seconds == 3600.0


async def test_a_refusal_is_not_tried_again_and_says_why(upstream: HttpUpstream, faulty: FaultyUpstream) -> None:
    for count, status in enumerate([400, 401, 403, 409, 413, 422], 1):
        faulty.err("create", Fault(status))
        with pytest.raises(UpstreamRefused, match="It broke"):
            await upstream.create(KEY, ["a@example.com"], idempotency_key="k")
        assert faulty.calls["create"] == count


async def test_a_refusal_without_a_sentence_has_ours(upstream: HttpUpstream, faulty: FaultyUpstream) -> None:
    for body in [b"", b"<html>", b"[]", b'{"error": 1}', b"\xff", b"[" * 100_000]:
        faulty.err("create", Fault(400, body))
        with pytest.raises(UpstreamRefused, match="refused"):
            await upstream.create(KEY, ["a@example.com"], idempotency_key="k")


GARBAGE = [
    b"",
    b"<html>oops</html>",
    b"null",
    b"[]",
    b'{"tasks": 1}',
    b'{"tasks": [{"id": 7}]}',
    b'{"tasks": [{"id": "x"}]}',
    b'{"tasks": [{}]}',
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"results": [1], "next_after": 1}',
    b'{"results": [{"email": "a@b.co", "status": "perhaps"}], "next_after": 1}',
    b'{"results": [{"email": null, "status": "exists"}], "next_after": 1}',
    b'{"results": [{"email": "a@b.co", "status": "exists", "score": 40000}], "next_after": 1}',
    b'{"results": [{"email": "a@b.co", "status": "exists", "checked_at": "now"}], "next_after": 1}',
    b'{"results": [], "next_after": 1e999}',
    b'{"results": [], "next_after": 9223372036854775808}',
    b'{"results": [], "next_after": -1}',
    b'{"results": [{"email": "a@b.co", "status": "exists", "checked_at": "0001-01-01T00:00+23:00"}], "next_after": 1}',
    b'{"results": [{"email": "a", "status": "unknown", "evidence": [{"stage": "dns", "code": -1}]}], "next_after": 1}',
]


async def test_security_15_an_answer_that_is_garbage_is_a_fault_of_upstreams(
    faulty: FaultyUpstream, upstream: HttpUpstream
) -> None:
    for body in GARBAGE:
        fresh = HttpUpstream(faulty.url)  # its own: garbage is what opens the breaker
        for operation in ("list", "results"):
            faulty.err_always(operation, Fault(200, body))
        with pytest.raises(UpstreamDown):
            await fresh.tasks(KEY, [uuid.uuid4()])
        with pytest.raises(UpstreamDown):
            await fresh.results(KEY, uuid.uuid4(), after=0)
        await fresh.close()


async def test_what_a_newer_verifier_says_is_read_as_far_as_we_know_it(
    upstream: HttpUpstream, faulty: FaultyUpstream
) -> None:
    found = await upstream.verify(KEY, "no-one@example.com", timeout_seconds=1)
    assert (found.verdict, found.reason) == (Verdict.NOT_EXISTS, VerdictReason.OTHER)
    assert [step.stage for step in found.evidence] == [EvidenceStage.RCPT]


async def test_texts_that_a_database_refuses_are_made_storable(
    upstream: HttpUpstream, faulty: FaultyUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = "a\0b\ud800"
    faulty.result_changes = {
        "mail_host": bad,
        "suggestion": bad,
        "score_reasons": [bad],
        "evidence": [{"stage": "rcpt", "text": bad * 200, "host": bad}],
    }
    monkeypatch.setattr(faulty, "_result", _escaped(faulty._result))
    found = await upstream.verify(KEY, "a@example.com", timeout_seconds=1)
    step = found.evidence[0]
    texts = [found.mx_host, found.suggestion, *found.score_reasons, step.text, step.host]
    assert all(text is not None and "\0" not in text and text.encode() for text in texts)


def _escaped(result: Any) -> Any:
    """Lone surrogates cannot be encoded by the test's server: they travel as escapes of JSON."""

    def made(email: str) -> Any:
        return {name: value for name, value in result(email).items() if "\ud800" not in repr(value)} | {
            "mail_host": "a\0b",
            "suggestion": "a\0b",
            "score_reasons": ["\0"],
            "evidence": [{"stage": "rcpt", "text": "\0" * 300, "host": "\0"}],
        }

    return made


async def test_a_missing_task_is_told_from_a_refusal(upstream: HttpUpstream, faulty: FaultyUpstream) -> None:
    with pytest.raises(UpstreamMissing):
        await upstream.results(KEY, uuid.uuid4(), after=0)
    with pytest.raises(UpstreamMissing):
        await upstream.cancel(KEY, uuid.uuid4())
    assert await upstream.tasks(KEY, [uuid.uuid4()]) == {}


async def test_a_server_that_hangs_is_down(upstream: HttpUpstream, faulty: FaultyUpstream) -> None:
    faulty.err_always("list", Fault(hang_seconds=20))
    started = time.monotonic()
    with pytest.raises(UpstreamDown) as down:
        await upstream.tasks(KEY, [uuid.uuid4()])
    assert down.value.is_timeout
    assert time.monotonic() - started < 3


async def test_a_verification_that_takes_too_long_is_a_timeout_and_no_fault(
    upstream: HttpUpstream, faulty: FaultyUpstream
) -> None:
    faulty.err_always("verify", Fault(hang_seconds=20))
    for _ in range(6):  # more than the breaker forgives
        with pytest.raises(UpstreamDown) as down:
            await upstream.verify(KEY, "a@example.com", timeout_seconds=0.05)
        assert down.value.is_timeout
    assert await upstream.tasks(KEY, [uuid.uuid4()]) == {}
    assert faulty.calls["verify"] == 6


async def test_an_answer_that_comes_byte_by_byte_is_left_when_its_time_is_over() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        client = HttpUpstream(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        started = time.monotonic()
        with pytest.raises(UpstreamDown) as down:
            async with asyncio.timeout(3):
                await client.verify(KEY, "a@example.com", timeout_seconds=0.2)
        assert down.value.is_timeout
        assert time.monotonic() - started < 1
        await client.close()


async def test_a_server_that_is_not_there_is_down_at_once(faulty: FaultyUpstream, upstream: HttpUpstream) -> None:
    await faulty.stop()
    started = time.monotonic()
    with pytest.raises(UpstreamDown) as down:
        await upstream.verify(KEY, "a@example.com", timeout_seconds=5)
    assert not down.value.is_timeout
    with pytest.raises(UpstreamDown):
        await upstream.ping()
    assert time.monotonic() - started < 0.5


async def test_the_breaker_opens_after_five_failures_and_closes_again(
    faulty: FaultyUpstream, upstream: HttpUpstream
) -> None:
    faulty.err_always("list", Fault(500))
    for _ in range(2):
        with pytest.raises(UpstreamDown):
            await upstream.tasks(KEY, [uuid.uuid4()])
    calls = faulty.calls["list"]
    assert calls <= 6
    started = time.monotonic()
    faulty.err_always("list", None)
    with pytest.raises(UpstreamDown) as down:  # nobody is asked, whatever the call
        await upstream.verify(KEY, "a@example.com", timeout_seconds=1)
    assert time.monotonic() - started < 0.1
    assert down.value.retry_after_seconds is not None
    assert 0 < down.value.retry_after_seconds <= 0.3
    assert faulty.calls["verify"] == 0
    await asyncio.sleep(0.35)
    assert await upstream.tasks(KEY, [uuid.uuid4()]) == {}


async def test_a_client_lives_for_as_long_as_its_health_is_asked(
    upstream: HttpUpstream, faulty: FaultyUpstream
) -> None:
    assert 0 < await upstream.ping() < 1000
    faulty.err("health", Fault(503))
    with pytest.raises(UpstreamDown):
        await upstream.ping()


@pytest.fixture
async def deaf() -> AsyncIterator[str]:
    """A server that closes every connection without a word."""

    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/v1"
    server.close()
    await server.wait_closed()


async def test_a_connection_that_is_cut_off_is_down(deaf: str) -> None:
    client = HttpUpstream(deaf)
    with pytest.raises(UpstreamDown):
        await client.tasks(KEY, [uuid.uuid4()])
    await client.close()
