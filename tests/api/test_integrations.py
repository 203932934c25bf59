"""Integrations: on keys and on tasks, listed, filtered by; and the notes of a key."""

from typing import Any

import pytest

from tests.api.test_api_keys import done, made
from tests.client import Client

INTEGRATION = "integration { slug name url }"
LIST = (
    "query($only: String) { apiKeys(integration: $only) { totalCount nodes { name integration { slug } metadata } } }"
)
TASKS = "query($only: [String!]) { tasks(filter: {integration: $only}) { totalCount nodes { name } } }"
CREATE = f"""mutation($input: CreateTaskInput!) {{ createTask(input: $input) {{
  task {{ source {INTEGRATION} }} userErrors {{ code message field }} }} }}"""
EMAILS = ["alice@ok.mailverdict.test"]


async def task_of(client: Client, **given: Any) -> Any:
    outcome = (await client.ask(CREATE, input={"emails": EMAILS, **given}))["createTask"]
    assert outcome["userErrors"] == []
    return outcome["task"]


async def test_anybody_may_read_the_catalogue(client: Client) -> None:
    found = (await Client(client.http).ask("{ integrations { slug name url } }"))["integrations"]
    assert {"slug": "zapier", "name": "Zapier", "url": "https://zapier.com"} in found
    assert [one["slug"] for one in found] == sorted({one["slug"] for one in found})


async def test_keys_are_listed_by_integration_with_their_notes(client: Client) -> None:
    notes = {"zap": {"id": 7, "on": True}, "tags": ["a", None, 1.5, "ü"]}
    await made(client, "general")
    key, _ = await made(client, "zap", integration="zapier", metadata=notes)
    await made(client, "flow", integration="n8n")
    found = (await client.ask(LIST, only="zapier"))["apiKeys"]
    assert found == {"totalCount": 1, "nodes": [{"name": "zap", "integration": {"slug": "zapier"}, "metadata": notes}]}
    assert [node["name"] for node in (await client.ask(LIST))["apiKeys"]["nodes"]] == ["flow", "zap", "general"]
    assert (await client.ask(LIST, only="nobody"))["apiKeys"]["totalCount"] == 0
    node = await client.ask(
        f"query($id: ID!) {{ node(id: $id) {{ ... on ApiKey {{ {INTEGRATION} }} }} }}", id=key["id"]
    )
    assert node["node"]["integration"]["name"] == "Zapier"


async def test_notes_stay_until_they_are_replaced_or_removed(client: Client) -> None:
    key, _ = await made(client, metadata={"a": 1})

    async def changed(**given: Any) -> Any:
        outcome = await done(client, "updateApiKey", "apiKey { name metadata }", apiKeyId=key["id"], **given)
        return outcome["apiKey"]["metadata"]

    assert await changed(name="other") == {"a": 1}
    assert await changed(metadata={"b": {}}) == {"b": {}}
    assert await changed(metadata=None) is None
    assert await changed(metadata={}) == {}


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"metadata": {"a": "x" * 4096}}, "TOO_LARGE", "metadata"),
        ({"metadata": {"a": "\0"}}, "INVALID", "metadata"),
        ({"integration": "Zapier"}, "INVALID", "integration"),
        ({"integration": ""}, "INVALID", "integration"),
    ],
)
async def test_what_cannot_be_kept_is_a_clear_user_error(
    client: Client, given: dict[str, Any], code: str, field: str
) -> None:
    outcome = await done(client, "createApiKey", "apiKey { id }", name="x", scopes=["VERIFY"], **given)
    assert outcome["apiKey"] is None
    assert [(error["code"], error["field"]) for error in outcome["userErrors"]] == [(code, ["input", field])]


@pytest.mark.parametrize("value", ["[1]", '"x"', "1", "{a: 1e999}"])
async def test_only_a_json_object_is_metadata(client: Client, value: str) -> None:
    given = f'{{name: "x", scopes: [VERIFY], metadata: {value}}}'
    query = f"mutation {{ createApiKey(input: {given}) {{ userErrors {{ code }} }} }}"
    body = (await client.post(query)).json()
    codes = [error["extensions"]["code"] for error in body.get("errors", ())]
    assert codes == ["BAD_USER_INPUT"] or body["data"]["createApiKey"]["userErrors"] == [{"code": "INVALID"}]


async def test_a_task_knows_the_integration_that_made_it(client: Client) -> None:
    _, zap = await made(client, integration="zapier", scopes=["TASKS_WRITE", "TASKS_READ"])
    _, plain = await made(client, scopes=["TASKS_WRITE"])
    zapier = {"slug": "zapier", "name": "Zapier", "url": "https://zapier.com"}
    assert await task_of(client, name="app") == {"source": "INLINE", "integration": None}
    assert await task_of(plain, name="program") == {"source": "INLINE", "integration": None}
    assert await task_of(zap, name="zap") == {"source": "INTEGRATION", "integration": zapier}
    assert await task_of(client, name="for", integration="zapier") == {"source": "INLINE", "integration": zapier}
    assert (await task_of(plain, name="made", integration="make"))["source"] == "INTEGRATION"
    for only, names in ((["zapier"], ["for", "zap"]), (["make", "zapier"], ["made", "for", "zap"]), (["n8n"], [])):
        found = (await client.ask(TASKS, only=only))["tasks"]
        assert [node["name"] for node in found["nodes"]] == names
        assert found["totalCount"] == len(names)
    for wrong in ([], ["x"] * 21):
        assert await client.codes(TASKS, only=wrong) == ["BAD_USER_INPUT"]
    outcome = (await client.ask(CREATE, input={"emails": EMAILS, "integration": "none"}))["createTask"]
    assert [(error["code"], error["field"]) for error in outcome["userErrors"]] == [
        ("INVALID", ["input", "integration"])
    ]


async def test_an_uploaded_list_knows_its_integration_too(client: Client) -> None:
    selection = f"task {{ source {INTEGRATION} }} userErrors {{ message }}"
    outcome = await client.upload(b"email\nalice@ok.mailverdict.test\n", "a.csv", selection, integration="make")
    assert (outcome["task"]["source"], outcome["task"]["integration"]["slug"]) == ("FILE", "make")


async def test_an_integration_that_has_left_the_catalogue_is_known_by_its_slug(client: Client, raw: Any) -> None:
    await task_of(client, integration="zapier")
    await raw("UPDATE task SET integration = 'gone' RETURNING 1")
    (node,) = (await client.ask(f"{{ tasks {{ nodes {{ {INTEGRATION} }} }} }}"))["tasks"]["nodes"]
    assert node["integration"] == {"slug": "gone", "name": "gone", "url": None}
