"""Credentials, keys, health, and paths that are not there."""

from verifier.tests.rest import Rest, error, ok

USER = "7b0c5a0e-6c4b-4a7e-9d5e-1f2f3f4f5f6f"

WRONG = [
    "",
    "Bearer",
    "Bearer wrong",
    "Basic dTpw",
    "Bearer mvk_wrong",
    "Bearer wr\u00f6ng",
]


async def test_a_wrong_credential_is_refused(rest: Rest) -> None:
    for value in WRONG:
        response = await rest.client.get("/tasks", headers=[(b"Authorization", value.encode("latin-1"))])
        assert error(response, 401)["code"] == "unauthenticated"
        assert response.headers["www-authenticate"] == "Bearer"


async def test_no_credential_is_refused(rest: Rest) -> None:
    del rest.client.headers["Authorization"]
    error(await rest.client.get("/tasks"), 401)
    error(await rest.client.post("/verify", json={"email": "a@example.com"}), 401)


async def test_a_key_works_in_either_header(rest: Rest) -> None:
    key = (await rest.key_for(USER))["Authorization"].removeprefix("Bearer ")
    del rest.client.headers["Authorization"]
    ok(await rest.client.get("/tasks", headers={"X-API-Key": key}))
    ok(await rest.client.get("/tasks", headers={"Authorization": f"bearer {key}"}))


async def test_only_the_service_makes_keys(rest: Rest) -> None:
    mine = await rest.key_for(USER)
    error(await rest.client.post("/keys", json={"user_id": USER}, headers=mine), 403)
    assert error(await rest.client.post("/keys", json={"user_id": "me"}), 400)["field"] == "user_id"
    assert error(await rest.client.post("/keys", json={}), 400)["field"] == "user_id"
    assert error(await rest.client.post("/keys", json={"user_id": USER, "name": "x"}), 400)["field"] == "name"


async def test_health_needs_no_credential(rest: Rest) -> None:
    del rest.client.headers["Authorization"]
    root = rest.client.base_url.copy_with(path="/health")
    health = ok(await rest.client.get(root))
    assert health["status"] == "ok"
    assert health["database_latency_ms"] >= 0


async def test_unknown_paths_and_methods_are_refused_in_the_contracts_form(rest: Rest) -> None:
    assert error(await rest.client.get("/nothing"), 404)["code"] == "not_found"
    assert error(await rest.client.put("/tasks"), 405)["code"] == "method_not_allowed"


async def test_no_answer_tells_which_server_it_is(rest: Rest) -> None:
    assert "server" not in (await rest.client.get("/tasks")).headers
