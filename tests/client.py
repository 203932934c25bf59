"""A GraphQL client as small as a test wants it."""

import json
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True, slots=True)
class Client:
    """Asks as one caller."""

    http: httpx.AsyncClient
    credential: str | None = None

    async def post(self, query: str, **variables: Any) -> httpx.Response:
        """The HTTP answer to an operation."""
        return await self.http.post("/graphql", json={"query": query, "variables": variables}, headers=self._headers())

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of an operation that goes well."""
        response = await self.post(query, **variables)
        body = response.json()
        assert "errors" not in body, body["errors"]
        assert response.status_code == 200
        data: dict[str, Any] = body["data"]
        return data

    async def codes(self, query: str, **variables: Any) -> list[str]:
        """The codes of the errors of an operation."""
        body = (await self.post(query, **variables)).json()
        return [error["extensions"]["code"] for error in body.get("errors", ())]

    async def upload(self, content: bytes, name: str, selection: str, /, **given: Any) -> dict[str, Any]:
        """What uploadTaskFile gives back."""
        query = f"mutation($input: UploadTaskFileInput!) {{ uploadTaskFile(input: $input) {{ {selection} }} }}"
        operations = {"query": query, "variables": {"input": {"file": None, **given}}}
        response = await self.http.post(
            "/graphql",
            data={"operations": json.dumps(operations), "map": json.dumps({"0": ["variables.input.file"]})},
            files={"0": (name, content, "text/csv")},
            headers=self._headers(),
        )
        body = response.json()
        assert "errors" not in body, body["errors"]
        outcome: dict[str, Any] = body["data"]["uploadTaskFile"]
        return outcome

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.credential}"} if self.credential else {}
