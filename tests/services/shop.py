"""The service with a payment provider, mock or Stripe's stand-in, whose payers do as they are told."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from app import payment_routes, server
from app.settings import Settings
from db.models import Account, PaymentFact, Purchase
from db.queries import payments as queries
from resolvers.context import Parts
from services import purchases
from services.actor import Actor
from services.payments import packages, settlement
from services.payments.mock import MockPayments
from services.payments.port import Payments
from services.payments.stripe import StripePayments
from tests.conftest import Raw
from tests.services.stripe_stand_in import SECRET_KEY, WEBHOOK_SECRET, StripeStandIn

WEB = "http://service.test"
PACKAGE = packages.IN_DEVELOPMENT[0]


@dataclasses.dataclass
class Shop:
    """Where credits are sold."""

    parts: Parts
    http: httpx.AsyncClient
    """What reaches the application."""
    provider: Payments | None
    stripe: StripeStandIn | None

    @property
    def payments(self) -> Payments:
        """The provider of a shop that has one."""
        assert self.provider is not None
        return self.provider

    async def buy(self, account: Account, key: str = "k", package: str = PACKAGE.slug) -> Purchase:
        """Begin a purchase."""
        return await purchases.create(
            self.parts.db,
            self.payments,
            self.parts.on_sale,
            Actor(account.id, account.role),
            package=package,
            idempotency_key=key,
            now=datetime.now(UTC),
        )

    async def happens(self, purchase: Purchase, *facts: PaymentFact, is_sent: bool = True, times: int = 1) -> None:
        """Let things happen at the provider, which tells of each so many times, or loses its webhooks."""
        assert purchase.checkout_page is not None
        for fact in facts:
            if isinstance(self.payments, MockPayments):
                order = self.payments.order(purchase.checkout_page.rpartition("/")[2])
                for _ in range(times):
                    assert await self.payments.tell(order, fact, is_sent=is_sent) is is_sent
                continue
            assert self.stripe is not None
            event = self._event(self.stripe, purchase, fact)
            for _ in range(times if is_sent else 0):
                assert (await self.stripe.send(event)).json() == {"received": True}

    def _event(self, stripe: StripeStandIn, purchase: Purchase, fact: PaymentFact) -> dict[str, Any]:
        session = stripe.sessions[str(purchase.checkout_page).rpartition("/")[2]]
        match fact:
            case PaymentFact.PAID:
                return stripe.paid(session)
            case PaymentFact.CANCELED:
                return stripe.expired(session)
            case PaymentFact.REFUNDED:
                return stripe.refunded(session)
            case _:
                return stripe.disputed(session, is_won=fact is PaymentFact.REINSTATED)

    async def settle(self, now: datetime | None = None) -> None:
        """What the worker does every second."""
        await settlement.apply_due(self.parts.db, now or datetime.now(UTC))

    async def now(self, purchase: Purchase) -> Purchase:
        """The purchase as it is now."""
        async with self.parts.db.read() as session:
            return (await queries.by_ids(session, [purchase.id]))[purchase.id]

    async def post(self, body: bytes, **headers: str) -> httpx.Response:
        """Something comes to the endpoint of webhooks."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post(payment_routes.WEBHOOK_PATH, content=body, headers=named)


async def event_count(raw: Raw) -> int:
    """How much was told by a provider, and kept."""
    ((count,),) = await raw("SELECT count(*) FROM payment_event")
    return int(count)


@contextlib.asynccontextmanager
async def open_shop(parts: Parts, provider: str, *, webhook_secret: str = WEBHOOK_SECRET) -> AsyncIterator[Shop]:
    """The application with a provider. Stripe's stand-in is a server; its webhooks come without a socket."""
    async with contextlib.AsyncExitStack() as opened:
        payments: Payments | None = None
        stripe = None
        late = _Late()
        http = await opened.enter_async_context(httpx.AsyncClient(transport=httpx.ASGITransport(late), base_url=WEB))
        webhook_url = f"{WEB}{payment_routes.WEBHOOK_PATH}"
        if provider == "mock":
            payments = MockPayments("secret", WEB, webhook_url, client=http)
        elif provider == "stripe":
            stripe = StripeStandIn(http, webhook_url)
            await stripe.start()
            opened.push_async_callback(stripe.stop)
            payments = StripePayments(stripe.url, SECRET_KEY, webhook_secret, return_url=f"{WEB}/credits")
            opened.push_async_callback(payments.aclose)
        selling = dataclasses.replace(parts, payments=payments, on_sale=packages.IN_DEVELOPMENT if payments else ())
        late.app = server.create_app(selling, Settings.from_env({"PUBLIC_URL": WEB, "SECRET_KEY": "s" * 32}))
        yield Shop(selling, http, payments, stripe)


class _Late:
    """An application that is given after its client: the provider has to know where its webhooks go."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)
