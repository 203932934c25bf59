"""What testWebhook sends is what a receiver will be told."""

from datetime import UTC, datetime

import pytest

from db.models import Account
from resolvers.context import Parts
from tests import factories, receiver
from tests.client import Client

NEW = "mutation($input: CreateWebhookInput!) { createWebhook(input: $input) { webhook { id } } }"
TEST = "mutation($input: TestWebhookInput!) { testWebhook(input: $input) { delivery { isDelivered } } }"
CANCEL = "mutation($id: ID!) { cancelTask(input: {taskId: $id}) { task { id } } }"


@pytest.mark.parametrize("event", ["TASK_COMPLETED", "TASK_FAILED", "TASK_CANCELED"])
async def test_a_sample_has_all_that_the_real_thing_has(
    client: Client, parts: Parts, account: Account, event: str
) -> None:
    async with receiver.running() as hook:
        made = await client.ask(NEW, input={"url": hook.url, "events": ["TASK_CANCELED"]})
        await client.ask(TEST, input={"webhookId": made["createWebhook"]["webhook"]["id"], "event": event})
        await client.ask(CANCEL, id=(await factories.task(parts, account)).global_id)
        await parts.deliveries.tick(datetime.now(UTC))
        sample, real = (message.content["data"] for message in hook.messages)
    assert sample.pop("isTest")
    assert sample.keys() == real.keys()
    assert sample["task"].keys() == real["task"].keys()
    assert sample["task"]["status"] == event.removeprefix("TASK_")
