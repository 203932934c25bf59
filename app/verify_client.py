"""The few calls of the GraphQL API that the `verify` command needs."""

import dataclasses
import typing
from collections.abc import Mapping
from pathlib import Path

import httpx
import orjson

UPLOAD = """
mutation UploadFile($file: Upload!, $name: String) {
  uploadTaskFile(input: {file: $file, name: $name}) {
    task { id }
    userErrors { message }
  }
}
"""
PROGRESS = """
query Progress($id: ID!) {
  task(id: $id) {
    status
    failureReason
    emailCount
    metrics {
      totalEmailAddresses
      jobStatus { completed failed }
      verificationStatus { exists notExists catchall invalidSyntax unknown }
    }
  }
}
"""
DOWNLOAD = "query Download($id: ID!) { task(id: $id) { download { url } } }"
_File = tuple[str, typing.BinaryIO]
VERDICTS = ("exists", "notExists", "catchall", "invalidSyntax", "unknown")


def _text(value: object) -> str:
    return orjson.dumps(value).decode()


class Failed(Exception):
    """The service cannot be reached, or it could not do what was asked. Exit code 1."""


class Rejected(Exception):
    """What was sent is not acceptable: the file, or the token. Exit code 2."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """A task as it stands."""

    status: str
    failure_reason: str | None
    row_count: int
    total: int
    finished: int
    verdicts: dict[str, int]

    @property
    def is_over(self) -> bool:
        """Nothing more will change."""
        return self.status in ("COMPLETED", "FAILED", "CANCELED")


class Client:
    """A caller of one service. Raises Failed and Rejected."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._http = httpx.AsyncClient(
            headers={"authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(30.0, write=600.0, read=600.0),
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def upload(self, path: Path) -> str:
        """Send a file as a new task; gives the task's id (GraphQL multipart request specification)."""
        variables = {"file": None, "name": path.name}
        operations = _text({"query": UPLOAD, "operationName": "UploadFile", "variables": variables})
        fields = {"operations": operations, "map": _text({"0": ["variables.file"]})}
        with path.open("rb") as file:
            data = await self._answer(data=fields, files={"0": (path.name, file)})
        payload = data["uploadTaskFile"] or {}
        if payload.get("userErrors") or not payload.get("task"):
            raise Rejected(" ".join(error["message"] for error in payload.get("userErrors", ())) or "not accepted")
        return str(payload["task"]["id"])

    async def progress(self, task_id: str) -> Progress:
        """Ask how far a task is."""
        task = (await self._ask(PROGRESS, task_id))["task"]
        if task is None:
            raise Failed(f"the task {task_id} is gone")
        metrics = task["metrics"]
        return Progress(
            status=task["status"],
            failure_reason=task["failureReason"],
            row_count=task["emailCount"],
            total=metrics["totalEmailAddresses"],
            finished=metrics["jobStatus"]["completed"] + metrics["jobStatus"]["failed"],
            verdicts=metrics["verificationStatus"],
        )

    async def download(self, task_id: str, target: typing.BinaryIO) -> None:
        """Write the results of a task to a file, as csv."""
        task = (await self._ask(DOWNLOAD, task_id))["task"]
        if not task or not task["download"]:
            raise Failed(f"the task {task_id} has no results to download")
        try:
            async with self._http.stream("GET", task["download"]["url"]) as response:
                if response.status_code != httpx.codes.OK:
                    raise Failed(f"the download answered with status {response.status_code}")
                async for piece in response.aiter_bytes():
                    target.write(piece)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    async def _ask(self, query: str, task_id: str) -> dict[str, typing.Any]:
        return await self._answer(json={"query": query, "variables": {"id": task_id}})

    async def _answer(
        self, *, json: object = None, data: Mapping[str, str] | None = None, files: Mapping[str, _File] | None = None
    ) -> dict[str, typing.Any]:
        try:
            response = await self._http.post(self._url, json=json, data=data, files=files)
            answer = response.json()
            problems = [error["message"] for error in answer.get("errors", ())]
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise Failed(f"{self._url} does not speak GraphQL") from error
        if problems:
            is_ours = httpx.codes.is_client_error(response.status_code)
            raise (Rejected if is_ours else Failed)(" ".join(problems))
        found: dict[str, typing.Any] = answer["data"]
        return found

    def _unreachable(self, error: httpx.HTTPError) -> Failed:
        return Failed(f"{self._url} cannot be reached ({type(error).__name__})")
