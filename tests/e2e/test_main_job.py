"""The main job on the example file: up through GraphQL, followed over a WebSocket, down with what is true."""

import asyncio
import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from conftest import ROOT, RunningApp, StartApp
from tests.client import Client
from verifier.lab.expectation import expected

CONTACTS = ROOT / "examples" / "contacts.csv"
METRICS = """metrics { totalEmailAddresses progressPercent jobStatus { pending processing completed failed }
  verificationStatus { exists notExists catchall invalidSyntax unknown } }"""
PROGRESS = f"subscription($id: ID!) {{ taskProgress(taskId: $id) {{ occurredAt task {{ status {METRICS} }} }} }}"
PROTOCOL = Subprotocol("graphql-transport-ws")
SECONDS = 45.0


async def followed(app: RunningApp, task_id: str) -> list[dict[str, Any]]:
    """Every step of a task, as a client of graphql-transport-ws sees it."""
    steps: list[dict[str, Any]] = []
    url = app.graphql.replace("http", "ws", 1)
    async with asyncio.timeout(SECONDS), connect(url, subprotocols=[PROTOCOL]) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {app.token}"}}))
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        subscribe = {"query": PROGRESS, "variables": {"id": task_id}}
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": subscribe}))
        async for message in socket:
            frame = json.loads(message)
            if frame["type"] == "complete":
                return steps
            assert frame["type"] == "next", frame
            steps.append(frame["payload"]["data"]["taskProgress"]["task"])
    return steps


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def slow_app(start_app: StartApp) -> Iterator[RunningApp]:
    """An instance with few connections to mail hosts that are far away: the example takes seconds, not one."""
    with start_app("slow", VERIFIER_LAB_DELAY_MS="80", VERIFIER_CONCURRENCY="6") as app:
        yield app


async def test_the_example_goes_through_and_every_row_comes_back_with_its_true_verdict(slow_app: RunningApp) -> None:
    async with httpx.AsyncClient(base_url=slow_app.web, timeout=30) as http:
        client = Client(http, slow_app.token)
        outcome = await client.upload(CONTACTS.read_bytes(), "contacts.csv", "task { id } userErrors { message }")
        task_id = outcome["task"]["id"]
        steps = await followed(slow_app, task_id)
        query = f"query($id: ID!) {{ task(id: $id) {{ status emailCount {METRICS} download {{ url }} }} }}"
        task = (await client.ask(query, id=task_id))["task"]
        text = (await http.get(task["download"]["url"])).text

    percents = [step["metrics"]["progressPercent"] for step in steps]
    assert len({tuple(step["metrics"]["jobStatus"].values()) for step in steps}) > 5, percents
    assert percents == sorted(percents)
    assert (steps[-1]["status"], percents[-1]) == ("COMPLETED", 100)
    for metrics in [*(step["metrics"] for step in steps), task["metrics"]]:
        assert sum(metrics["jobStatus"].values()) == metrics["totalEmailAddresses"]
        done = metrics["jobStatus"]["completed"] + metrics["jobStatus"]["failed"]
        assert sum(metrics["verificationStatus"].values()) == done

    sent, got = rows_of(CONTACTS.read_text(encoding="utf-8-sig")), rows_of(text)
    assert task["emailCount"] == len(sent) == len(got) == 1000
    assert [row["id"] for row in got] == [row["id"] for row in sent]
    assert [row["company"] for row in got] == [row["company"] for row in sent]
    found = [(row["verdict"].lower(), row["reason"].lower()) for row in got]
    true = [tuple(str(word) for word in expected(row["work_email"].strip())) for row in sent]
    assert found == true
    distinct = {row["email"] or f"malformed {row['work_email'].strip()}": row["verdict"] for row in got}
    counts = Counter(distinct.values())
    names = ("EXISTS", "NOT_EXISTS", "CATCHALL", "INVALID_SYNTAX", "UNKNOWN")
    assert [counts[name] for name in names] == list(task["metrics"]["verificationStatus"].values())
