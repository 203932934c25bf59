"""Tasks over REST: made, listed, read, seen by the right people."""

from datetime import UTC, datetime, timedelta
from typing import Any

from verifier.store import database
from verifier.store.queries import tasks
from verifier.tests.rest import Rest, error, ok

USER = "7b0c5a0e-6c4b-4a7e-9d5e-1f2f3f4f5f6f"
OTHER = "0f9e8d7c-6b5a-4433-8211-aabbccddeeff"
NOBODY = "11111111-2222-4333-8444-555555555555"


async def test_a_new_task_counts_addresses_and_domains(rest: Rest) -> None:
    emails = ["a@Example.com", " b@example.COM ", "a@example.com", "c@bücher.example", "c@xn--bcher-kva.example", "no"]
    task = await rest.create(emails)
    assert (task["email_count"], task["domain_count"], task["user_id"], task["webhook_url"]) == (6, 2, None, None)
    read = await rest.task(task["id"])
    assert read["metrics"]["job_status"] == {"pending": 6, "processing": 0, "completed": 0, "failed": 0}
    assert (read["metrics"]["progress"], read["started_at"], read["finished_at"]) == (0, None, None)


async def test_the_same_key_and_body_give_the_same_task_and_another_body_is_refused(rest: Rest) -> None:
    key = {"Idempotency-Key": "one"}
    first = await rest.create(["a@example.com"], **key)
    assert await rest.create(["a@example.com"], **key) == first
    refused = error(await rest.client.post("/tasks", json={"emails": ["b@example.com"]}, headers=key), 409)
    assert refused["code"] == "conflict"
    assert len(ok(await rest.client.get("/tasks"))["tasks"]) == 1
    other = await rest.create(["b@example.com"], **key, **await rest.key_for(USER))
    assert other["id"] != first["id"]


BAD_BODIES: list[tuple[dict[str, Any], str]] = [
    ({}, "emails"),
    ({"emails": []}, "emails"),
    ({"emails": "a@example.com"}, "emails"),
    ({"emails": ["a@example.com", 7]}, "emails[1]"),
    ({"emails": ["a@example.com"] * 10_001}, "emails"),
    ({"emails": ["a@example.com"], "user_id": USER}, "user_id"),
    ({"emails": ["a@example.com"], "colour": "red"}, "colour"),
    ({"emails": ["a@example.com"], "webhook_url": "ftp://example.com/"}, "webhook_url"),
    ({"emails": ["a@example.com"], "webhook_url": "https://me:secret@example.com/"}, "webhook_url"),
    ({"emails": ["a@example.com"], "webhook_url": "https://[bad/"}, "webhook_url"),
    ({"emails": ["a@example.com"], "webhook_url": 1}, "webhook_url"),
]


async def test_a_bad_body_is_refused_and_nothing_is_written(rest: Rest) -> None:
    for body, field in BAD_BODIES:
        assert error(await rest.client.post("/tasks", json=body), 400)["field"] == field
    assert ok(await rest.client.get("/tasks"))["tasks"] == []


async def test_what_is_no_json_object_is_refused(rest: Rest) -> None:
    for body in (b"", b"{", b"[]", b'{"emails": ["\xff"]}', b'{"emails": ["\\ud800@x.com"]}', b"1" * 9):
        assert error(await rest.client.post("/tasks", content=body), 400)["code"] == "invalid_json"


async def test_a_body_without_end_is_refused(rest: Rest) -> None:
    body = b'{"emails": ["' + b"a" * 5_000_000 + b'"]}'
    assert error(await rest.client.post("/tasks", content=body), 400)["code"] == "body_too_large"


async def test_ten_thousand_addresses_of_the_greatest_length_are_taken(rest: Rest) -> None:
    domain = ".".join(["d" * 61] * 3) + ".com"
    task = await rest.create([f"{n:05}{'l' * 58}@{domain}" for n in range(10_000)])
    assert (task["email_count"], task["domain_count"]) == (10_000, 1)


async def test_another_users_task_is_not_there(rest: Rest) -> None:
    mine, theirs = await rest.key_for(USER), await rest.key_for(OTHER)
    task = await rest.create(["a@example.com"], **mine)
    assert task["user_id"] == USER
    of_service = await rest.create(["a@example.com"])
    for id in (task["id"], of_service["id"], NOBODY):
        for method, path in (("GET", ""), ("GET", "/results"), ("GET", "/download"), ("POST", "/cancel")):
            error(await rest.client.request(method, f"/tasks/{id}{path}", headers=theirs), 404)
    assert ok(await rest.client.get("/tasks", headers=theirs))["tasks"] == []
    assert [found["id"] for found in ok(await rest.client.get("/tasks", headers=mine))["tasks"]] == [task["id"]]
    ok(await rest.client.get(f"/tasks/{task['id']}", headers=mine))


async def test_the_service_sees_everybody_and_may_ask_for_one(rest: Rest) -> None:
    mine = await rest.key_for(USER)
    task = await rest.create(["a@example.com"], **mine)
    of_service = await rest.create(["a@example.com"])
    everything = ok(await rest.client.get("/tasks"))["tasks"]
    assert [found["id"] for found in everything] == [of_service["id"], task["id"]]
    narrowed = ok(await rest.client.get("/tasks", params={"user_id": USER}))["tasks"]
    assert [found["id"] for found in narrowed] == [task["id"]]
    error(await rest.client.get("/tasks", params={"user_id": USER}, headers=mine), 403)


async def test_what_is_no_id_is_refused_as_the_contract_says(rest: Rest) -> None:
    error(await rest.client.get("/tasks/no-id"), 400)
    error(await rest.client.get("/tasks/{7b0c5a0e-6c4b-4a7e-9d5e-1f2f3f4f5f6f}"), 400)
    error(await rest.client.get("/tasks/no-id/download"), 400)
    error(await rest.client.get("/tasks/no-id/results"), 404)
    error(await rest.client.post("/tasks/no-id/cancel"), 404)


async def test_the_list_is_paged_and_narrowed(rest: Rest) -> None:
    ids = [(await rest.create([f"a{n}@example.com"]))["id"] for n in range(5)]
    page = ok(await rest.client.get("/tasks", params={"limit": 2, "offset": 1}))
    assert [task["id"] for task in page["tasks"]] == [ids[3], ids[2]]
    assert (page["count"], page["limit"], page["offset"]) == (2, 2, 1)
    wanted = ok(await rest.client.get("/tasks", params={"ids": f"{ids[0]},{ids[4]},{NOBODY}"}))
    assert [task["id"] for task in wanted["tasks"]] == [ids[4], ids[0]]
    middle = next(task for task in ok(await rest.client.get("/tasks"))["tasks"] if task["id"] == ids[2])["created_at"]
    after = ok(await rest.client.get("/tasks", params={"created_after": middle}))["tasks"]
    assert [task["id"] for task in after] == [ids[4], ids[3]]
    before = ok(await rest.client.get(f"/tasks?created_before={middle.replace('Z', '+00:00')}"))["tasks"]
    assert [task["id"] for task in before] == [ids[1], ids[0]]
    assert ok(await rest.client.get("/tasks", params={"ids": ""}))["tasks"] == []
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert ok(await rest.client.get("/tasks", params={"created_after": tomorrow.isoformat()}))["tasks"] == []


BAD_PARAMETERS = [
    ("limit", "0"),
    ("limit", "101"),
    ("limit", "ten"),
    ("limit", ""),
    ("offset", "-1"),
    ("limit", "9" * 5000),
    ("offset", "1e3"),
    ("offset", "\u0661"),
    ("ids", "no-id"),
    ("ids", ",".join([NOBODY] * 101)),
    ("user_id", "me"),
    ("created_after", "yesterday"),
    ("created_after", "2026-11-21"),
    ("created_after", "2026-11-21T10:00:00"),
    ("created_before", "2026-13-01T10:00:00Z"),
    ("created_before", "0001-01-01T00:00:00+14:00"),
]


async def test_an_offset_beyond_every_task_gives_an_empty_page(rest: Rest) -> None:
    await rest.create(["a@example.com"])
    for offset in ("1", "000000000000000000000001", "9" * 5000):
        assert ok(await rest.client.get("/tasks", params={"offset": offset}))["tasks"] == []


async def test_a_task_is_found_by_its_key_without_reading_all_the_others(database_url: str) -> None:
    pool = await database.open_pool(database_url, size=1)
    new = tasks.NewTask(None, "key", b"hash", None, [("a@example.com", "a@example.com")], 1)
    first = await tasks.create(pool, new)
    await pool.execute(
        "INSERT INTO task (id, user_id, idempotency_key, body_hash, email_count, domain_count)"
        "SELECT gen_random_uuid(), gen_random_uuid(), 'key', '', 1, 1 FROM generate_series(1, 3000)"
    )
    await pool.execute("ANALYZE task")
    scans = []
    for _ in range(2):
        await pool.execute("SELECT pg_stat_force_next_flush()")
        scans.append(await pool.fetchval("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'task'"))
        assert (await tasks.create(pool, new)).id == first.id
    await pool.execute("SELECT pg_stat_force_next_flush()")
    scans.append(await pool.fetchval("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'task'"))
    await pool.close()
    assert scans[0] == scans[2]


async def test_a_bad_parameter_is_named(rest: Rest) -> None:
    for name, value in BAD_PARAMETERS:
        assert error(await rest.client.get("/tasks", params={name: value}), 400)["field"] == name
