"""A verifier over HTTP: pooled connections, retries that wait as they were asked to, and a circuit breaker."""

import asyncio
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import IO, Any
from uuid import UUID

import httpx

from db.models import EmailVerification
from services import retry_after, trust
from services.decoded import Json
from services.errors import UpstreamDown, UpstreamKeyRefused, UpstreamMissing, UpstreamRefused
from services.upstream import wire
from services.upstream.contract import ResultPage, UpstreamTask

_TRIES = 3
_BACKOFF_SECONDS = 0.2
_RETRY_AFTER_SECONDS_MAX = 2.0
"""A longer wait that upstream asks for is the caller's to keep."""
_FILE_BYTES_MAX = 256 * 1024 * 1024
"""Of a file of results: 10,000 of them in 25 KiB each."""
_ASKED_SECONDS_MAX = 3600.0
"""Whoever asks for more is asked again after an hour."""
_CONNECT_SECONDS = 3.0
_KEY_SECONDS = 5.0
_BREAKER_FAILURES = 5
_BREAKER_SECONDS = 5.0
_SUCCESS, _REFUSED, _FAULT = 200, 400, 500
_UNAUTHORIZED, _MISSING, _BUSY, _TIMEOUT, _AWAY = 401, 404, 429, 408, 503


class HttpUpstream:
    """The client of one verifier, for the whole process."""

    gives_ids = True
    results_max = 1000

    def __init__(self, url: str, *, timeout_seconds: float = 15.0, breaker_seconds: float = _BREAKER_SECONDS) -> None:
        """`url` ends where the contract's paths begin, e.g. http://127.0.0.1:8025/api/v1.

        `breaker_seconds`: for how long upstream is left alone after five failures one after another.
        """
        self._client = trust.client(
            base_url=url.rstrip("/"),
            timeout=httpx.Timeout(timeout_seconds, connect=_CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=50, max_keepalive_connections=20),
        )
        self._origin = httpx.URL(url).copy_with(path="/", query=None)
        self._breaker_seconds = breaker_seconds
        self._failures = 0
        self._closed_until = 0.0

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    def callback_of(self, idempotency_key: str) -> str | None:  # noqa: ARG002 - the id is told, so nothing needs a mark
        """See the contract."""
        return None

    async def create(self, key: str, emails: Sequence[str], *, idempotency_key: str) -> UUID | None:
        """Make a task; see the contract."""
        headers = {"Idempotency-Key": idempotency_key}
        return wire.task_id(await self._call("POST", "/tasks", key, json={"emails": list(emails)}, headers=headers))

    async def tasks(self, key: str, task_ids: Sequence[UUID]) -> dict[UUID, UpstreamTask]:
        """The state of many tasks; see the contract."""
        params = {"ids": ",".join(map(str, task_ids)), "limit": len(task_ids)}
        found = wire.tasks(await self._call("GET", "/tasks", key, params=params))
        return {task.id: task for task in found}

    async def newest(self, key: str, *, limit: int, offset: int) -> Sequence[UpstreamTask]:
        """The newest tasks; see the contract."""
        return wire.tasks(await self._call("GET", "/tasks", key, params={"limit": limit, "offset": offset}))

    async def results(self, key: str, task_id: UUID, *, after: int) -> ResultPage:
        """The next results; see the contract."""
        params = {"after": after, "limit": self.results_max}
        return wire.results(await self._call("GET", f"/tasks/{task_id}/results", key, params=params))

    async def cancel(self, key: str, task_id: UUID) -> None:
        """Stop a task; see the contract."""
        await self._call("POST", f"/tasks/{task_id}/cancel", key)

    async def verify(self, key: str, email: str, *, timeout_seconds: float) -> EmailVerification:
        """Verify one address; see the contract. Tried once: the caller waits."""
        body = {"email": email}
        answer = await self._call("POST", "/verify", key, json=body, limit_seconds=timeout_seconds)
        return wire.verification(answer, datetime.now(UTC))

    async def make_key(self, key: str, user_id: UUID) -> str:
        """Make a credential; see the contract. Tried once: what is made for an answer that is lost stays there."""
        body = {"user_id": str(user_id)}
        return wire.key(await self._call("POST", "/keys", key, json=body, limit_seconds=_KEY_SECONDS))

    async def ping(self) -> float:
        """Ask for the verifier's health; milliseconds."""
        started = time.perf_counter()
        try:
            response = await self._client.get(self._origin.copy_with(path="/health"), timeout=2.0)
        except httpx.HTTPError as error:
            raise UpstreamDown from error
        if response.status_code >= _REFUSED:
            raise UpstreamDown
        return (time.perf_counter() - started) * 1000

    async def _call(
        self,
        method: str,
        path: str,
        key: str,
        *,
        limit_seconds: float | None = None,
        tries: int = _TRIES,
        file: IO[bytes] | None = None,
        **request: Any,  # noqa: ANN401 - what httpx takes
    ) -> Json:
        """Ask up to three times; with a limit of the caller's once, and an answer that comes too late is no fault.

        With a `file`, what is answered as csv is written to it, and not returned.
        """
        headers = {"Authorization": f"Bearer {key}"} | request.pop("headers", {})
        if limit_seconds is not None:
            connect_seconds = min(limit_seconds / 2, _CONNECT_SECONDS)
            tries, request["timeout"] = 1, httpx.Timeout(limit_seconds, connect=connect_seconds)
        for attempt in range(tries):
            if time.monotonic() < self._closed_until:
                raise UpstreamDown(retry_after_seconds=self._closed_until - time.monotonic(), may_have_worked=False)
            try:
                async with asyncio.timeout(limit_seconds):  # httpx looks at each step and each piece for itself
                    response = await self._ask(method, path, file, headers=headers, **request)
                return self._answer(response)
            except (httpx.HTTPError, TimeoutError) as error:
                is_late = isinstance(error, httpx.ReadTimeout | TimeoutError)
                if not (is_late and limit_seconds is not None):
                    self._count_failure()
                is_unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
                down = UpstreamDown(is_timeout=is_late, may_have_worked=not is_unsent)
                down.__cause__ = error
            except UpstreamDown as error:
                down = error
            wait = down.retry_after_seconds
            if attempt + 1 == tries or (wait is not None and wait > _RETRY_AFTER_SECONDS_MAX):
                raise down
            # Full jitter, so that many callers do not come back at one moment.
            await asyncio.sleep(wait if wait is not None else random.uniform(0, _BACKOFF_SECONDS * 2**attempt))  # noqa: S311 - not a secret
        raise UpstreamDown

    async def _ask(self, method: str, path: str, file: IO[bytes] | None, **request: Any) -> httpx.Response:  # noqa: ANN401 - what httpx takes
        if file is None:
            return await self._client.request(method, path, **request)
        async with self._client.stream(method, path, **request) as response:
            if not (response.is_success and _is_csv(response)):
                await response.aread()
                return response
            file.seek(0)  # an earlier try may have come half the way
            file.truncate()
            async for piece in response.aiter_bytes():
                file.write(piece)
                if file.tell() > _FILE_BYTES_MAX:
                    raise UpstreamDown("The verifier's file of results is too long.")
            return response

    def _answer(self, response: httpx.Response) -> Json:
        status = response.status_code
        if status >= _FAULT:
            self._count_failure()
        else:
            self._failures = 0
        if status >= _FAULT or status in (_BUSY, _TIMEOUT):
            raise UpstreamDown(
                retry_after_seconds=retry_after.seconds(response.headers, most=_ASKED_SECONDS_MAX),
                may_have_worked=status not in (_BUSY, _AWAY),
            )
        if status == _MISSING:
            raise UpstreamMissing
        if status == _UNAUTHORIZED:
            raise UpstreamKeyRefused(wire.error_message(response.content))
        if not _SUCCESS <= status < _REFUSED:
            raise UpstreamRefused(wire.error_message(response.content))
        if _is_csv(response):
            return None
        try:
            return response.json() if response.content else None
        except (ValueError, RecursionError) as error:  # no JSON, or nested without end
            self._count_failure()
            raise UpstreamDown("The verifier's answer could not be read.") from error

    def _count_failure(self) -> None:
        self._failures += 1
        if self._failures >= _BREAKER_FAILURES:
            self._closed_until = time.monotonic() + self._breaker_seconds
            self._failures = 0


def _is_csv(response: httpx.Response) -> bool:
    kind: str = response.headers.get("content-type", "")
    return kind.startswith("text/csv")
