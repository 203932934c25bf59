"""Log lines: one shape for all, with the request's id, and nothing in them that a reader of logs must not see."""

import json
import logging
from typing import Any

import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import logs
from app.settings import LogFormat
from db.session import Database


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_our_lines_and_the_libraries_have_one_shape_and_the_requests_id(
    plain_logging: None, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("json", "info")
    with structlog.contextvars.bound_contextvars(request_id="abc", operation_name="Tasks"):
        structlog.get_logger("ours").info("a word", count=3)
        logging.getLogger("library").warning("count %d", 4, extra={"size": 5})
    ours, theirs = lines(capsys.readouterr().err)
    for line in (ours, theirs):
        assert line["request_id"] == "abc"
        assert line["operation_name"] == "Tasks"
        assert line["timestamp"].endswith("Z")
    assert (ours["event"], ours["level"], ours["count"], ours["logger"]) == ("a word", "info", 3, "ours")
    assert (theirs["event"], theirs["level"], theirs["size"], theirs["logger"]) == ("count 4", "warning", 5, "library")


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_no_address_token_key_or_password_is_written(
    log_format: LogFormat, plain_logging: None, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(log_format, "info")
    log = structlog.get_logger("ours")
    log.info("for ann@example.test", recipients=["bob+tag@example.test"], nested={"to": "carl@xn--bcher-kva.test"})
    log.info("header", authorization="Bearer abcdefghijklm", api_key="abcdef", text="Bearer abcdefghijklm")
    log.info("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", key="mv_live_0123456789abcdef")
    log.info(
        "the verifier refused mvk_0123456789abcdef", headers={"Authorization": "fghijk"}, sent=[{"password": "p4ss"}]
    )
    log.info("GET http://127.0.0.1:8000/downloads/c2lnbmVk-link", url="postgresql://user:hidden@127.0.0.1:5432/db")
    logging.getLogger("library").warning("sent to %s", "dora@example.test")
    try:
        raise ValueError("refused: emil@example.test")
    except ValueError:
        log.exception("a fault")
    text = capsys.readouterr().err
    secret = (
        "ann@",
        "bob",
        "carl@",
        "dora",
        "emil@",
        "abcdefghijklm",
        "eyJ",
        "mv_live_0",
        "mvk_0",
        "fghijk",
        "p4ss",
        "c2lnbmVk",
        "hidden",
    )
    assert [word for word in secret if word in text] == []
    assert "127.0.0.1:5432/db" in text
    assert "ValueError" in text


def test_lines_below_the_level_are_not_written(plain_logging: None, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "warning")
    structlog.get_logger("ours").info("quiet")
    logging.getLogger("library").info("quiet")
    structlog.get_logger("ours").warning("loud")
    assert [line["event"] for line in lines(capsys.readouterr().err)] == ["loud"]


async def test_an_error_of_the_database_names_no_value(db: Database) -> None:
    with pytest.raises(DBAPIError) as refused:
        async with db.read() as session:
            await session.execute(text("SELECT CAST(:value AS text)"), {"value": "what nobody may read\0"})
    assert "nobody" not in str(refused.value)


async def test_that_the_database_is_away_is_told_in_one_line(
    plain_logging: None, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("json", "info")
    log, away = structlog.get_logger("ours"), await Database.open("postgresql://x:hidden@127.0.0.1:1/x", pool_size=1)
    try:
        async with away.read() as session:
            await session.execute(text("SELECT 1"))
    except OSError as error:
        log.exception("chore_failed", chore="a chore")
        logging.getLogger("library").warning("it failed", exc_info=error)
    await away.close()
    try:
        raise ValueError
    except ValueError:
        log.exception("a fault of ours")
    *told, fault = lines(capsys.readouterr().err)
    assert [line["event"] for line in told] == ["chore_failed", "it failed"]
    for line in told:
        assert "Connect" in line["problem"]
        assert {"exception", "exc_info"}.isdisjoint(line)
    assert "Traceback" in fault["exception"]
