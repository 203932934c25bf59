"""What is past its time: counted, removed, by an administrator; what it cost and counted stays."""

from typing import Any

from db.models import Account
from resolvers.context import Parts
from tests import factories
from tests.client import Client

PURGE = "mutation($dry: Boolean!) { purgeExpired(input: {isDryRun: $dry}) { removedCount userErrors { code } } }"


async def test_only_an_administrator_purges(client: Client) -> None:
    assert await client.codes(PURGE, dry=True) == ["FORBIDDEN"]


async def test_old_drafts_and_old_results_go_and_everything_else_stays(
    client: Client, admin: Client, parts: Parts, account: Account, raw: Any
) -> None:
    for name in ("old.csv", "young.csv"):
        await client.upload(b"email\na@example.com\n", name, "task { id }", start=False)
    await raw("UPDATE task SET created_at = now() - interval '8 days' WHERE name = 'old.csv' RETURNING 1")
    old = await factories.finished_task(parts.db, account, rows=4, name="old")
    await raw("UPDATE task SET finished_at = now() - interval '91 days' WHERE name = 'old' RETURNING 1")
    await factories.finished_task(parts.db, account, rows=3, name="young")
    await factories.task(parts, account, name="open")

    for dry, count in ((True, 5), (True, 5), (False, 5), (False, 0)):
        found = (await admin.ask(PURGE, dry=dry))["purgeExpired"]
        assert found == {"removedCount": count, "userErrors": []}
    assert await raw("SELECT name FROM task ORDER BY name") == [("old",), ("open",), ("young",), ("young.csv",)]
    assert await raw("SELECT count(*) FROM task_row") == [(5,)]

    query = """query($id: ID!) { task(id: $id) {
      status metrics { verificationStatus { exists } } results { totalCount } download { url } } }"""
    assert (await client.ask(query, id=old.global_id))["task"] == {
        "status": "COMPLETED",
        "metrics": {"verificationStatus": {"exists": 4}},
        "results": {"totalCount": 0},
        "download": None,
    }
