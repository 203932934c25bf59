"""What every answer has in common: rates, methods, media types, bounds, metrics."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from verifier.api import bodies
from verifier.api.rates import Rates
from verifier.tests.rest import Rest, error, ok

USER = "7b0c5a0e-6c4b-4a7e-9d5e-1f2f3f4f5f6f"
OTHER = "0f9e8d7c-6b5a-4433-8211-aabbccddeeff"


@pytest.fixture
def env(env: dict[str, str]) -> dict[str, str]:
    return {**env, "VERIFIER_RATE_LIMIT": "10"}


async def test_who_asks_too_often_is_told_when_to_come_back_and_others_go_on(rest: Rest) -> None:
    mine, again, theirs = await rest.key_for(USER), await rest.key_for(USER), await rest.key_for(OTHER)
    answers = [await rest.client.get("/tasks", headers=mine) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429]
    assert error(answers[-1], 429)["code"] == "rate_limited"
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 6
    for method, path in (("POST", "/tasks"), ("GET", f"/tasks/{USER}"), ("GET", "/webhook-secret")):
        error(await rest.client.request(method, path, headers=again), 429)
    ok(await rest.client.get("/tasks", headers=theirs))
    for _ in range(12):
        ok(await rest.client.get("/tasks"))


def test_a_bucket_fills_again_and_full_ones_are_forgotten() -> None:
    rates = Rates()
    for _ in range(60):
        assert rates.take("a", per_minute=60, now=1000.0) == 0
    assert rates.take("a", per_minute=60, now=1000.0) == pytest.approx(1.0)
    assert rates.take("a", per_minute=60, now=1000.5) == pytest.approx(0.5)
    assert rates.take("a", per_minute=60, now=1001.0) == 0
    assert rates.take("a", per_minute=60, now=1001.0) > 0
    assert all(rates.take(n, per_minute=60, now=1001.0) == 0 for n in range(20_000))
    assert rates.take("x", per_minute=0) == 0
    for n in range(30_000):
        rates.take(f"later {n}", per_minute=60, now=2000.0)
    assert len(rates._full_at) == 30_000


async def test_a_method_that_a_path_lacks_is_refused_with_those_it_has(rest: Rest) -> None:
    for path, allowed in (
        ("/tasks", {"GET", "HEAD", "POST"}),
        ("/verify", {"POST"}),
        (f"/tasks/{USER}", {"GET", "HEAD"}),
    ):
        for method in ("PUT", "PATCH", "DELETE", "OPTIONS"):
            answer = await rest.client.request(method, path)
            assert error(answer, 405)["code"] == "method_not_allowed"
            assert set(answer.headers["allow"].replace(" ", "").split(",")) == allowed
    assert (await rest.client.head("/tasks")).status_code == 200
    error(await rest.client.get("/tasks/"), 404)


async def test_an_answer_is_json_or_none(rest: Rest) -> None:
    for accept in ("text/html", "application/json;q=0", "*/*;q=0", "text/*, image/png", "application/json;q=0, */*"):
        assert error(await rest.client.get("/tasks", headers={"Accept": accept}), 406)["code"] == "not_acceptable"
    for accept in (
        "application/json",
        "*/*",
        "text/html, application/*;q=0.1",
        "application/json;q=x",
        "text/*;q=0, */*",
    ):
        ok(await rest.client.get("/tasks", headers={"Accept": accept}))


async def test_a_body_of_another_type_is_refused(rest: Rest) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        headers = {"Content-Type": content_type}
        answer = await rest.client.post("/tasks", content=b'{"emails": ["a@b.com"]}', headers=headers)
        assert error(answer, 415)["code"] == "unsupported_media_type"
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    ok(await rest.client.post("/tasks", content=b'{"emails": ["a@b.com"]}', headers=headers), 201)


async def test_a_body_that_does_not_come_is_not_waited_for(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "SECONDS_MAX", 0.2)

    async def slow() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" "
            await asyncio.sleep(0.1)

    assert error(await rest.client.post("/tasks", content=slow()), 400)["code"] == "incomplete"


async def test_deep_or_endless_values_are_refused(rest: Rest) -> None:
    deep = b'{"emails": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    digits = b'{"emails": [' + b"9" * 5000 + b"]}"
    for body in (deep, digits):
        error(await rest.client.post("/tasks", content=body), 400)
    assert error(await rest.client.post("/keys", content=b" " * 70_000), 400)["code"] == "body_too_large"


async def test_one_key_twenty_times_at_once_makes_one_task(rest: Rest) -> None:
    made = await asyncio.gather(*(rest.create(["a@example.com"], **{"Idempotency-Key": "k"}) for _ in range(20)))
    assert len({task["id"] for task in made}) == 1
    assert len(ok(await rest.client.get("/tasks"))["tasks"]) == 1


async def test_the_same_list_spelt_otherwise_is_the_same_body(rest: Rest) -> None:
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    spellings = [
        b'{"emails":["a@example.com"]}',
        b'{ "webhook_url": null,\n "emails": ["\\u0061@example.com"] }',
    ]
    ids = {ok(await rest.client.post("/tasks", content=body, headers=headers), 201)["id"] for body in spellings}
    assert len(ids) == 1
    other = {"emails": ["a@example.com"], "webhook_url": "https://example.com"}
    assert error(await rest.client.post("/tasks", json=other, headers=headers), 409)["field"] == "Idempotency-Key"
    for key in ("", "k" * 256):
        refused = await rest.client.post("/tasks", json=other, headers={"Idempotency-Key": key})
        assert error(refused, 400)["field"] == "Idempotency-Key"


async def test_metrics_and_details_of_health_are_the_services(rest: Rest) -> None:
    await rest.create(["a@example.com"])
    root = rest.client.base_url.copy_with(path="/")
    mine = await rest.key_for(USER)
    for path in ("metrics", "health"):
        error(await rest.client.get(root.join(path), headers=mine), 403)
    metrics = await rest.client.get(root.join("metrics"))
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "# TYPE verifier_tasks_open gauge\nverifier_tasks_open 1\n" in metrics.text
    health = ok(await rest.client.get(root.join("health")))
    assert health["waiting"]["unplanned_tasks"] == 1
    assert health["database_connections"]["most"] >= 1
