"""The parts of the service as programs of their own: the API, and the worker."""

import contextlib
import datetime as dt
import gc

import structlog

from app import database, logs, service, serving, signals, wiring
from app.settings import Settings
from db.session import Database
from services.errors import PaymentsDown, PaymentsRefused
from services.payments import settlement

log = structlog.get_logger(__name__)


async def serve(settings: Settings) -> int:
    """Run the API until SIGINT or SIGTERM; returns the exit code."""
    logs.configure(settings.log_format, settings.log_level)
    async with signals.stop_event() as stop, contextlib.AsyncExitStack() as opened:
        listener = serving.bind(settings.host, settings.port)
        opened.callback(listener.close)
        await database.look(settings.database_url)
        parts = await opened.enter_async_context(wiring.open_parts(settings))
        api = await opened.enter_async_context(service.api(parts, settings, listener))
        gc.collect()
        gc.freeze()  # what is alive now stays alive: the collector need not look at it again
        log.info("the API answers", host=settings.host, port=int(listener.getsockname()[1]))
        await signals.first_of(stop, api.wait_ended())
    return 0


class NotReconciled(Exception):
    """The payment provider did not tell what there is; the sentence says what to do."""


async def reconcile_payments(settings: Settings, hours: int) -> int:
    """Book what the payment provider told in the last hours; returns the exit code. Raises NotReconciled."""
    logs.configure(settings.log_format, settings.log_level)
    async with contextlib.AsyncExitStack() as opened:
        payments = wiring.open_payments(settings)
        if payments is None:
            return 0
        opened.push_async_callback(payments.aclose)
        db = await Database.open(settings.database_url, pool_size=2)
        opened.push_async_callback(db.close)
        try:
            await settlement.reconcile(db, payments, dt.datetime.now(dt.UTC), dt.timedelta(hours=hours))
        except PaymentsDown as error:
            raise NotReconciled("the payment provider is away: run this again once it is back") from error
        except PaymentsRefused as error:
            message = "the payment provider refuses to tell, as said above: look at STRIPE_SECRET_KEY and STRIPE_URL"
            raise NotReconciled(message) from error
    return 0


async def work(settings: Settings) -> int:
    """Run the worker until SIGINT or SIGTERM; returns the exit code."""
    logs.configure(settings.log_format, settings.log_level)
    await database.look(settings.database_url)
    async with (
        signals.stop_event() as stop,
        wiring.open_parts(settings) as parts,
        service.worker(parts, settings),
    ):
        await stop.wait()
    return 0
