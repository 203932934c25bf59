"""What a resolver is given: the parts of the process, who asks, and loaders made anew for every operation."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

import strawberry
from aiodataloader import DataLoader

from db import models
from db.models import ApiKeyScope
from db.session import Database
from resolvers.loaders import Loaders
from services.actor import Actor
from services.authentication import Credentials
from services.errors import Unauthenticated
from services.identity.port import Identity
from services.links import Links
from services.outgoing import Outgoing
from services.payments.packages import Package
from services.payments.port import Payments
from services.progress import Announcer, Hub
from services.rates import Meter
from services.till import Till
from services.upstream.contract import Upstream
from services.upstream_keys import UpstreamKeys
from services.usage import Usage
from services.webhook_delivery import Deliveries
from services.webhooks import Secrets

OwnedT = TypeVar(
    "OwnedT",
    bound=models.ApiKey
    | models.AuthSession
    | models.CreditTransaction
    | models.Purchase
    | models.Task
    | models.Webhook
    | models.WebhookDelivery,
)
_FILES_AT_A_TIME = 2


def utc_now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a process shares."""

    db: Database
    till: Till
    upstream: Upstream
    upstream_keys: UpstreamKeys
    credentials: Credentials
    links: Links
    hub: Hub
    announcer: Announcer
    upload_bytes_max: int
    identity: Identity
    usage: Usage
    outgoing: Outgoing
    webhook_secrets: Secrets
    deliveries: Deliveries
    is_billing_mock: bool = False
    """Anyone may add credits to the own account: development only."""
    payments: Payments | None = None
    """Who takes payments; None: nobody, and nothing is on sale."""
    on_sale: Sequence[Package] = ()
    meter: Meter = field(default_factory=Meter)
    now: Callable[[], datetime] = utc_now
    reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_FILES_AT_A_TIME))
    """Taken while a list is read: each takes a thread, a connection, and memory."""


@dataclass(slots=True)
class Context:
    """One operation: who asks, and its own loaders."""

    parts: Parts
    actor: Actor | None
    request_id: str
    time_limit: asyncio.Timeout | None = None
    """When the operation is ended."""
    mutations: list[dict[str, Any]] = field(init=False, default_factory=list)
    """What the log is to say of each mutation."""
    _load: Loaders | None = field(init=False, default=None)

    @property
    def load(self) -> Loaders:
        """The loaders, made when the first is needed."""
        if self._load is None:
            self._load = Loaders(
                self.parts.db, self.parts.upstream, self.parts.upstream_keys, self.parts.now, self.actor
            )
        return self._load

    def for_operation(self) -> "Context":
        """The same caller with fresh loaders: a WebSocket shares one context among its operations."""
        return Context(self.parts, self.actor, self.request_id)

    def look_anew(self) -> None:
        """Forget what was loaded: what one event of a stream shows is as it is then, not as at the first."""
        self._load = None

    def take_longer(self, seconds: float) -> None:
        """Let the operation last so long from now: reading a long list is not done in what others have."""
        if self.time_limit is not None:
            self.time_limit.reschedule(asyncio.get_running_loop().time() + seconds)

    def count_request(self) -> None:
        """Count an operation as use of who is signed in."""
        if self.actor is not None:
            self.parts.usage.count(self.actor.account_id, self.actor.api_key_id, requests=1)

    def require(self, scope: ApiKeyScope | None) -> Actor:
        """The caller, who may do what `scope` names (None: needs a session).

        Raises:
            Unauthenticated, Forbidden: nobody is signed in, or a key lacks the scope.

        """
        if self.actor is None:
            raise Unauthenticated
        self.actor.require(scope)
        return self.actor

    async def reached(
        self, rows: DataLoader[UUID, OwnedT | None], row_id: UUID | None, scope: ApiKeyScope | None
    ) -> OwnedT | None:
        """The row with this id, if the caller may see what its account owns. Raises as `require` does."""
        actor = self.require(scope)
        row = await rows.load(row_id) if row_id is not None else None
        return row if row is not None and actor.reaches(row.account_id) else None


Info: TypeAlias = strawberry.Info[Context, None]
