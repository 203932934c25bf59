"""What the log tells of an operation, so that the id of a request leads to what became of it."""

from collections.abc import Iterator
from typing import Any

import pytest
import structlog.testing

from db.models import Account
from tests.client import Client

Lines = list[Any]


@pytest.fixture
def lines() -> Iterator[Lines]:
    with structlog.testing.capture_logs() as captured:
        yield captured


def operation(lines: Lines) -> Any:
    (line,) = [line for line in lines if line["event"] == "operation"]
    lines.clear()
    return line


async def test_a_mutation_is_told_with_what_it_made_and_what_was_wrong(
    client: Client, account: Account, lines: Lines
) -> None:
    create = "mutation($emails: [String!]!) { createTask(input: {emails: $emails}) { task { id } userErrors { code }}}"
    made = await client.ask(create, emails=["ann@example.com"])
    task_id = made["createTask"]["task"]["id"]
    line = operation(lines)
    assert line["account_id"] == account.global_id
    assert line["mutations"] == [{"name": "createTask", "ids": [task_id], "problems": []}]

    await client.ask(create, emails=[])
    assert operation(lines)["mutations"] == [{"name": "createTask", "ids": [], "problems": ["REQUIRED"]}]

    await client.ask("mutation($id: ID!) { cancelTask(input: {taskId: $id}) { userErrors { code } } }", id=task_id)
    await client.ask("{ viewer { id } }")
    canceled, read = lines
    assert canceled["mutations"] == [{"name": "cancelTask", "ids": [task_id], "problems": []}]
    assert "mutations" not in read


async def test_of_secrets_and_addresses_a_line_has_nothing(client: Client, lines: Lines) -> None:
    query = 'mutation { createApiKey(input: {name: "k", scopes: [VERIFY]}) { apiKey { id } secret } }'
    key = (await client.ask(query))["createApiKey"]
    line = operation(lines)
    assert line["mutations"] == [{"name": "createApiKey", "ids": [key["apiKey"]["id"]], "problems": []}]
    assert key["secret"] not in str(line)
