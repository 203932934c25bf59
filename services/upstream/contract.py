"""What the service asks of any verifier that keeps the wire of `verifier/openapi.yaml`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from db.models import EmailVerification
from db.queries.parts import Snapshot

LIST_IDS_MAX = 100
KEY_CHARACTERS_MAX = 512


def is_key(text: str) -> bool:
    """The text can be a credential: a header carries it."""
    return 0 < len(text) <= KEY_CHARACTERS_MAX and text.isascii() and text.isprintable() and " " not in text


@dataclass(frozen=True, slots=True)
class ResultPage:
    """Results in the order in which they were finished; `next_after` is the cursor behind the last of them."""

    results: Sequence[EmailVerification]
    next_after: int
    is_last: bool = False
    """There are no more, and none will come. Where it is not told, the page behind the last is empty."""


@dataclass(frozen=True, slots=True)
class UpstreamTask:
    """A task upstream, with its counts."""

    id: UUID
    total: int
    snapshot: Snapshot
    created_at: datetime | None = None
    callback_url: str | None = None

    @property
    def is_over(self) -> bool:
        """Nothing is pending or processing. Never told by a time of finishing, which may stay null."""
        return self.snapshot.completed + self.snapshot.failed >= self.total


class Upstream(Protocol):
    """A verifier. `key` is the caller's credential there: a user's, or the service's, which sees everybody's tasks.

    Every call raises UpstreamDown where asking again may help, UpstreamRefused where not (UpstreamKeyRefused for the
    credential), UpstreamMissing for a task that is not known.
    """

    gives_ids: bool
    """False: a list is sent once, and its task is then looked for among the newest."""

    async def create(self, key: str, emails: Sequence[str], *, idempotency_key: str) -> UUID | None:
        """Make a task of 1 to 10,000 addresses; the same key gives the same task again. None: its id is not told."""

    results_max: int
    """So many results a page has at most."""

    def callback_of(self, idempotency_key: str) -> str | None:
        """The callback URL by which a task that was made with a key can be told from others; None without such."""

    async def tasks(self, key: str, task_ids: Sequence[UUID]) -> dict[UUID, UpstreamTask]:
        """The state of at most 100 tasks in one call; those not known are left out."""

    async def newest(self, key: str, *, limit: int, offset: int) -> Sequence[UpstreamTask]:
        """At most 100 tasks that the key may see, newest first, after as many as `offset`."""

    async def results(self, key: str, task_id: UUID, *, after: int) -> ResultPage:
        """The next results behind a cursor; while the task runs too, if upstream tells them then."""

    async def cancel(self, key: str, task_id: UUID) -> None:
        """Stop a task."""

    async def verify(self, key: str, email: str, *, timeout_seconds: float) -> EmailVerification:
        """Verify one address now."""

    async def make_key(self, key: str, user_id: UUID) -> str:
        """Make a credential for a user. Only the service's own key may; each call makes another."""

    async def ping(self) -> float:
        """Ask whether upstream lives: milliseconds."""
