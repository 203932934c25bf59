"""Commands whose database is away, does not take the login, or is of another version: one line, and exit code 2."""

import asyncio
import io
import signal
import sys
from collections.abc import Callable, Iterator

import asyncpg
import pytest
from alembic import command as alembic

from app import cli
from conftest import NewDatabase
from db import migrations

COMMANDS = (
    ["check-credits"],
    ["upstream-key", "set", "ann@example.com"],
    ["admin", "list"],
    ["reconcile"],
)
PROGRAMS = (["serve", "--port", "0"], ["work"])
Problem = Callable[[list[str], str], str]


@pytest.fixture
def problem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], plain_logging: None
) -> Iterator[Problem]:
    """Give what a command complains of on a database. Its tests have no loop: it brings its own."""
    monkeypatch.setenv("SECRET_KEY", "the-secret-of-the-tests-0123456789abcdef")
    monkeypatch.setenv("UPSTREAM_URL", "http://127.0.0.1:1/api/v1")
    monkeypatch.setenv("PAYMENTS", "stripe")
    monkeypatch.setenv("STRIPE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_1")
    monkeypatch.setattr(sys, "stdin", io.StringIO("key\n"))

    def told(command: list[str], url: str) -> str:
        monkeypatch.setenv("DATABASE_URL", url)
        assert cli.main(command) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        line, _, rest = captured.err.partition("\n")
        assert rest == ""
        return line

    handler = signal.getsignal(signal.SIGTERM)
    yield told
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
async def empty(new_database: NewDatabase) -> str:
    """A database without tables."""
    return await new_database()


@pytest.fixture
async def older(new_database: NewDatabase) -> str:
    """A database that was migrated by an early version."""
    url = await new_database()
    await asyncio.to_thread(alembic.upgrade, migrations.config(url), "0001")
    return url


@pytest.fixture
async def newer(new_database: NewDatabase, migrated: str) -> str:
    """A database that was migrated by a version after this one."""
    url = await new_database(template=migrated)
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE alembic_version SET version_num = 'after'")
    await connection.close()
    return url


@pytest.mark.parametrize("command", [["migrate"], *COMMANDS], ids=" ".join)
@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost:1", "there-is-none.invalid"])
def test_a_database_that_is_away_is_told_in_one_line(command: list[str], host: str, problem: Problem) -> None:
    said = problem(command, f"postgresql://nobody:hidden@{host}/nothing")
    assert said.startswith("error: the database cannot be reached: ")
    assert "hidden" not in said


@pytest.mark.parametrize("command", [["migrate"], *COMMANDS], ids=" ".join)
def test_a_database_that_is_not_there_is_told_by_its_name(command: list[str], empty: str, problem: Problem) -> None:
    server = empty.rpartition("/")[0]
    said = problem(command, f"{server}/no_such_database")
    assert said == 'error: the database cannot be reached: database "no_such_database" does not exist'


@pytest.mark.parametrize("command", [*COMMANDS, *PROGRAMS], ids=" ".join)
def test_a_database_without_tables_is_to_be_migrated_first(command: list[str], empty: str, problem: Problem) -> None:
    assert problem(command, empty) == "error: the database lacks our tables: run `python -m app migrate` first"


@pytest.mark.parametrize("command", [*COMMANDS, *PROGRAMS], ids=" ".join)
def test_an_older_database_is_to_be_migrated_first(command: list[str], older: str, problem: Problem) -> None:
    said = f"the database is at revision 0001, this version needs {migrations.head()}: "
    assert problem(command, older) == f"error: {said}run `python -m app migrate` first"


def test_a_newer_database_is_not_migrated(newer: str, problem: Problem) -> None:
    said = problem(["migrate"], newer)
    assert said.startswith("error: the database is at revision after, which this version does not know: ")


def test_a_newer_database_is_worked_on_as_versions_run_side_by_side(
    newer: str, problem: Problem, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", newer)
    assert cli.main(["check-credits"]) == 0
    assert capsys.readouterr().out == "The ledger is sound.\n"
    assert "has no account" in problem(["admin", "grant", "nobody@example.com"], newer)
