"""Administrators: what they see, what they change, and what is written down about it."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy.exc import DBAPIError

from db.models import Account, ApiKeyScope, UserRole
from db.session import Database
from resolvers.context import Parts
from tests import factories
from tests.client import Client
from tests.conftest import Raw, Statements, token

USERS = "query($search: String) { admin { users(search: $search) { nodes { id email role } totalCount } } }"
TASKS = """query($filter: TaskFilter, $owner: ID) { admin { tasks(filter: $filter, ownerId: $owner) {
  nodes { id owner { email } } totalCount } } }"""
AUDIT = """query($actor: ID, $first: Int) { admin { auditEvents(actorId: $actor, first: $first) {
  nodes { id action actor { id } subjectId requestId createdAt } totalCount pageInfo { hasNextPage } } } }"""
ROLE = """mutation($id: ID!, $role: UserRole!) { changeUserRole(input: {userId: $id, role: $role}) {
  user { id role } userErrors { code field message } } }"""
SUSPEND = """mutation($id: ID!, $reason: String!) { suspendUser(input: {userId: $id, reason: $reason}) {
  user { id suspendedAt } userErrors { code field } } }"""
RESTORE = """mutation($id: ID!) { restoreUser(input: {userId: $id}) {
  user { id suspendedAt } userErrors { code field } } }"""
VIEWER = "{ viewer { id } }"
SOMEBODY = "user_0000000000000000000001"


async def events(client: Client) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = (await client.ask(AUDIT))["admin"]["auditEvents"]["nodes"]
    return nodes


async def key_of(parts: Parts, owner: Account, *scopes: ApiKeyScope) -> tuple[str, str]:
    """The id and the secret of a new key."""
    key, secret = await factories.key(parts, owner, *scopes)
    return key.global_id, secret


async def test_the_views_are_null_for_members_and_refused_to_keys_and_strangers(
    http: httpx.AsyncClient, parts: Parts, client: Client, chief: Account
) -> None:
    views = "{ admin { users { nodes { id } } tasks { nodes { id } } auditEvents { nodes { id } } } }"
    assert await client.ask(views) == {"admin": None}
    assert await Client(http).codes(views) == ["UNAUTHENTICATED"]
    _, secret = await key_of(parts, chief, *ApiKeyScope)
    assert await Client(http, secret).codes(views) == ["FORBIDDEN"]


async def test_users_are_listed_newest_first_and_searched_by_address_and_name(
    http: httpx.AsyncClient, admin: Client, account: Account
) -> None:
    zoe = '{email: "zoe@example.org", password: "correct horse", name: "Zoë 100%"}'
    await Client(http).ask(f"mutation {{ signUp(input: {zoe}) {{ user {{ id }} }} }}")
    found = (await admin.ask(USERS))["admin"]["users"]
    assert [u["email"] for u in found["nodes"]] == ["zoe@example.org", *(u["email"] for u in found["nodes"][1:])]
    assert {u["email"] for u in found["nodes"]} == {"zoe@example.org", "owner@example.com", "chief@example.com"}
    assert found["totalCount"] == 3
    for search, expected in (
        ("ZOE@", ["zoe@example.org"]),
        ("zoë 100%", ["zoe@example.org"]),
        ("%", ["zoe@example.org"]),
    ):
        assert [u["email"] for u in (await admin.ask(USERS, search=search))["admin"]["users"]["nodes"]] == expected
    assert (await admin.ask(USERS, search="no_body"))["admin"]["users"] == {"nodes": [], "totalCount": 0}
    assert await admin.codes(USERS, search="") == ["BAD_USER_INPUT"]
    assert await admin.codes(USERS, search="\0") == ["BAD_USER_INPUT"]


async def test_tasks_of_everybody_and_of_one_owner(
    db: Database, admin: Client, account: Account, statements: Statements
) -> None:
    other = await factories.account(db, email="other@example.com")
    mine = await factories.finished_task(db, account, 1, name="mine")
    theirs = await factories.finished_task(db, other, 1, name="theirs")
    found = (await admin.ask(TASKS))["admin"]["tasks"]
    assert {t["id"]: t["owner"]["email"] for t in found["nodes"]} == {
        mine.global_id: "owner@example.com",
        theirs.global_id: "other@example.com",
    }
    assert found["totalCount"] == 2
    one = (await admin.ask(TASKS, owner=other.global_id))["admin"]["tasks"]
    assert [t["id"] for t in one["nodes"]] == [theirs.global_id]
    assert (await admin.ask(TASKS, owner="nobody"))["admin"]["tasks"]["nodes"] == []
    assert (await admin.ask(TASKS, filter={"nameContains": "MIN"}))["admin"]["tasks"]["totalCount"] == 1
    page = """query($after: String) { admin { tasks(first: 1, after: $after) {
      nodes { id } pageInfo { endCursor hasNextPage } } } }"""
    newest = (await admin.ask(page))["admin"]["tasks"]
    oldest = (await admin.ask(page, after=newest["pageInfo"]["endCursor"]))["admin"]["tasks"]
    assert [newest["nodes"], oldest["nodes"]] == [[{"id": theirs.global_id}], [{"id": mine.global_id}]]
    assert (newest["pageInfo"]["hasNextPage"], oldest["pageInfo"]["hasNextPage"]) == (True, False)
    with statements.counted() as few:
        await admin.ask(TASKS)
    for n in range(10):
        await factories.finished_task(db, account, 1, name=f"more {n}")
    with statements.counted() as many:
        await admin.ask(TASKS)
    assert len(many) == len(few)


async def test_an_administrator_reaches_any_node_task_and_user(
    parts: Parts, db: Database, admin: Client, account: Account
) -> None:
    task = await factories.finished_task(db, account, 1)
    key_id, _ = await key_of(parts, account, ApiKeyScope.TASKS_READ)
    for node_id in (task.global_id, account.global_id, key_id):
        assert (await admin.ask("query($id: ID!) { node(id: $id) { id } }", id=node_id))["node"] == {"id": node_id}
    seen = await admin.ask(
        "query($id: ID!) { task(id: $id) { owner { credits { balance } sessions { nodes { id } } } } }",
        id=task.global_id,
    )
    assert seen["task"]["owner"]["credits"]["balance"] == 1_000_000


async def test_a_role_is_changed_at_once_and_written_down(
    admin: Client, chief: Account, account: Account, client: Client
) -> None:
    for _ in range(2):  # once more changes nothing
        made = (await admin.ask(ROLE, id=account.global_id, role="ADMIN"))["changeUserRole"]
        assert made == {"user": {"id": account.global_id, "role": "ADMIN"}, "userErrors": []}
    assert (await client.ask(USERS))["admin"] is not None
    (event,) = await events(admin)
    assert event["action"] == "user.role"
    assert event["actor"] == {"id": chief.global_id}
    assert event["subjectId"] == account.global_id
    assert event["requestId"]
    await client.ask(ROLE, id=chief.global_id, role="MEMBER")
    assert await admin.ask(USERS) == {"admin": None}


async def test_nobody_but_an_administrator_changes_roles_or_suspends(
    http: httpx.AsyncClient, parts: Parts, client: Client, account: Account, chief: Account, raw: Raw
) -> None:
    _, secret = await key_of(parts, chief, *ApiKeyScope)
    for caller in (client, Client(http, secret)):
        for mutation, values in ((ROLE, {"role": "ADMIN"}), (SUSPEND, {"reason": "because"}), (RESTORE, {})):
            for user_id in (account.global_id, SOMEBODY):
                assert await caller.codes(mutation, id=user_id, **values) == ["FORBIDDEN"]
    assert await raw("SELECT 1 FROM audit_event") == []


async def test_an_administrator_cannot_step_down_suspend_itself_or_touch_nobody(admin: Client, chief: Account) -> None:
    found = (await admin.ask(ROLE, id=chief.global_id, role="MEMBER"))["changeUserRole"]
    assert [e["code"] for e in found["userErrors"]] == ["WRONG_STATE"]
    found = (await admin.ask(SUSPEND, id=chief.global_id, reason="tired"))["suspendUser"]
    assert [e["code"] for e in found["userErrors"]] == ["WRONG_STATE"]
    for user_id in (SOMEBODY, "task_0000000000000000000001", ""):
        found = (await admin.ask(SUSPEND, id=user_id, reason="because"))["suspendUser"]
        assert found == {"user": None, "userErrors": [{"code": "NOT_FOUND", "field": ["input", "userId"]}]}


async def test_two_administrators_who_take_each_others_role_leave_one(
    http: httpx.AsyncClient, parts: Parts, db: Database, admin: Client, chief: Account, raw: Raw
) -> None:
    other = await factories.account(db, email="second@example.com", role=UserRole.ADMIN, balance=0)
    second = Client(http, token(parts, other))
    await asyncio.gather(
        admin.post(ROLE, id=other.global_id, role="MEMBER"), second.post(ROLE, id=chief.global_id, role="MEMBER")
    )
    assert len(await raw("SELECT 1 FROM account WHERE role = 'ADMIN'")) == 1


async def test_a_suspended_account_is_out_at_every_door_and_comes_back(
    http: httpx.AsyncClient, admin: Client, raw: Raw
) -> None:
    credentials = '{email: "eve@example.com", password: "correct horse battery"}'
    made = await Client(http).ask(
        f"mutation {{ signUp(input: {credentials}) {{ user {{ id }} tokens {{ accessToken refreshToken }} }} }}"
    )
    user_id, tokens = made["signUp"]["user"]["id"], made["signUp"]["tokens"]
    session = Client(http, tokens["accessToken"])
    create = 'mutation { createApiKey(input: {name: "k", scopes: [TASKS_READ]}) { secret } }'
    key = Client(http, (await session.ask(create))["createApiKey"]["secret"])
    assert (await key.post(VIEWER)).status_code == 200

    for _ in range(2):
        done = (await admin.ask(SUSPEND, id=user_id, reason=" spam "))["suspendUser"]
        assert done["user"]["suspendedAt"] is not None
    for caller in (session, key):
        assert (await caller.post(VIEWER)).status_code == 403
    sign_in = f"mutation {{ signIn(input: {credentials}) {{ tokens {{ accessToken }} userErrors {{ code }} }} }}"
    assert (await Client(http).ask(sign_in))["signIn"]["userErrors"] == [{"code": "SUSPENDED"}]
    refresh = "mutation($t: String!) { refreshSession(input: {refreshToken: $t}) { userErrors { code } } }"
    refused = (await Client(http).ask(refresh, t=tokens["refreshToken"]))["refreshSession"]["userErrors"]
    assert refused == [{"code": "INVALID_CREDENTIALS"}]

    for _ in range(2):
        done = (await admin.ask(RESTORE, id=user_id))["restoreUser"]
        assert done["user"]["suspendedAt"] is None
    assert (await session.post(VIEWER)).status_code == 401  # its session has ended for good
    assert (await key.post(VIEWER)).status_code == 200
    assert (await Client(http).ask(sign_in))["signIn"]["tokens"] is not None
    found = await raw("SELECT action, details FROM audit_event ORDER BY created_at")
    assert [row.action for row in found] == ["user.suspend", "user.restore"]
    assert found[0].details == {"reason": "spam"}


@pytest.mark.parametrize(("reason", "code"), [(" ", "REQUIRED"), ("x" * 501, "TOO_LARGE"), ("a\0b", "INVALID")])
async def test_a_suspension_needs_a_reason(admin: Client, account: Account, reason: str, code: str) -> None:
    found = (await admin.ask(SUSPEND, id=account.global_id, reason=reason))["suspendUser"]
    assert found == {"user": None, "userErrors": [{"code": code, "field": ["input", "reason"]}]}


async def test_credits_moved_by_hand_are_written_down_once(
    admin: Client, chief: Account, account: Account, raw: Raw
) -> None:
    moved = """mutation($id: ID!) {{ {name}(input: {{userId: $id, amount: 5, note: "sorry", idempotencyKey: "k"}}) {{
      transaction {{ id }} userErrors {{ code }} }} }}"""
    for name in ("addTokens", "deductTokens"):
        for _ in range(2):  # the second is the first again
            await admin.ask(moved.format(name=name), id=account.global_id)
    found = await raw("SELECT action, actor_id, subject_id, details FROM audit_event ORDER BY created_at")
    assert [(row.action, row.actor_id, row.subject_id) for row in found] == [
        ("credits.add", chief.id, account.global_id),
        ("credits.deduct", chief.id, account.global_id),
    ]
    assert [row.details["amount"] for row in found] == [5, -5]


async def test_what_members_and_keys_pay_from_their_own_account_is_not_recorded(client: Client, raw: Raw) -> None:
    own = 'mutation { deductTokens(input: {amount: 1, note: "service", idempotencyKey: "k"}) { userErrors { code } } }'
    assert (await client.ask(own))["deductTokens"]["userErrors"] == []
    assert await raw("SELECT 1 FROM audit_event") == []


async def test_what_an_administrator_does_to_anothers_things_is_written_down(
    parts: Parts, admin: Client, client: Client, account: Account, raw: Raw
) -> None:
    revoke = "mutation($id: ID!) { revokeApiKey(input: {apiKeyId: $id}) { apiKey { revokedAt } userErrors { code } } }"
    cancel = "mutation($id: ID!) { cancelTask(input: {taskId: $id}) { task { status } userErrors { code } } }"
    key_id, _ = await key_of(parts, account, ApiKeyScope.TASKS_READ)
    task = await factories.task(parts, account)
    assert (await admin.ask(revoke, id=key_id))["revokeApiKey"]["apiKey"]["revokedAt"]
    assert (await admin.ask(cancel, id=task.global_id))["cancelTask"]["task"] == {"status": "CANCELED"}
    own_key, _ = await key_of(parts, account, ApiKeyScope.TASKS_READ)
    own_task = await factories.task(parts, account)
    await client.ask(revoke, id=own_key)
    await client.ask(cancel, id=own_task.global_id)
    found = await raw("SELECT action, subject_id, details FROM audit_event ORDER BY created_at")
    assert [(row.action, row.subject_id) for row in found] == [("key.revoke", key_id), ("task.cancel", task.global_id)]
    assert found[0].details == {"owner_id": account.global_id}


async def test_what_an_administrator_does_to_anothers_tasks_is_written_down(
    db: Database, admin: Client, client: Client, account: Account, raw: Raw
) -> None:
    async def on(actor: Client, name: str, task_id: str, /, **more: str) -> None:
        query = f"mutation($i: {name[0].upper()}{name[1:]}Input!) {{ {name}(input: $i) {{ userErrors {{ code }} }} }}"
        assert (await actor.ask(query, i={"taskId": task_id, **more}))[name]["userErrors"] == []

    expected = []
    for who in (admin, client):
        draft = (await client.upload(b"a@ok.mailverdict.test\n", "a.txt", "task { id }", start=False))["task"]["id"]
        finished = await factories.finished_task(db, account, 1)
        await raw("UPDATE task_address SET verdict = 'UNKNOWN' WHERE task_id = :id RETURNING n", id=finished.id)
        gone = (await factories.finished_task(db, account, 1)).global_id
        await on(who, "updateTask", draft, name="another")
        await on(who, "startTask", draft)
        await on(who, "retryTask", finished.global_id)
        await on(who, "deleteTask", gone)
        if who is admin:
            expected = [("task.update", draft), ("task.start", draft)]
            expected += [("task.retry", finished.global_id), ("task.delete", gone)]
    found = await raw("SELECT action, subject_id FROM audit_event ORDER BY created_at")
    assert [tuple(row) for row in found] == expected


async def test_who_was_an_administrator_gets_no_task_of_anothers_by_the_keys_of_that_time(
    db: Database, admin: Client, chief: Account, client: Client, account: Account, raw: Raw
) -> None:
    draft = (await client.upload(b"a@ok.mailverdict.test\n", "a.txt", "task { id }", start=False))["task"]["id"]
    finished = await factories.finished_task(db, account, 1)
    await raw("UPDATE task_address SET verdict = 'UNKNOWN' WHERE task_id = :id RETURNING n", id=finished.id)
    asked = [("startTask", "StartTaskInput!", draft), ("retryTask", "RetryTaskInput!", finished.global_id)]
    for expected in (None, "NOT_FOUND"):
        for name, kind, task_id in asked:
            query = f"mutation($i: {kind}) {{ {name}(input: $i) {{ task {{ id }} userErrors {{ code }} }} }}"
            told = (await admin.ask(query, i={"taskId": task_id, "idempotencyKey": "k"}))[name]
            assert told["task"] == ({"id": task_id} if expected is None else None)
            assert [error["code"] for error in told["userErrors"]] == ([] if expected is None else [expected])
        await raw("UPDATE account SET role = 'MEMBER' WHERE id = :id RETURNING id", id=chief.id)


async def test_the_log_is_paged_newest_first_and_by_actor(
    http: httpx.AsyncClient, parts: Parts, db: Database, admin: Client, account: Account
) -> None:
    other = await factories.account(db, email="second@example.com", role=UserRole.ADMIN, balance=0)
    for n in range(2):
        await admin.ask(SUSPEND, id=account.global_id, reason=f"{n}")
        await admin.ask(RESTORE, id=account.global_id)
    await Client(http, token(parts, other)).ask(SUSPEND, id=account.global_id, reason="again")
    log = (await admin.ask(AUDIT, first=2))["admin"]["auditEvents"]
    assert [e["action"] for e in log["nodes"]] == ["user.suspend", "user.restore"]
    assert (log["totalCount"], log["pageInfo"]["hasNextPage"]) == (5, True)
    theirs = (await admin.ask(AUDIT, actor=other.global_id))["admin"]["auditEvents"]
    assert [e["actor"]["id"] for e in theirs["nodes"]] == [other.global_id]
    node = "query($id: ID!) { node(id: $id) { id ... on AuditEvent { action } } }"
    event_id = log["nodes"][0]["id"]
    assert (await admin.ask(node, id=event_id))["node"] == {"id": event_id, "action": "user.suspend"}


@pytest.mark.parametrize(
    "change",
    ["UPDATE audit_event SET action = 'nothing'", "DELETE FROM audit_event", "TRUNCATE audit_event"],
)
async def test_the_log_is_append_only(admin: Client, account: Account, raw: Raw, change: str) -> None:
    await admin.ask(SUSPEND, id=account.global_id, reason="because")
    with pytest.raises(DBAPIError, match="append-only"):
        await raw(change)


async def test_a_refused_act_leaves_no_event(admin: Client, account: Account, raw: Raw) -> None:
    take = """mutation($id: ID!) {
      deductTokens(input: {userId: $id, amount: 9999999, note: "x", idempotencyKey: "k"}) { userErrors { code } } }"""
    refused = (await admin.ask(take, id=account.global_id))["deductTokens"]["userErrors"]
    assert refused == [{"code": "INSUFFICIENT_CREDITS"}]
    assert await raw("SELECT 1 FROM audit_event") == []
