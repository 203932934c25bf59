"""`python -m app reconcile`: books what Stripe told and no webhook brought."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app import cli, settings
from conftest import ROOT
from db.models import Account
from db.session import Database
from services import purchases
from services.actor import Actor
from services.payments import packages
from services.payments.stripe import StripePayments
from tests import factories
from tests.services.stripe_stand_in import SECRET_KEY, StripeStandIn


async def paid_without_a_webhook(db: Database, stripe: StripeStandIn, buyer: Account) -> None:
    payments = StripePayments(stripe.url, SECRET_KEY, "", return_url="http://service.test/credits")
    await purchases.create(
        db,
        payments,
        packages.IN_DEVELOPMENT,
        Actor(buyer.id, buyer.role),
        package="starter",
        idempotency_key="k",
        now=datetime.now(UTC) - timedelta(hours=1),
    )
    await payments.aclose()
    (session,) = stripe.sessions.values()
    stripe.paid(session)


async def test_the_command_books_what_no_webhook_brought(db: Database, service_database_url: str, raw: Any) -> None:
    async with httpx.AsyncClient() as http:
        stripe = StripeStandIn(http, "")
        await stripe.start()
        await paid_without_a_webhook(db, stripe, await factories.account(db, balance=0))
        environment = settings.child_environment(settings.process_environment()) | {
            "DATABASE_URL": service_database_url,
            "PAYMENTS": "stripe",
            "STRIPE_URL": stripe.url,
            "STRIPE_SECRET_KEY": SECRET_KEY,
        }

        async def reconcile() -> tuple[int, str]:
            command = [sys.executable, "-m", "app", "reconcile", "--hours", "3"]
            done = await asyncio.to_thread(
                subprocess.run, command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
            )
            assert SECRET_KEY not in done.stdout + done.stderr
            assert "Traceback" not in done.stderr
            return done.returncode, done.stderr.splitlines()[-1]

        refused = "error: the payment provider refuses to tell, as said above: look at STRIPE_SECRET_KEY and STRIPE_URL"
        away = "error: the payment provider is away: run this again once it is back"
        stripe.failures = [403]
        assert await reconcile() == (1, refused)
        stripe.failures = [500, 502, 503]
        assert await reconcile() == (1, away)
        assert (await reconcile())[0] == 0
        assert await raw("SELECT kind, amount FROM credit_transaction") == [("PURCHASED", 1000)]
        await stripe.stop()
        assert await reconcile() == (1, away)


def test_with_no_provider_outside_there_is_nothing_to_ask(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1/none")
    monkeypatch.setenv("PAYMENTS", "mock")
    assert cli.main(["reconcile"]) == 2
    assert "PAYMENTS is mock: there is nothing outside to ask" in capsys.readouterr().err
