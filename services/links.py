"""Signed links to downloads: whoever has one can read the file, until it runs out."""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson

from db.models import Task, Verdict, VerdictReason
from db.queries import accounts as account_queries
from db.queries import tasks as task_queries
from db.queries.results import ResultConditions
from db.session import Database
from services.errors import NotFound
from services.exports import DownloadFormat

LIFETIME = timedelta(minutes=15)
_SIGNATURE_BYTES = 32
_TOKEN_CHARACTERS_MAX = 4096


@dataclass(frozen=True, slots=True)
class DownloadLink:
    """A time-limited link."""

    url: str
    expires_at: datetime
    format: DownloadFormat


@dataclass(frozen=True, slots=True)
class Download:
    """What a link stands for."""

    task_id: UUID
    format: DownloadFormat
    conditions: ResultConditions


class Links:
    """Makes and reads signed links."""

    def __init__(self, secret: str, public_url: str) -> None:
        """Links start with `public_url`."""
        self._key = hashlib.sha256(b"download-link:" + secret.encode()).digest()
        self._public_url = public_url.rstrip("/")

    def make(self, download: Download, now: datetime) -> DownloadLink:
        """A link that works for 15 minutes."""
        expires_at = now + LIFETIME
        c = download.conditions
        content = orjson.dumps(
            [
                str(download.task_id),
                download.format,
                int(expires_at.timestamp()),
                list(c.verdict) if c.verdict is not None else None,
                list(c.reason) if c.reason is not None else None,
                c.domain,
                c.email_contains,
            ]
        )
        token = base64.urlsafe_b64encode(self._sign(content) + content).decode().rstrip("=")
        return DownloadLink(f"{self._public_url}/downloads/{token}", expires_at, download.format)

    def read(self, token: str, now: datetime) -> Download:
        """What a link stands for.

        Raises:
            NotFound: forged, damaged, or run out.

        """
        try:
            if len(token) > _TOKEN_CHARACTERS_MAX:
                raise ValueError
            signed = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
            signature, content = signed[:_SIGNATURE_BYTES], signed[_SIGNATURE_BYTES:]
            if not hmac.compare_digest(signature, self._sign(content)):
                raise ValueError
            task_id, file_format, expires, verdicts, reasons, domain, email_contains = orjson.loads(content)
            if datetime.fromtimestamp(expires, UTC) <= now:
                raise ValueError
        except ValueError as error:
            raise NotFound(
                "This link is not valid, or has run out: they work for 15 minutes. Ask for a new one."
            ) from error
        conditions = ResultConditions(
            verdict=tuple(Verdict(v) for v in verdicts) if verdicts is not None else None,
            reason=tuple(VerdictReason(r) for r in reasons) if reasons is not None else None,
            domain=domain,
            email_contains=email_contains,
        )
        return Download(UUID(task_id), DownloadFormat(file_format), conditions)

    def _sign(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, "sha256")


async def task_of(db: Database, download: Download) -> Task:
    """The task behind a link.

    Raises:
        NotFound: deleted since, or its owner was suspended or has deleted the account.

    """
    async with db.read() as session:
        task = (await task_queries.by_ids(session, [download.task_id])).get(download.task_id)
        owner = (await account_queries.by_ids(session, [task.account_id])).get(task.account_id) if task else None
    if task is None or owner is None or owner.suspended_at is not None or owner.deleted_at is not None:
        raise NotFound("The task behind this link is gone.")
    return task
