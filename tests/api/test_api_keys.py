"""API keys through GraphQL: made, listed, changed, rotated, revoked; and what a key may not do."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from db.models import Account
from resolvers.context import Parts
from services import keys
from tests import factories
from tests.client import Client

KEY = "apiKey { id name prefix scopes createdAt lastUsedAt expiresAt revokedAt }"
ERRORS = "userErrors { code message field }"
NODE = "query($id: ID!) { node(id: $id) { ... on ApiKey { id name } } }"
LIST = "query($all: Boolean!) { apiKeys(includeRevoked: $all) { totalCount nodes { name revokedAt } } }"


async def done(client: Client, name: str, selection: str, /, **given: Any) -> Any:
    """What a mutation gives back."""
    query = (
        f"mutation($input: {name[0].upper()}{name[1:]}Input!) {{ {name}(input: $input) {{ {selection} {ERRORS} }} }}"
    )
    return (await client.ask(query, input=given))[name]


async def made(client: Client, name: str = "ci", **given: Any) -> tuple[dict[str, Any], Client]:
    """A new key, and a client that shows it."""
    outcome = await done(client, "createApiKey", f"{KEY} secret", **{"name": name, "scopes": ["TASKS_READ"], **given})
    assert outcome["userErrors"] == []
    return outcome["apiKey"], Client(client.http, outcome["secret"])


async def status(client: Client) -> int:
    return (await client.post("{ tasks { totalCount } }")).status_code


async def test_a_key_is_made_and_does_what_its_scopes_name(client: Client, account: Account) -> None:
    row, key = await made(client, " ci ", scopes=["VERIFY", "TASKS_READ", "VERIFY"])
    assert (row["name"], row["scopes"], row["expiresAt"]) == ("ci", ["TASKS_READ", "VERIFY"], None)
    assert key.credential is not None
    assert key.credential.startswith(row["prefix"])
    assert (await key.ask("{ viewer { email } tasks { totalCount } }"))["viewer"]["email"] == account.email
    create = 'mutation { createTask(input: {emails: ["a@ok.mailverdict.test"]}) { task { id } } }'
    assert await key.codes(create) == ["FORBIDDEN"]


async def test_the_secret_is_shown_once_and_kept_as_a_hash(client: Client, raw: Any) -> None:
    _, key = await made(client)
    assert key.credential is not None
    ((stored,),) = await raw("SELECT api_key::text FROM api_key")
    assert key.credential not in stored
    answer = (await client.post("{ apiKeys { nodes { id name prefix scopes } } }")).text
    assert key.credential not in answer


async def test_a_key_with_bad_input_is_not_made(client: Client, raw: Any) -> None:
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    for given, code, field in (
        ({"name": " "}, "REQUIRED", "name"),
        ({"name": "x" * 101}, "TOO_LARGE", "name"),
        ({"name": "a\0b"}, "INVALID", "name"),
        ({"scopes": []}, "REQUIRED", "scopes"),
        ({"expiresAt": past}, "INVALID", "expiresAt"),
    ):
        outcome = await done(client, "createApiKey", "secret", **{"name": "ci", "scopes": ["VERIFY"], **given})
        (error,) = outcome["userErrors"]
        assert (error["code"], error["field"], outcome["secret"]) == (code, ["input", field], None)
    assert await raw("SELECT 1 FROM api_key") == []


async def test_a_key_stops_at_its_end(client: Client, raw: Any) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    row, key = await made(client, expiresAt=later)
    assert row["expiresAt"] is not None
    assert await status(key) == 200
    await raw("UPDATE api_key SET expires_at = now() - interval '1 second' RETURNING 1")
    assert await status(key) == 401
    outcome = await done(client, "rotateApiKey", "secret", apiKeyId=row["id"])
    assert [error["code"] for error in outcome["userErrors"]] == ["WRONG_STATE"]


async def test_a_changed_key_has_its_new_rights_at_once(client: Client) -> None:
    row, key = await made(client)
    outcome = await done(client, "updateApiKey", KEY, apiKeyId=row["id"], scopes=["VERIFY"])
    assert (outcome["apiKey"]["name"], outcome["apiKey"]["scopes"]) == ("ci", ["VERIFY"])
    assert await key.codes("{ tasks { totalCount } }") == ["FORBIDDEN"]
    outcome = await done(client, "updateApiKey", KEY, apiKeyId=row["id"], name="other")
    assert (outcome["apiKey"]["name"], outcome["apiKey"]["scopes"]) == ("other", ["VERIFY"])
    outcome = await done(client, "updateApiKey", KEY, apiKeyId=row["id"], scopes=[])
    assert [error["code"] for error in outcome["userErrors"]] == ["REQUIRED"]


async def test_a_rotated_key_has_two_secrets_for_an_hour(client: Client, raw: Any) -> None:
    row, first = await made(client)
    outcome = await done(client, "rotateApiKey", f"{KEY} secret", apiKeyId=row["id"])
    second = Client(client.http, outcome["secret"])
    assert outcome["apiKey"]["id"] == row["id"]
    assert outcome["apiKey"]["prefix"] == outcome["secret"][:14]
    assert [await status(one) for one in (first, second)] == [200, 200]
    ((minutes,),) = await raw("SELECT extract(epoch FROM previous_expires_at - now()) / 60 FROM api_key")
    assert 59 < minutes <= 60
    await raw("UPDATE api_key SET previous_expires_at = now() - interval '1 second' RETURNING 1")
    assert [await status(one) for one in (first, second)] == [401, 200]


async def test_a_second_rotation_ends_the_first_secret(client: Client) -> None:
    row, first = await made(client)
    secrets = [(await done(client, "rotateApiKey", "secret", apiKeyId=row["id"]))["secret"] for _ in range(2)]
    later = [Client(client.http, secret) for secret in secrets]
    assert [await status(one) for one in (first, *later)] == [401, 200, 200]


async def test_a_revoked_key_is_refused_with_both_its_secrets(client: Client) -> None:
    row, first = await made(client)
    second = Client(client.http, (await done(client, "rotateApiKey", "secret", apiKeyId=row["id"]))["secret"])
    revoked = (await done(client, "revokeApiKey", KEY, apiKeyId=row["id"]))["apiKey"]["revokedAt"]
    assert revoked is not None
    assert [await status(one) for one in (first, second)] == [401, 401]
    assert (await done(client, "revokeApiKey", KEY, apiKeyId=row["id"]))["apiKey"]["revokedAt"] == revoked
    for name, given in (("rotateApiKey", {}), ("updateApiKey", {"name": "x"})):
        outcome = await done(client, name, "apiKey { id }", apiKeyId=row["id"], **given)
        assert [error["code"] for error in outcome["userErrors"]] == ["WRONG_STATE"]


async def test_keys_are_listed_newest_first_and_revoked_ones_on_request(client: Client, raw: Any) -> None:
    rows = [(await made(client, name))[0] for name in ("one", "two", "three")]
    await done(client, "revokeApiKey", KEY, apiKeyId=rows[1]["id"])

    async def names(*, is_all: bool) -> list[str]:
        found = (await client.ask(LIST, all=is_all))["apiKeys"]
        assert found["totalCount"] == len(found["nodes"])
        return [node["name"] for node in found["nodes"]]

    assert await names(is_all=False) == ["three", "one"]
    assert await names(is_all=True) == ["three", "two", "one"]
    await raw("UPDATE api_key SET revoked_at = now() - interval '91 days' WHERE revoked_at IS NOT NULL RETURNING 1")
    assert await names(is_all=True) == ["three", "one"]
    info = "pageInfo { endCursor hasNextPage }"
    page = f"query($after: String) {{ apiKeys(first: 1, after: $after) {{ nodes {{ name }} {info} }} }}"
    first = (await client.ask(page))["apiKeys"]
    second = (await client.ask(page, after=first["pageInfo"]["endCursor"]))["apiKeys"]
    assert (first["nodes"], second["nodes"]) == ([{"name": "three"}], [{"name": "one"}])
    assert (first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]) == (True, False)


async def test_security_23_the_key_of_another_is_not_found(client: Client, stranger: Client) -> None:
    row, key = await made(client)
    assert (await client.ask(NODE, id=row["id"]))["node"]["name"] == "ci"
    assert (await stranger.ask(NODE, id=row["id"]))["node"] is None
    assert (await stranger.ask(LIST, all=True))["apiKeys"]["totalCount"] == 0
    for name, given in (("updateApiKey", {"name": "x"}), ("rotateApiKey", {}), ("revokeApiKey", {})):
        for key_id in (row["id"], "key_x", "task_0000000000000000000000", "\0"):
            outcome = await done(stranger, name, "apiKey { id }", apiKeyId=key_id, **given)
            assert [error["code"] for error in outcome["userErrors"]] == ["NOT_FOUND"]
    assert await status(key) == 200


async def test_a_key_reaches_no_key(client: Client, http: httpx.AsyncClient) -> None:
    every = ["PROFILE_READ", "PROFILE_WRITE", "USAGE_READ", "CREDITS_DEDUCT", "TASKS_READ", "TASKS_WRITE", "VERIFY"]
    row, key = await made(client, scopes=every)
    assert await key.codes("{ apiKeys { totalCount } }") == ["FORBIDDEN"]
    assert await key.codes(NODE, id=row["id"]) == ["FORBIDDEN"]
    create = 'mutation { createApiKey(input: {name: "x", scopes: [VERIFY]}) { secret } }'
    assert await key.codes(create) == ["FORBIDDEN"]
    assert await Client(http).codes(create) == ["UNAUTHENTICATED"]


async def test_an_account_has_so_many_keys_for_each_has_points_of_its_own(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "KEYS_MAX", 3)
    rows = [(await made(client, f"key {n}"))[0] for n in range(3)]
    await done(client, "revokeApiKey", KEY, apiKeyId=rows[0]["id"])
    for _ in range(2):  # what was revoked had its points too
        outcome = await done(client, "createApiKey", KEY, name="one more", scopes=["VERIFY"])
        assert [error["code"] for error in outcome["userErrors"]] == ["LIMIT_REACHED"]


async def test_a_key_that_makes_tasks_does_not_read_their_results(
    client: Client, parts: Parts, account: Account
) -> None:
    task = await factories.finished_task(parts.db, account, rows=2)
    for scopes, expected in ((["TASKS_WRITE"], ["FORBIDDEN", "FORBIDDEN"]), (["TASKS_WRITE", "TASKS_READ"], [])):
        _, key = await made(client, scopes=scopes)
        query = """mutation($id: ID!) { updateTask(input: {taskId: $id, name: "mine"}) {
          task { id results { nodes { input } } download { url } } } }"""
        assert await key.codes(query, id=task.global_id) == expected


async def test_a_text_that_is_no_slug_is_refused(client: Client) -> None:
    for query in (
        'query { apiKeys(integration: "a\\u0000") { totalCount } }',
        'query { tasks(filter: {integration: ["a\\u0000"]}) { totalCount } }',
    ):
        assert await client.codes(query) == ["BAD_USER_INPUT"]
