"""Progress as an event stream, and what a stream says of tasks that are not the caller's."""

import httpx

from conftest import RunningApp
from tests.client import Client

CREATE = "mutation($input: CreateTaskInput!) { createTask(input: $input) { task { id } } }"
PROGRESS = "subscription($id: ID!) { taskProgress(taskId: $id) { task { status metrics { progressPercent } } } }"


async def events(app: RunningApp, task_id: str, token: str | None) -> list[tuple[str, str]]:
    """The events of a task's progress over SSE, each with its data, until the stream ends."""
    headers = {"Accept": "text/event-stream"} | ({"Authorization": f"Bearer {token}"} if token else {})
    body = {"query": PROGRESS, "variables": {"id": task_id}}
    seen: list[tuple[str, str]] = []
    async with (
        httpx.AsyncClient(timeout=30) as http,
        http.stream("POST", app.graphql, json=body, headers=headers) as response,
    ):
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        event = ""
        async for line in response.aiter_lines():
            if line.startswith("event:"):
                event = line.removeprefix("event:").strip()
                if event == "complete":
                    seen.append((event, ""))
            elif line.startswith("data:") and event != "complete":
                seen.append((event, line.removeprefix("data:").strip()))
    return seen


async def test_a_task_is_followed_over_sse_from_its_present_state_to_its_end(running_app: RunningApp) -> None:
    async with httpx.AsyncClient(base_url=running_app.web, timeout=30) as http:
        emails = [f"jane.roe{n}@ok.mailverdict.test" for n in range(60)]
        created = await Client(http, running_app.token).ask(CREATE, input={"emails": emails})
    seen = await events(running_app, created["createTask"]["task"]["id"], running_app.token)
    assert [event for event, _ in seen] == ["next"] * (len(seen) - 1) + ["complete"]
    assert '"progressPercent":100' in seen[-2][1]
    assert '"COMPLETED"' in seen[-2][1]


async def test_a_stream_of_no_task_of_the_callers_is_one_error(running_app: RunningApp) -> None:
    unknown = "task_" + "0" * 22
    for task_id, token, code in (
        (unknown, running_app.token, "NOT_FOUND"),
        ("nonsense", running_app.token, "NOT_FOUND"),
        (unknown, None, "UNAUTHENTICATED"),
    ):
        seen = await events(running_app, task_id, token)
        assert [event for event, _ in seen] == ["next", "complete"]
        assert f'"{code}"' in seen[0][1]
