"""Holds every answer of the REST process to openapi.yaml."""

from functools import cache
from pathlib import Path
from typing import Any

import httpx
import jsonschema
from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError

CONTRACT = Path(__file__).parent.parent / "openapi.yaml"
PREFIX = "/api/v1"
FILES = ("text/", "application/vnd.openxmlformats-officedocument.")

ERROR = {
    "type": "object",
    "required": ["error"],
    "additionalProperties": False,
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "additionalProperties": False,
            "properties": {name: {"type": "string"} for name in ("code", "message", "field")},
        }
    },
}


@cache
def openapi() -> OpenAPI:
    return OpenAPI.from_file_path(str(CONTRACT))


class _Request:
    """A request as openapi-core wants to see it."""

    def __init__(self, request: httpx.Request) -> None:
        self.host_url = "http://verifier"
        self.path = request.url.path
        self.method = request.method.lower()
        self.parameters = RequestParameters()
        self.content_type = request.headers.get("content-type", "application/json")
        self.body = b""


class _Response:
    """A response as openapi-core wants to see it."""

    def __init__(self, response: httpx.Response) -> None:
        self.status_code = response.status_code
        self.headers = dict(response.headers)
        self.content_type = response.headers.get("content-type", "").partition(";")[0]
        self.data = response.content


async def hold(response: httpx.Response) -> None:
    """Fail the test whose answer breaks the contract; errors that it does not list must have its one form."""
    await response.aread()
    if response.request.method == "HEAD":
        assert not response.content
        return
    if response.status_code >= 400 and response.request.url.path != "/health":
        jsonschema.validate(response.json(), ERROR)
    if response.headers.get("content-type", "").startswith(FILES):
        assert response.request.url.path.endswith(("/download", "/metrics"))
    elif response.request.url.path.startswith(PREFIX) and _lists(response):
        try:
            openapi().validate_response(_Request(response.request), _Response(response))
        except OpenAPIError as error:
            raise AssertionError(f"{response.request.method} {response.url}: {error!r} {error.__cause__!r}") from error
    elif response.status_code < 400 and response.request.url.path != "/health":
        raise AssertionError(f"the contract knows no {response.status_code} for {response.request.url.path}")


def _lists(response: httpx.Response) -> bool:
    """Tell whether the contract lists this status for this operation."""
    asked = response.request.url.path.removeprefix(PREFIX).split("/")
    paths: dict[str, Any] = openapi().spec["paths"].read_value()
    for path, operations in paths.items():
        parts = path.split("/")
        if len(parts) == len(asked) and all(a == p or p.startswith("{") for a, p in zip(asked, parts, strict=True)):
            operation = operations.get(response.request.method.lower())
            return operation is not None and str(response.status_code) in operation["responses"]
    return False
