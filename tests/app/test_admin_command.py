"""`python -m app admin`: the first administrator, on a running service and on a database by its URL."""

import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app import cli, cli_admin, settings
from conftest import ROOT, RunningApp
from db.models import Account
from db.session import Database
from tests import factories
from tests.conftest import Raw

Admin = Callable[..., Awaitable[str]]


@pytest.fixture
def admin(service_database_url: str) -> Admin:
    """Give what the command complains of on the tests' database; empty when it does what it is asked."""

    async def told(*arguments: str) -> str:
        options = cli.parser().parse_args(["admin", *arguments])
        try:
            assert await cli_admin.run(service_database_url, options.act, options.email) == 0
        except cli_admin.CannotAdministrate as problem:
            return str(problem)
        return ""

    return told


async def test_a_role_is_granted_listed_and_revoked(
    admin: Admin, account: Account, raw: Raw, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await admin("list") == ""
    assert "nobody is an administrator" in capsys.readouterr().err
    for _ in range(2):
        assert await admin("grant", "OWNER@example.com") == ""
        assert capsys.readouterr().out == "owner@example.com is an administrator\n"
    assert await admin("list") == ""
    assert capsys.readouterr().out == "owner@example.com\n"
    (event,) = await raw("SELECT action, actor_id, subject_id, details FROM audit_event")
    assert (event.action, event.actor_id, event.subject_id) == ("user.role", None, account.global_id)
    assert event.details == {"before": "MEMBER", "after": "ADMIN"}


async def test_the_last_administrator_is_kept(
    admin: Admin, db: Database, account: Account, raw: Raw, capsys: pytest.CaptureFixture[str]
) -> None:
    await factories.account(db, email="second@example.com", balance=0)
    assert await admin("grant", "owner@example.com") == ""
    assert "last administrator" in await admin("revoke", "owner@example.com")
    assert await admin("grant", "second@example.com") == ""
    assert await admin("revoke", "owner@example.com") == ""
    await raw("UPDATE account SET suspended_at = :now WHERE role = 'ADMIN' RETURNING id", now=datetime.now(UTC))
    capsys.readouterr()
    assert await admin("list") == ""
    assert capsys.readouterr().out == "second@example.com (suspended)\n"


async def test_what_cannot_be_done_is_told(admin: Admin, db: Database) -> None:
    assert "sign up first" in await admin("grant", "nobody@example.com")


def test_without_a_database_there_has_to_be_a_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    assert cli.main(["admin", "--data-dir", str(tmp_path), "list"]) == 2
    assert capsys.readouterr().err.startswith(f"error: no service runs in {tmp_path}: ")


def test_it_finds_the_service_that_runs_in_a_data_directory(running_app: RunningApp) -> None:
    command = [sys.executable, "-m", "app", "admin", "--data-dir", str(running_app.data_dir), "grant", "no@example.com"]
    environment = settings.child_environment(settings.process_environment())
    found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == "error: The address no@example.com has no account: sign up first.\n"
