"""API keys at the door: both headers, and a key does only what its scopes name."""

import httpx
import pytest

from db.models import Account, ApiKeyScope
from resolvers.context import Parts
from services import keys
from tests import factories
from tests.api.conftest import WithKey
from tests.client import Client
from tests.conftest import Raw

TASKS = "{ tasks { nodes { id } } }"
CREATE = 'mutation { createTask(input: {emails: ["a@ok.mailverdict.test"]}) { task { id } userErrors { code } } }'
CANCEL = 'mutation { cancelTask(input: {taskId: "task_0000000000000000000000"}) { userErrors { code } } }'
VERIFY = 'mutation { verifyEmail(input: {email: "wrong"}) { verification { verdict } userErrors { code } } }'
USAGE = '{ usageSeries(range: {from: "2026-03-01", to: "2026-03-02"}) { total { requestCount } } }'
TASK = '{ task(id: "task_0000000000000000000000") { id } }'


@pytest.mark.parametrize(
    ("operation", "scope"),
    [
        (TASKS, ApiKeyScope.TASKS_READ),
        (TASK, ApiKeyScope.TASKS_READ),
        (CREATE, ApiKeyScope.TASKS_WRITE),
        (CANCEL, ApiKeyScope.TASKS_WRITE),
        (VERIFY, ApiKeyScope.VERIFY),
        (USAGE, ApiKeyScope.USAGE_READ),
    ],
)
async def test_an_operation_needs_its_scope_and_no_other(with_key: WithKey, operation: str, scope: ApiKeyScope) -> None:
    without = await with_key(*(s for s in ApiKeyScope if s is not scope))
    assert await without.codes(operation) == ["FORBIDDEN"]
    assert await (await with_key(scope)).codes(operation) == []


async def test_a_key_comes_in_by_either_header(
    http: httpx.AsyncClient, parts: Parts, account: Account, with_key: WithKey
) -> None:
    client = await with_key(ApiKeyScope.TASKS_READ)
    assert client.credential is not None
    task = await factories.task(parts, account)
    for headers in ({"X-API-Key": client.credential}, {"Authorization": f"Bearer {client.credential}"}):
        response = await http.post("/graphql", json={"query": TASKS}, headers=headers)
        assert response.json()["data"]["tasks"]["nodes"] == [{"id": task.global_id}]


async def test_a_key_sees_its_owners_tasks_alone(with_key: WithKey, stranger: Client) -> None:
    made = (await stranger.ask(CREATE))["createTask"]["task"]["id"]
    client = await with_key(*ApiKeyScope)
    assert (await client.ask(TASKS))["tasks"]["nodes"] == []
    assert (await client.ask("query($id: ID!) { task(id: $id) { id } }", id=made))["task"] is None


async def test_a_wrong_or_revoked_key_is_401_before_anything_runs(
    http: httpx.AsyncClient, with_key: WithKey, raw: Raw
) -> None:
    client = await with_key(*ApiKeyScope)
    secrets = [keys.generate(), "mv_live_wrong", ""]
    for secret in secrets:
        response = await http.post("/graphql", json={"query": TASKS}, headers={"X-API-Key": secret})
        assert response.status_code == 401
        assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert (await client.post(TASKS)).status_code == 200
    await raw("UPDATE api_key SET revoked_at = now() RETURNING 1")
    assert (await client.post(TASKS)).status_code == 401


async def test_no_answer_shows_a_credential(parts: Parts, account: Account, with_key: WithKey) -> None:
    client = await with_key(ApiKeyScope.VERIFY)
    assert client.credential is not None
    for operation in (TASKS, VERIFY, CREATE):
        response = await client.post(operation)
        assert client.credential not in response.text
        assert await parts.upstream_keys.of(account.id) not in response.text


async def test_no_type_or_field_leads_to_the_key_upstream(client: Client) -> None:
    query = "{ __schema { types { name fields { name } inputFields { name } enumValues { name } } } }"
    names = (await client.post(query)).text.lower().replace("_", "")
    assert "upstreamkey" not in names
    assert "apikey" in names
