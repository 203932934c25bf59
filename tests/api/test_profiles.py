"""profile and its mutations, through HTTP; what a new account starts with."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from db.models import DOCUMENT_BYTES_MAX, Account, ApiKeyScope
from db.session import Database
from services import accounts
from tests import factories
from tests.api.conftest import WithKey
from tests.client import Client
from tests.conftest import Raw, Statements

PROFILE = "id email displayName document version createdAt updatedAt"
MINE = f"{{ profile {{ {PROFILE} }} }}"
ERRORS = "userErrors { code message field }"
UPSERT = f"""mutation($input: UpsertProfileInput!) {{ upsertProfile(input: $input) {{
  profile {{ {PROFILE} }} wasCreated {ERRORS} }} }}"""
UPDATE = (
    f"mutation($input: UpdateProfileInput!) {{ updateProfile(input: $input) {{ profile {{ {PROFILE} }} {ERRORS} }} }}"
)
DELETE = (
    f"mutation($input: DeleteProfileInput!) {{ deleteProfile(input: $input) {{ profile {{ {PROFILE} }} {ERRORS} }} }}"
)
WRITES: tuple[tuple[str, dict[str, Any]], ...] = (
    (UPSERT, {"document": {}}),
    (UPDATE, {"patch": {}}),
    (DELETE, {}),
)
SIGN_UP = "mutation($input: SignUpInput!) { signUp(input: $input) { tokens { accessToken } userErrors { code } } }"


async def written(client: Client, query: str, **given: Any) -> dict[str, Any]:
    """The profile after a mutation that goes well."""
    (payload,) = (await client.ask(query, input=given)).values()
    assert payload["userErrors"] == []
    profile: dict[str, Any] = payload["profile"]
    return profile


async def refused(client: Client, query: str, **given: Any) -> tuple[str, list[str] | None]:
    """Code and field of the one user error of a mutation, which changed nothing."""
    before = await client.ask(MINE)
    (payload,) = (await client.ask(query, input=given)).values()
    assert payload["profile"] is None
    assert await client.ask(MINE) == before
    (error,) = payload["userErrors"]
    return error["code"], error["field"]


async def test_an_account_begins_with_an_empty_profile_and_a_credit_account(client: Client, raw: Raw) -> None:
    given = {"email": "new@example.com", "password": "long enough", "name": " Ada "}
    payload = (await client.ask(SIGN_UP, input=given))["signUp"]
    new = Client(client.http, payload["tokens"]["accessToken"])
    assert await new.ask("{ profile { displayName document version } credits { balance } }") == {
        "profile": {"displayName": "Ada", "document": {}, "version": 1},
        "credits": {"balance": 0},
    }
    query = (
        "SELECT (SELECT count(*) FROM profile), (SELECT count(*) FROM credit_account), (SELECT count(*) FROM account)"
    )
    assert await raw(query) == [(2, 2, 2)]


async def test_the_account_of_development_is_begun_once(db: Database, raw: Raw) -> None:
    account = await accounts.ensure_development_account(db, datetime.now(UTC), welcome_credits=5)
    assert (await accounts.ensure_development_account(db, datetime.now(UTC), welcome_credits=5)).id == account.id
    query = "SELECT p.version, c.balance FROM profile p JOIN credit_account c USING (account_id) WHERE account_id = :id"
    assert await raw(query, id=account.id) == [(1, 5)]


async def test_an_account_without_a_profile_reads_an_empty_one_and_writes_its_first(client: Client, raw: Raw) -> None:
    await raw(
        "DELETE FROM profile RETURNING version"
    )  # as an older version of the service, running beside this one, leaves it
    found = (await client.ask(MINE))["profile"]
    assert (found["document"], found["version"], found["displayName"]) == ({}, 1, None)
    profile = await written(client, UPSERT, document={"a": 1}, expectedVersion=1)
    assert (profile["document"], profile["version"]) == ({"a": 1}, 2)


async def test_a_document_is_written_whole_and_counted(client: Client, account: Account) -> None:
    payload = (await client.ask(UPSERT, input={"document": {"b": [1.5, None, "é"]}, "displayName": "Ada"}))[
        "upsertProfile"
    ]
    first = payload["profile"]
    assert payload["wasCreated"] is True
    assert (first["email"], first["displayName"], first["version"]) == (account.email, "Ada", 2)
    assert first["document"] == {"b": [1.5, None, "é"]}
    payload = (await client.ask(UPSERT, input={"document": {"c": {}}}))["upsertProfile"]
    second = payload["profile"]
    assert payload["wasCreated"] is False
    assert (second["document"], second["displayName"], second["version"]) == ({"c": {}}, "Ada", 3)
    assert second["updatedAt"] > first["updatedAt"] > second["createdAt"] == first["createdAt"]
    assert (await client.ask(MINE))["profile"] == second
    assert (await written(client, UPSERT, document={}, displayName=None))["displayName"] is None


async def test_an_object_may_stand_in_the_query_with_variables_inside(client: Client) -> None:
    query = """mutation($x: JSONObject!, $n: Int) {
      upsertProfile(input: {document: {a: $x, n: $n, list: [1, 2.5, "t"]}}) {
        profile { document } userErrors { code } } }"""
    payload = (await client.ask(query, x={"deep": True}, n=7))["upsertProfile"]
    assert payload["profile"]["document"] == {"a": {"deep": True}, "n": 7, "list": [1, 2.5, "t"]}


async def test_a_patch_is_merged_and_null_removes(client: Client) -> None:
    await written(client, UPSERT, document={"a": {"b": 1, "c": 2}, "d": [1]}, displayName="Ada")
    profile = await written(client, UPDATE, patch={"a": {"b": None, "e": 3}, "d": [2]})
    assert profile["document"] == {"a": {"c": 2, "e": 3}, "d": [2]}
    assert profile["displayName"] == "Ada"
    assert (await written(client, UPDATE, displayName=None))["displayName"] is None
    assert (await written(client, UPDATE, displayName=" Bo "))["displayName"] == "Bo"
    assert (await client.ask(MINE))["profile"]["document"] == profile["document"]
    assert await refused(client, UPDATE) == ("REQUIRED", ["input", "patch"])
    assert await refused(client, UPDATE, displayName=" ") == ("INVALID", ["input", "displayName"])
    assert await refused(client, UPDATE, displayName="x" * 201) == ("INVALID", ["input", "displayName"])


async def test_a_number_with_many_digits_stays_a_number_that_can_be_patched(client: Client) -> None:
    numbers = {"big": 1e300, "small": 6.62607015e-34, "long": (1 << 63) - 1, "one": 1.0}
    profile = await written(client, UPSERT, document=numbers)
    assert profile["document"] == numbers
    assert (await written(client, UPDATE, patch={"x": 1}))["document"] == numbers | {"x": 1}


async def test_a_deleted_profile_is_empty_and_goes_on_counting(client: Client) -> None:
    await written(client, UPSERT, document={"a": 1}, displayName="Ada")
    profile = await written(client, DELETE)
    assert (profile["document"], profile["displayName"], profile["version"]) == ({}, None, 3)
    assert (await client.ask(UPSERT, input={"document": {"b": 1}}))["upsertProfile"]["wasCreated"] is True


async def test_a_version_that_has_passed_is_a_conflict(client: Client) -> None:
    await written(client, UPSERT, document={"a": 1}, expectedVersion=1)
    for query, given in WRITES:
        found = await refused(client, query, expectedVersion=1, **given)
        assert found == ("VERSION_CONFLICT", ["input", "expectedVersion"])
    assert (await written(client, UPDATE, patch={"b": 2}, expectedVersion=2))["version"] == 3


async def test_of_writers_with_the_same_version_one_wins_and_no_patch_is_lost(client: Client) -> None:
    answers = await asyncio.gather(
        *(client.ask(UPDATE, input={"patch": {"winner": n}, "expectedVersion": 1}) for n in range(8))
    )
    assert sum(not answer["updateProfile"]["userErrors"] for answer in answers) == 1
    await asyncio.gather(*(client.ask(UPDATE, input={"patch": {f"k{n}": n}}) for n in range(8)))
    profile = (await client.ask(MINE))["profile"]
    assert {f"k{n}": n for n in range(8)}.items() <= profile["document"].items()
    assert profile["version"] == 10


async def test_a_document_is_bounded_in_bytes_and_levels(client: Client) -> None:
    fits = {"a": "x" * (DOCUMENT_BYTES_MAX - len('{"a":""}'))}
    assert (await written(client, UPSERT, document=fits))["document"] == fits
    many = {"a": [1] * ((DOCUMENT_BYTES_MAX - 8) // 2)}  # a half longer as PostgreSQL writes it
    assert len(orjson.dumps(many)) > DOCUMENT_BYTES_MAX - 8
    assert (await written(client, UPSERT, document=many))["document"] == many
    assert await refused(client, UPSERT, document={"a": fits["a"] + "x"}) == ("TOO_LARGE", ["input", "document"])
    assert await refused(client, UPDATE, patch={"b": "x" * 9}) == ("TOO_LARGE", ["input", "patch"])
    deep: dict[str, Any] = {}
    for _ in range(32):
        deep = {"a": deep}
    assert await refused(client, UPSERT, document=deep) == ("TOO_LARGE", ["input", "document"])
    assert await refused(client, UPSERT, document={"a": "b\0"}) == ("INVALID", ["input", "document"])


@pytest.mark.parametrize("document", ["[]", '"text"', "7", "null"])
async def test_what_is_no_object_is_refused(client: Client, document: str) -> None:
    inline = f"mutation {{ upsertProfile(input: {{document: {document}}}) {{ profile {{ id }} }} }}"
    for codes in (
        await client.codes(inline),
        await client.codes(UPSERT, input={"document": orjson.loads(document)}),
    ):
        assert codes in (["BAD_USER_INPUT"], ["GRAPHQL_VALIDATION_FAILED"])


@pytest.mark.parametrize("number", ["5" * 4000, "5" * 5000, "1e999", "18446744073709551616"])
async def test_a_number_beyond_all_bounds_is_a_callers_mistake(client: Client, number: str) -> None:
    query = f"mutation {{ upsertProfile(input: {{document: {{a: {number}}}}}) {{ profile {{ id }} {ERRORS} }} }}"
    body = (await client.post(query)).json()
    if "errors" in body:
        codes = [error["extensions"]["code"] for error in body["errors"]]
        assert "INTERNAL_SERVER_ERROR" not in codes
    else:
        assert body["data"]["upsertProfile"]["userErrors"][0]["code"] == "INVALID"


async def test_a_profile_is_the_owners_and_the_administrators(
    client: Client, stranger: Client, admin: Client, account: Account
) -> None:
    mine = await written(client, UPSERT, document={"a": 1})
    node = "query($id: ID!) { node(id: $id) { __typename ... on Profile { email document } } }"
    user = "query($id: ID!) { node(id: $id) { ... on User { profile { document } } } }"
    assert (await client.ask(node, id=mine["id"]))["node"]["document"] == {"a": 1}
    assert (await admin.ask(node, id=mine["id"]))["node"]["email"] == account.email
    assert (await admin.ask(user, id=account.global_id))["node"]["profile"] == {"document": {"a": 1}}
    assert (await client.ask("{ viewer { profile { document } } }"))["viewer"]["profile"] == {"document": {"a": 1}}
    assert (await stranger.ask(node, id=mine["id"]))["node"] is None
    assert (await stranger.ask(user, id=account.global_id))["node"] is None
    assert (await stranger.ask(MINE))["profile"]["document"] == {}


async def test_a_key_reads_and_writes_by_its_scopes(with_key: WithKey) -> None:
    reading, writing = await with_key(ApiKeyScope.PROFILE_READ), await with_key(ApiKeyScope.PROFILE_WRITE)
    assert await writing.codes(MINE) == ["FORBIDDEN"]
    assert await writing.codes("{ viewer { profile { version } } }") == ["FORBIDDEN"]
    for query, given in WRITES:
        assert await reading.codes(query, input=given) == ["FORBIDDEN"]
        assert (await written(writing, query, **given))["document"] == {}
    assert (await reading.ask(MINE))["profile"]["version"] == 4


async def test_profiles_of_many_users_take_as_many_statements_as_one(
    db: Database, admin: Client, statements: Statements
) -> None:
    users = [(await factories.account(db, f"p{n}@example.com")).global_id for n in range(20)]
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on User { profile { email version } credits { balance } } } }"
    counts = []
    for some in (users[:1], users):
        with statements.counted() as seen:
            found = (await admin.ask(query, ids=some))["nodes"]
        assert all(user["profile"]["version"] == 1 for user in found)
        counts.append(len(seen))
    assert counts[0] == counts[1]
