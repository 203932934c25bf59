"""Commands that need the database, while it is away or does not take the login: one line, and exit code 2."""

import asyncio
import io
import sys

import pytest

from app import cli
from conftest import NewDatabase

COMMANDS = (["migrate"], ["check-credits"], ["upstream-key", "set", "ann@example.com"], ["admin", "list"])


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "the-secret-of-the-tests-0123456789abcdef")
    monkeypatch.setattr(sys, "stdin", io.StringIO("key\n"))


async def problem(command: list[str]) -> str:
    """What a command complains of. In a thread: it brings its own loop."""
    options = cli.parser().parse_args(command)
    with pytest.raises(cli.Refused) as refused:
        await asyncio.to_thread(options.command, options)
    assert cli.exit_code(refused.value) == 2
    return str(refused.value)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost:1", "there-is-none.invalid"])
async def test_a_database_that_is_away_is_told_in_one_line(
    command: list[str], host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://nobody:hidden@{host}/nothing")
    said = await problem(command)
    assert said.startswith("the database cannot be reached: ")
    assert "\n" not in said
    assert "hidden" not in said


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_a_database_that_is_not_there_is_told_by_its_name(
    command: list[str], new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = (await new_database()).rpartition("/")[0]
    monkeypatch.setenv("DATABASE_URL", f"{server}/no_such_database")
    assert await problem(command) == 'the database cannot be reached: database "no_such_database" does not exist'
