"""The deliveries of one worker: takes what is due, sends it, notes what came of it. Any number of workers may."""

import asyncio
import random
import secrets
from datetime import UTC, datetime

import httpx
import structlog

from verifier.api import answers, pictures
from verifier.settings import Settings
from verifier.store.database import Pool
from verifier.store.queries import tasks, webhooks
from verifier.webhooks import signature, transport

AT_ONCE = 20
POLL_SECONDS = 0.5
LEASE_SECONDS = 60.0  # longer than a try: a delivery whose worker died is due again after this
JITTER = 0.1  # of a wait, so that many deliveries which failed together do not come back together
PROBLEM_LENGTH_MAX = 200
SECRET_BYTES = 32
GONE = 410

log = structlog.get_logger()


async def run(pool: Pool, settings: Settings, stopping: asyncio.Event) -> None:
    """Deliver until `stopping` is set; what is under way then is due again when its lease is over.

    Raises what the database raises when it is lost.
    """
    sending: dict[asyncio.Task[None], webhooks.Due] = {}
    async with transport.client(settings.allowed_private_networks) as client:
        sender = Sender(pool, client, settings.webhook_retry_seconds)
        stop = asyncio.create_task(stopping.wait())
        try:
            while not stopping.is_set():
                busy = [due.user_id for due in sending.values()]
                free = AT_ONCE - len(sending)
                for due in await webhooks.take(pool, count=free, lease_seconds=LEASE_SECONDS, busy=busy):
                    sending[asyncio.create_task(sender.send(due))] = due
                await asyncio.wait({stop, *sending}, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                for done in [task for task in sending if task.done()]:
                    del sending[done]
                    done.result()
        finally:
            for task in (stop, *sending):
                task.cancel()
            await asyncio.gather(stop, *sending, return_exceptions=True)


class Sender:
    """Sends deliveries one by one and notes each outcome."""

    def __init__(self, pool: Pool, client: httpx.AsyncClient, waits: tuple[float, ...]) -> None:
        """`waits`, in seconds, stand between the tries: one wait fewer than tries."""
        self._pool, self._client, self._waits = pool, client, waits

    async def send(self, due: webhooks.Due) -> None:
        """Make one try."""
        task = await tasks.get(self._pool, due.task_id)
        if task is None:  # deleted meanwhile, and its delivery with it
            return
        secret = await webhooks.secret_of(self._pool, due.user_id, fresh=secrets.token_bytes(SECRET_BYTES))
        body = answers.dumps(pictures.detail(task))
        keys = [secret.secret] + ([secret.old] if secret.old else [])
        headers = signature.headers(keys, id=f"msg_{due.task_id.hex}", at=datetime.now(UTC), body=body)
        status, problem = await self._post(due.url, body, headers)
        if problem is None:
            await webhooks.delivered(self._pool, due, status or 200)
            log.info("webhook delivered", task=str(due.task_id), tries=due.tries)
            return
        delay = None if status == GONE else self._wait_after(due.tries)
        log.warning("webhook not taken", task=str(due.task_id), tries=due.tries, problem=problem, again_in=delay)
        await webhooks.refused(self._pool, due, status=status, problem=problem, delay_seconds=delay)

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> tuple[int | None, str | None]:
        """Return the status, and what was wrong: None where the receiver took it."""
        # The answer's body is nobody's business here: it is not read.
        request = self._client.stream(
            "POST", url, content=body, headers={"Content-Type": "application/json", **headers}
        )
        try:
            async with asyncio.timeout(transport.TRY_SECONDS), request as response:
                status = response.status_code
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:  # time-outs are among the last
            return None, (str(error) or "no answer in time")[:PROBLEM_LENGTH_MAX]
        return status, None if 200 <= status < 300 else f"answered {status}"

    def _wait_after(self, tries: int) -> float | None:
        """Return the seconds until the next try; None where it was the last."""
        if tries > len(self._waits):
            return None
        return self._waits[tries - 1] * (1 + random.uniform(-JITTER, JITTER))  # noqa: S311 - not a secret
