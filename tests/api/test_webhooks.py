"""Webhooks through GraphQL: made, changed, told of what happens, tried again, switched off."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import WebhookVerificationError

from db.models import Account, UserRole, WebhookDelivery
from db.queries import webhooks as queries
from resolvers.context import Parts
from services import billing
from services.actor import Actor
from services.worker import Worker
from tests import factories, receiver
from tests.api.test_api_keys import done, made
from tests.client import Client
from tests.receiver import Receiver

WEBHOOK = "webhook { id url events isEnabled createdAt }"
DELIVERY = "delivery { id event responseStatus isDelivered attempts nextAttemptAt }"
LIST = "{ webhooks { totalCount nodes { id isEnabled deliveries { totalCount nodes { id event isDelivered } } } } }"
ALL = ["TASK_COMPLETED", "TASK_FAILED", "TASK_CANCELED", "CREDITS_LOW"]


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    async with receiver.running() as running:
        yield running


async def new(client: Client, hook: Receiver, events: list[str] | None = None) -> tuple[dict[str, Any], str]:
    """A webhook and its secret."""
    outcome = await done(client, "createWebhook", f"{WEBHOOK} signingSecret", url=hook.url, events=events or ALL)
    assert outcome["userErrors"] == []
    return outcome["webhook"], outcome["signingSecret"]


async def told_of_a_cancelled_task(parts: Parts, client: Client, account: Account) -> str:
    """The id of a task that was cancelled, and of which the webhooks are told now."""
    task = await factories.task(parts, account)
    outcome = await done(client, "cancelTask", "task { id }", taskId=task.global_id)
    assert outcome["userErrors"] == []
    await parts.deliveries.tick(datetime.now(UTC))
    return task.global_id


async def test_a_webhook_is_made_changed_and_deleted(client: Client, hook: Receiver) -> None:
    webhook, secret = await new(client, hook, ["CREDITS_LOW", "TASK_FAILED", "CREDITS_LOW"])
    assert (webhook["url"], webhook["events"], webhook["isEnabled"]) == (hook.url, ["TASK_FAILED", "CREDITS_LOW"], True)
    assert secret.startswith("whsec_")
    changed = await done(client, "updateWebhook", WEBHOOK, webhookId=webhook["id"], events=ALL, isEnabled=False)
    assert (changed["webhook"]["events"], changed["webhook"]["isEnabled"]) == (ALL, False)
    gone = await done(client, "deleteWebhook", "deletedWebhookId", webhookId=webhook["id"])
    assert gone["deletedWebhookId"] == webhook["id"]
    assert (await client.ask(LIST))["webhooks"]["nodes"] == []


async def test_the_secret_is_shown_once_and_kept_sealed(client: Client, hook: Receiver, raw: Any) -> None:
    _, secret = await new(client, hook)
    assert secret not in (await client.post(LIST)).text
    ((stored,),) = await raw("SELECT encode(sealed, 'base64') FROM webhook_secret")
    assert secret.removeprefix("whsec_") not in stored


@pytest.mark.parametrize(
    ("url", "events", "field"),
    [
        ("http://10.0.0.1/", ALL, "url"),
        ("http://[::ffff:169.254.169.254]/", ALL, "url"),
        ("nonsense", ALL, "url"),
        ("https://user:password@example.com/", ALL, "url"),
        ("http://127.0.0.1:9999/hook", [], "events"),
    ],
)
async def test_a_webhook_that_cannot_be_is_refused(client: Client, url: str, events: list[str], field: str) -> None:
    outcome = await done(client, "createWebhook", WEBHOOK, url=url, events=events)
    assert outcome["webhook"] is None
    assert [error["field"] for error in outcome["userErrors"]] == [["input", field]]


async def test_security_27_no_door_takes_an_address_inside(client: Client, hook: Receiver, raw: Any) -> None:
    inside = "http://[::ffff:169.254.169.254]/"
    webhook, _ = await new(client, hook)
    file = b"email\nann@ok.mailverdict.test\n"
    draft = await client.upload(file, "list.csv", "task { id }", start=False)
    outcomes = [
        await done(client, "createWebhook", WEBHOOK, url=inside, events=ALL),
        await done(client, "updateWebhook", WEBHOOK, webhookId=webhook["id"], url=inside),
        await done(client, "createTask", "task { id }", emails=["ann@ok.mailverdict.test"], webhookUrl=inside),
        await done(client, "updateTask", "task { id }", taskId=draft["task"]["id"], webhookUrl=inside),
        await client.upload(file, "list.csv", "userErrors { field }", webhookUrl=inside),
    ]
    fields = [error["field"][-1] for outcome in outcomes for error in outcome["userErrors"]]
    assert fields == ["url", "url", "webhookUrl", "webhookUrl", "webhookUrl"]
    assert await raw("SELECT count(*), count(webhook_url) FROM task") == [(1, 0)]
    assert await raw("SELECT url FROM webhook") == [(hook.url,)]


async def test_an_account_has_at_most_twenty(client: Client, hook: Receiver) -> None:
    for _ in range(20):
        await new(client, hook)
    outcome = await done(client, "createWebhook", WEBHOOK, url=hook.url, events=ALL)
    assert [error["code"] for error in outcome["userErrors"]] == ["LIMIT_REACHED"]


async def test_the_twentieth_is_made_once_however_many_are_made_at_the_same_moment(
    client: Client, hook: Receiver
) -> None:
    for _ in range(18):
        await new(client, hook)
    given = {"url": hook.url, "events": ALL}
    outcomes = await asyncio.gather(*(done(client, "createWebhook", WEBHOOK, **given) for _ in range(6)))
    assert sum(outcome["webhook"] is not None for outcome in outcomes) == 2
    assert (await client.ask(LIST))["webhooks"]["totalCount"] == 20


async def test_a_webhook_is_its_owners_alone(client: Client, stranger: Client, hook: Receiver) -> None:
    webhook, _ = await new(client, hook)
    await done(client, "testWebhook", DELIVERY, webhookId=webhook["id"])
    ((delivery,),) = [w["deliveries"]["nodes"] for w in (await client.ask(LIST))["webhooks"]["nodes"]]
    for name, given in (
        ("updateWebhook", {"webhookId": webhook["id"], "isEnabled": False}),
        ("deleteWebhook", {"webhookId": webhook["id"]}),
        ("rotateWebhookSecret", {"webhookId": webhook["id"]}),
        ("testWebhook", {"webhookId": webhook["id"]}),
        ("retryWebhookDelivery", {"deliveryId": delivery["id"]}),
    ):
        outcome = await done(stranger, name, "userErrors { code }", **given)
        assert [error["code"] for error in outcome["userErrors"]] == ["NOT_FOUND"], name
    nodes = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    assert (await stranger.ask(nodes, ids=[webhook["id"], delivery["id"]]))["nodes"] == [None, None]
    found = (await client.ask(nodes, ids=[webhook["id"], delivery["id"]]))["nodes"]
    assert [node["id"] for node in found] == [webhook["id"], delivery["id"]]


async def test_a_key_needs_the_scope(client: Client) -> None:
    _, key = await made(client, scopes=["TASKS_READ"])
    assert await key.codes("{ webhooks { totalCount } }") == ["FORBIDDEN"]
    _, key = await made(client, scopes=["WEBHOOKS_WRITE"])
    assert await key.codes("{ webhooks { totalCount } }") == []


async def test_the_end_of_a_task_is_told_signed_and_without_addresses(
    client: Client, parts: Parts, account: Account, worker: Worker, hook: Receiver
) -> None:
    webhook, secret = await new(client, hook, ["TASK_COMPLETED"])
    task = await factories.task(parts, account, ["alice@ok.mailverdict.test", "nobody@ok.mailverdict.test", "x"])
    deadline = datetime.now(UTC) + timedelta(seconds=20)
    while not hook.messages and datetime.now(UTC) < deadline:
        await worker.tick(datetime.now(UTC))
        await parts.deliveries.tick(datetime.now(UTC))
    (message,) = hook.messages
    message.verify(secret)
    with pytest.raises(WebhookVerificationError):
        receiver.Message(message.headers, message.body + b" ").verify(secret)
    assert message.content["type"] == "task.completed"
    assert message.content["data"]["task"] == {
        "id": task.global_id,
        "status": "COMPLETED",
        "totalEmailAddresses": 3,
        "exists": 1,
        "notExists": 1,
        "catchall": 0,
        "invalidSyntax": 1,
        "unknown": 0,
        "creditsSpent": 2,
    }
    assert b"alice" not in message.body
    (row,) = (await client.ask(LIST))["webhooks"]["nodes"]
    assert row["deliveries"]["nodes"] == [{"id": message.id, "event": "TASK_COMPLETED", "isDelivered": True}]
    assert row["id"] == webhook["id"]


async def test_only_those_that_ask_for_an_event_are_told(
    client: Client, stranger: Client, parts: Parts, account: Account, hook: Receiver
) -> None:
    await new(client, hook, ["TASK_COMPLETED"])
    await new(stranger, hook, ALL)
    silent, _ = await new(client, hook, ALL)
    await done(client, "updateWebhook", WEBHOOK, webhookId=silent["id"], isEnabled=False)
    await told_of_a_cancelled_task(parts, client, account)
    assert hook.messages == []


async def test_a_refused_delivery_is_tried_again_with_the_same_id(
    client: Client, parts: Parts, account: Account, hook: Receiver, raw: Any
) -> None:
    _, secret = await new(client, hook)
    hook.statuses = [500, 503]
    task_id = await told_of_a_cancelled_task(parts, client, account)
    for seconds in (10, 600):
        await parts.deliveries.tick(datetime.now(UTC) + timedelta(seconds=seconds))
    assert [message.content["data"]["task"]["id"] for message in hook.messages] == [task_id] * 3
    assert len({(message.id, message.body) for message in hook.messages}) == 1
    for message in hook.messages:
        message.verify(secret)
    assert await raw("SELECT attempts, response_status, due_at FROM webhook_delivery") == [(3, 204, None)]


async def test_a_receiver_says_when_to_come_back(
    client: Client, parts: Parts, account: Account, hook: Receiver, raw: Any
) -> None:
    await new(client, hook)
    hook.statuses, hook.answer_headers = [429], {"Retry-After": "3600"}
    await told_of_a_cancelled_task(parts, client, account)
    ((due_at,),) = await raw("SELECT due_at FROM webhook_delivery")
    assert due_at > datetime.now(UTC) + timedelta(minutes=59)


async def test_after_eight_tries_it_rests_until_it_is_sent_again_by_hand(
    client: Client, parts: Parts, account: Account, hook: Receiver
) -> None:
    webhook, _ = await new(client, hook)
    hook.statuses = [500] * 8
    await told_of_a_cancelled_task(parts, client, account)
    for _ in range(9):
        await parts.deliveries.tick(datetime.now(UTC) + timedelta(days=2))
    assert len(hook.messages) == 8
    query = "query($id: ID!) { node(id: $id) { ... on Webhook { isEnabled deliveries { nodes { id attempts } } } } }"
    node = (await client.ask(query, id=webhook["id"]))["node"]
    assert node["isEnabled"]
    ((dead,),) = [node["deliveries"]["nodes"]]
    assert dead["attempts"] == 8
    again = await done(client, "retryWebhookDelivery", DELIVERY, deliveryId=dead["id"])
    assert again["delivery"]["nextAttemptAt"] is not None
    await parts.deliveries.tick(datetime.now(UTC))
    assert (len(hook.messages), hook.messages[-1].id) == (9, dead["id"])


async def test_a_webhook_that_is_gone_is_switched_off(
    client: Client, parts: Parts, account: Account, hook: Receiver
) -> None:
    webhook, _ = await new(client, hook)
    hook.statuses = [410]
    await told_of_a_cancelled_task(parts, client, account)
    (row,) = (await client.ask(LIST))["webhooks"]["nodes"]
    assert not row["isEnabled"]
    (delivery,) = row["deliveries"]["nodes"]
    outcome = await done(client, "retryWebhookDelivery", DELIVERY, deliveryId=delivery["id"])
    assert [error["code"] for error in outcome["userErrors"]] == ["WRONG_STATE"]
    await done(client, "updateWebhook", WEBHOOK, webhookId=webhook["id"], isEnabled=True)
    assert (await done(client, "retryWebhookDelivery", DELIVERY, deliveryId=delivery["id"]))["userErrors"] == []


async def test_a_webhook_that_took_nothing_for_five_days_is_switched_off(
    client: Client, parts: Parts, account: Account, hook: Receiver, raw: Any
) -> None:
    await new(client, hook)
    await raw("UPDATE webhook SET failing_since = now() - interval '5 days 1 minute' RETURNING id")
    hook.statuses = [500]
    await told_of_a_cancelled_task(parts, client, account)
    (row,) = (await client.ask(LIST))["webhooks"]["nodes"]
    assert not row["isEnabled"]


async def test_a_new_secret_signs_beside_the_old_one_for_a_day(
    client: Client, parts: Parts, account: Account, hook: Receiver
) -> None:
    webhook, old = await new(client, hook)
    outcome = await done(client, "rotateWebhookSecret", "signingSecret", webhookId=webhook["id"])
    await told_of_a_cancelled_task(parts, client, account)
    for secret in (old, outcome["signingSecret"]):
        hook.messages[-1].verify(secret)


async def test_a_sample_is_sent_at_once_and_its_answer_told(client: Client, hook: Receiver) -> None:
    webhook, secret = await new(client, hook)
    hook.statuses = [500]
    outcome = await done(client, "testWebhook", DELIVERY, webhookId=webhook["id"], event="CREDITS_LOW")
    sent = outcome["delivery"]
    assert (sent["responseStatus"], sent["isDelivered"], sent["nextAttemptAt"]) == (500, False, None)
    (message,) = hook.messages
    message.verify(secret)
    assert message.content["data"] == {"credits": {"available": 99}, "isTest": True}


async def test_receivers_share_the_sender_fairly(
    client: Client, stranger: Client, parts: Parts, account: Account, hook: Receiver, raw: Any
) -> None:
    """Whoever has thousands waiting does not keep others from being told."""
    await new(client, hook)
    await raw(
        "INSERT INTO webhook_delivery (id, account_id, webhook_id, url, event, data, attempts, due_at, created_at) "
        "SELECT gen_random_uuid(), account_id, id, url, 'CREDITS_LOW', '{}', 0, now() - interval '1 hour', now() "
        "FROM webhook, generate_series(1, 500) RETURNING id"
    )
    other, _ = await new(stranger, hook)
    outcome = await done(stranger, "testWebhook", DELIVERY, webhookId=other["id"])
    await done(stranger, "retryWebhookDelivery", DELIVERY, deliveryId=outcome["delivery"]["id"])
    hook.messages.clear()
    assert await parts.deliveries.tick(datetime.now(UTC)) == 2
    assert {message.id for message in hook.messages} > {outcome["delivery"]["id"]}


async def test_an_account_has_at_most_five_tries_under_way(
    client: Client, stranger: Client, parts: Parts, hook: Receiver, raw: Any
) -> None:
    """Twenty receivers of one account that do not answer leave room for those of others."""
    for _ in range(20):
        await new(client, hook)
    await new(stranger, hook)
    await raw(
        "INSERT INTO webhook_delivery (id, account_id, webhook_id, url, event, data, attempts, due_at, created_at) "
        "SELECT gen_random_uuid(), account_id, id, url, 'CREDITS_LOW', '{}', 0, now() - interval '1 hour', now() "
        "FROM webhook RETURNING id"
    )

    async def taken(busy: Sequence[WebhookDelivery]) -> Sequence[WebhookDelivery]:
        async with parts.db.transaction() as session:
            lease = timedelta(minutes=1)
            return await queries.lease_due(session, datetime.now(UTC), limit=20, share=5, lease=lease, busy=busy)

    first = await taken(())
    assert sorted(Counter(one.account_id for one in first).values()) == [1, 5]
    assert await taken(first) == []
    more = await taken(first[2:])
    assert 1 <= len(more) <= 2
    assert max(Counter(one.account_id for one in [*first[2:], *more]).values()) == 5


async def test_low_credits_are_told_once_each_time_that_they_fall_below_the_level(
    client: Client, account: Account, parts: Parts, hook: Receiver, raw: Any
) -> None:
    async def move(name: str, amount: int, key: str) -> None:
        given = {"amount": amount, "note": "n", "idempotencyKey": key}
        outcome = await done(client, name, "transaction { id }", **given)
        assert outcome["userErrors"] == [], outcome

    async def told() -> list[int]:
        rows = await raw("SELECT data FROM webhook_delivery WHERE event = 'CREDITS_LOW' ORDER BY created_at")
        return [row.data["credits"]["available"] for row in rows]

    other = await factories.account(parts.db, email="other@example.com")
    await new(client, hook, ["CREDITS_LOW"])
    await new(client, hook, ["TASK_FAILED"])
    await move("deductTokens", 1_000_000 - 100, "to the level")
    assert await told() == []
    await move("deductTokens", 1, "below it")
    await move("deductTokens", 1, "below it")  # the same once more
    await move("deductTokens", 9, "still below")
    assert await told() == [99]
    await billing.add(
        parts.db,
        Actor(other.id, UserRole.ADMIN),
        account_id=account.id,
        amount=20,
        note="n",
        idempotency_key="k",
        is_mock=False,
        now=parts.now(),
    )
    await factories.task(parts, account, [f"user{n}@ok.mailverdict.test" for n in range(50)])  # held, not yet spent
    assert await told() == [99, 60]
    await parts.deliveries.tick(datetime.now(UTC))
    assert hook.messages[0].content["type"] == "credits.low"


async def test_an_address_that_a_task_names_is_told_of_its_end_with_the_secret_of_the_account(
    client: Client, parts: Parts, hook: Receiver, raw: Any
) -> None:
    secret = (await done(client, "rotateWebhookSecret", "signingSecret"))["signingSecret"]
    create = {"emails": ["alice@ok.mailverdict.test"], "webhookUrl": hook.url}
    task = (await done(client, "createTask", "task { id webhookUrl }", **create))["task"]
    assert task["webhookUrl"] == hook.url
    await done(client, "cancelTask", "task { id }", taskId=task["id"])
    assert await parts.deliveries.tick(datetime.now(UTC)) == 1
    (message,) = hook.messages
    message.verify(secret)
    assert message.content["type"] == "task.canceled"
    assert message.content["data"]["task"]["id"] == task["id"]
    assert await raw("SELECT webhook_id FROM webhook_delivery") == [(None,)]


async def test_the_address_of_a_draft_is_changed_and_taken_away(client: Client, hook: Receiver) -> None:
    given = {"start": False, "webhookUrl": hook.url}
    outcome = await client.upload(b"email\nalice@ok.mailverdict.test\n", "list.csv", "task { id webhookUrl }", **given)
    task = outcome["task"]
    assert task["webhookUrl"] == hook.url
    for change, expected in (
        ({"name": "new"}, hook.url),
        ({"webhookUrl": None}, None),
        ({"webhookUrl": hook.url}, hook.url),
    ):
        changed = await done(client, "updateTask", "task { webhookUrl }", taskId=task["id"], **change)
        assert changed["task"]["webhookUrl"] == expected


@pytest.mark.parametrize("name", ["createTask", "updateTask"])
async def test_an_address_that_may_not_be_called_makes_no_task(
    client: Client, parts: Parts, account: Account, raw: Any, name: str
) -> None:
    task = await factories.task(parts, account)
    given = {"emails": ["a@example.com"]} if name == "createTask" else {"taskId": task.global_id}
    outcome = await done(client, name, "task { id }", webhookUrl="http://169.254.169.254/", **given)
    assert [error["field"] for error in outcome["userErrors"]] == [["input", "webhookUrl"]]
    assert await raw("SELECT webhook_url FROM task") == [(None,)]
