"""Chooses the classes and joins them: the one place that knows which implementation stands behind a name."""

import asyncio
import contextlib
import urllib.parse
from collections.abc import AsyncIterator

from app import callbacks, payment_routes
from app.settings import Settings
from db import listen
from db.session import Database
from resolvers.context import Parts
from services import progress, pubsub
from services.authentication import Credentials
from services.identity.gotrue import GoTrue
from services.identity.local import LocalIdentity
from services.identity.port import Identity
from services.identity.supabase import SupabaseIdentity
from services.jwks import KeySet
from services.links import Links
from services.mail import LogMailer, Mailer, SmtpMailer
from services.outgoing import Outgoing
from services.payments.mock import MockPayments
from services.payments.port import Payments
from services.payments.stripe import StripePayments
from services.rates import Meter, Rates
from services.sealing import Box
from services.signing import SigningKeys
from services.throttle import Throttle
from services.till import Till
from services.tokens import Tokens
from services.upstream.hosted import HostedUpstream
from services.upstream.http import HttpUpstream
from services.upstream_keys import UpstreamKeys
from services.usage import Usage
from services.webhook_delivery import Deliveries
from services.webhooks import Secrets


@contextlib.asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """Open what a process shares, and close it at the end. Connections are made when they are first needed."""
    async with contextlib.AsyncExitStack() as opened:
        db = await Database.open(settings.database_url, pool_size=settings.database_pool_size)
        opened.push_async_callback(db.close)
        upstream = _upstream(settings)
        opened.push_async_callback(upstream.close)
        hub = progress.Hub()
        listener, notifier = _messages(settings, hub)
        opened.push_async_callback(notifier.close)
        announcer = progress.Announcer(notifier)
        opened.push_async_callback(_cancel, asyncio.create_task(listener.run(), name="listen for changes"))
        announcing = asyncio.create_task(announcer.run(), name="announce changes")
        opened.push_async_callback(asyncio.wait, (announcing,))
        opened.callback(announcer.close)
        rates = Rates(settings.redis_url)
        opened.push_async_callback(rates.aclose)
        box = Box(settings.secret_key)
        identity, credentials = _identity(settings, db, box, rates, opened)
        payments = open_payments(settings)
        if payments is not None:
            opened.push_async_callback(payments.aclose)
        usage = Usage(db)
        counting = asyncio.create_task(usage.run(), name="write usage")
        opened.push_async_callback(asyncio.wait, (counting,))
        opened.callback(usage.close)
        outgoing = Outgoing(settings.allowed_private_networks, is_http_allowed=not settings.is_production)
        opened.push_async_callback(outgoing.aclose)
        webhook_secrets = Secrets(box)
        yield Parts(
            db=db,
            till=Till(db),
            upstream=upstream,
            upstream_keys=UpstreamKeys(db, box, upstream, settings.upstream_key),
            credentials=credentials,
            links=Links(settings.secret_key, settings.public_url),
            hub=hub,
            announcer=announcer,
            upload_bytes_max=settings.upload_bytes_max,
            is_billing_mock=settings.payments == "mock",
            payments=payments,
            on_sale=settings.credit_packages if payments is not None else (),
            identity=identity,
            meter=Meter(rates, points=settings.rate_limit, points_signed_out=settings.rate_limit_signed_out),
            usage=usage,
            outgoing=outgoing,
            webhook_secrets=webhook_secrets,
            deliveries=Deliveries(db, webhook_secrets, outgoing),
        )


def _messages(settings: Settings, hub: progress.Hub) -> tuple[progress.Listener, progress.Notifier]:
    """What tells the processes of each other's changes."""
    if settings.redis_url:
        return pubsub.Listener(settings.redis_url, progress.CHANNEL, hub.hear), pubsub.Notifier(settings.redis_url)
    url = settings.database_url
    return listen.Listener(url, progress.CHANNEL, hub.hear), listen.Notifier(url)


def _upstream(settings: Settings) -> HttpUpstream:
    if settings.upstream_takes == "files":
        return HostedUpstream(settings.upstream_url, callback_base=settings.public_url + callbacks.PATH)
    return HttpUpstream(settings.upstream_url)


def open_payments(settings: Settings) -> Payments | None:
    """Give who takes payments; None for nobody."""
    match settings.payments:
        case "none":
            return None
        case "mock":
            return MockPayments(
                settings.secret_key, settings.public_url, f"{settings.public_url}{payment_routes.WEBHOOK_PATH}"
            )
        case "stripe":
            return StripePayments(
                settings.stripe_url,
                settings.stripe_secret_key,
                settings.stripe_webhook_secret,
                return_url=f"{settings.public_url}/credits",
            )


def _identity(
    settings: Settings, db: Database, box: Box, rates: Rates, opened: contextlib.AsyncExitStack
) -> tuple[Identity, Credentials]:
    """Who keeps passwords and sessions, and what reads the tokens of it."""
    throttle = Throttle(rates, settings.secret_key, sign_ups_per_hour=settings.sign_ups_per_hour)
    if settings.supabase_url:
        issuer = f"{settings.supabase_url}/auth/v1"
        published = KeySet(f"{issuer}/.well-known/jwks.json")
        opened.push_async_callback(published.aclose)
        tokens = Tokens(settings.supabase_jwt_secret or None, issuer, published, is_own=False)
        gotrue = GoTrue(settings.supabase_url, settings.supabase_key)
        supabase = SupabaseIdentity(db, tokens, gotrue, throttle, welcome_credits=settings.welcome_credits)
        opened.push_async_callback(supabase.aclose)
        return supabase, Credentials(tokens, settings.secret_key, supabase)
    keys = SigningKeys(db, box)
    # In development alone a token of the shared secret is read: the one that the banner shows.
    shared = None if settings.is_production else settings.secret_key
    tokens = Tokens(shared, f"{settings.public_url}/auth/v1", keys)
    local = LocalIdentity(
        db,
        tokens,
        keys,
        _mailer(settings),
        secret=settings.secret_key,
        public_url=settings.public_url,
        welcome_credits=settings.welcome_credits,
        throttle=throttle,
    )
    opened.push_async_callback(local.aclose)
    return local, Credentials(tokens, settings.secret_key)


def _mailer(settings: Settings) -> Mailer:
    if settings.mail_url:
        return SmtpMailer(settings.mail_url, settings.mail_from or f"no-reply@{_host(settings.public_url)}")
    return LogMailer(is_link_shown=not settings.is_production)


def _host(url: str) -> str:
    return urllib.parse.urlsplit(url).hostname or "localhost"


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait((task,))
