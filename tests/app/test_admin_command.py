"""`python -m app admin`: the first administrator, on a running service and on a database by its URL."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app import cli, settings
from conftest import ROOT, NewDatabase, RunningApp
from db.models import Account
from tests import factories
from tests.conftest import Raw


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, service_database_url: str) -> None:
    """The command is told of the tests' database."""
    monkeypatch.setenv("DATABASE_URL", service_database_url)


async def admin(*arguments: str) -> str:
    """What the command complains of; empty when it does what it is asked. In a thread: it brings its own loop."""
    options = cli.parser().parse_args(["admin", *arguments])
    try:
        assert await asyncio.to_thread(options.command, options) == 0
    except cli.Refused as refused:
        return str(refused)
    return ""


async def test_a_role_is_granted_listed_and_revoked(
    here: None, account: Account, raw: Raw, capsys: pytest.CaptureFixture[str]
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
    here: None, db: Any, account: Account, raw: Raw, capsys: pytest.CaptureFixture[str]
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


async def test_what_cannot_be_done_is_told_in_one_line(
    here: None,
    db: Any,
    new_database: NewDatabase,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    assert "sign up first" in await admin("grant", "nobody@example.com")
    monkeypatch.setenv("DATABASE_URL", await new_database())
    assert "python -m app migrate" in await admin("list")
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    assert "cannot be reached" in await admin("list")
    monkeypatch.delenv("DATABASE_URL")
    assert "no service runs" in await admin("--data-dir", str(tmp_path), "list")


def test_it_finds_the_service_that_runs_in_a_data_directory(running_app: RunningApp) -> None:
    command = [sys.executable, "-m", "app", "admin", "--data-dir", str(running_app.data_dir), "grant", "no@example.com"]
    environment = settings.child_environment(settings.process_environment())
    found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == "error: The address no@example.com has no account: sign up first.\n"
