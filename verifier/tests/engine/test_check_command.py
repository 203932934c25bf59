"""`verifier check`: a result a line, as JSON or for a reader."""

import asyncio
import io
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from verifier import check_command, check_text
from verifier.engine.config import EngineConfig
from verifier.engine.evidence import Reason, Result, Status
from verifier.tests.engine import servers
from verifier.tests.engine.servers import MailHost, Names


@pytest.fixture
async def config() -> AsyncIterator[EngineConfig]:
    names, host = Names(), MailHost({"alice"}, unknown="550 5.1.1 \x1b[2Jno such user")
    names.mail("a.test", (10, "mx.test", "127.0.0.1"))
    async with servers.serving_names(names), servers.serving_mail(host) as port:
        yield servers.config(names, port)


async def printed(config: EngineConfig, *texts: str, as_json: bool) -> str:
    out = io.StringIO()
    await check_command.print_results(config, iter(texts), as_json=as_json, out=out)
    return out.getvalue()


async def test_each_address_is_one_line_of_json_in_the_contracts_fields(config: EngineConfig) -> None:
    texts = [" alice@A.test", "bob@a.test", "nonsense"]
    lines = [json.loads(line) for line in (await printed(config, *texts, as_json=True)).splitlines()]
    assert sorted(line["input"] for line in lines) == sorted(texts)
    found = {line["email"]: line for line in lines}
    assert {email: line["status"] for email, line in found.items()} == {
        "alice@a.test": "exists",
        "bob@a.test": "not_exists",
        "nonsense": "invalid_syntax",
    }
    alice = found["alice@a.test"]
    assert set(alice) == {
        "input",
        "email",
        "status",
        "reason",
        "role_based",
        "disposable",
        "free_provider",
        "suggestion",
        "checked_at",
        "score",
        "score_reasons",
        "mail_host",
        "evidence",
    }
    assert alice["reason"] == "accepted"
    assert alice["mail_host"] == "mx.test"
    assert alice["checked_at"].endswith("+00:00")
    stages = [seen["stage"] for seen in alice["evidence"]]
    assert stages == ["dns", "connect", "banner", "ehlo", "mail", "rcpt", "catchall_probe"]
    assert set(alice["evidence"][0]) == {"stage", "host", "code", "enhanced_code", "text", "occurred_at"}


async def test_a_reader_sees_verdict_reason_and_evidence_and_no_control_characters(config: EngineConfig) -> None:
    text = await printed(config, "bob@a.test", as_json=False)
    first, sentence, *seen = text.splitlines()
    assert first == "bob@a.test  NOT_EXISTS  no_such_user  score 0"
    assert sentence == "    The mail host says that there is no such mailbox."
    assert [line.split()[0] for line in seen] == ["dns", "connect", "banner", "ehlo", "mail", "rcpt", "catchall_probe"]
    assert "mx.test 550 5.1.1 \N{REPLACEMENT CHARACTER}[2Jno such user" in text
    assert "\x1b" not in text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def test_a_terminal_gets_colours_lines_that_fit_and_the_numbers(
    config: EngineConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    out = Terminal()
    await check_command.print_results(config, iter(["alice@a.test", "bob@a.test"]), as_json=False, out=out)
    lines = out.getvalue().splitlines()
    assert any(line.startswith("alice@a.test  \x1b[1;32mEXISTS  accepted\x1b[0m") for line in lines)
    assert lines[-1] == "2 addresses: 1 exists, 1 not_exists"
    seen = [line for line in lines if line.startswith("    ") and " s " in line]
    assert max(map(len, seen)) == 60
    assert not [line for line in lines if "\x1b[2J" in line]


def test_flags_and_the_score_are_told_in_words() -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    result = Result(
        *("info@gmial.com", "info@gmial.com", Status.UNKNOWN, Reason.GREYLISTED, now),
        role_based=True,
        free_provider=True,
        suggestion="info@gmail.com",
        score=8,
        score_reasons=("unknown:+40", "role_based:-10"),
        is_transient=True,
    )
    text = check_text.of(result)
    assert "A role account, not a person. A free provider. Did you mean info@gmail.com? Asking again" in text
    assert "score          unknown:+40, role_based:-10" in text


def test_every_reason_has_a_sentence_and_a_row_in_the_paper() -> None:
    assert set(check_text.SENTENCES) == set(Reason)
    paper = (Path(__file__).parents[3] / "docs" / "verdicts.md").read_text(encoding="utf-8")
    assert [reason for reason in Reason if f"`{reason.name}`" not in paper] == []
    assert [status for status in Status if f"`{status.name}`" not in paper] == []


async def command(given: bytes, *arguments: str, lines: int | None = None) -> tuple[list[bytes], bytes, int | None]:
    """Run the command as a program; read so many lines and hang up, or all. None of the addresses needs a network."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "verifier", "check", *arguments), stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    process.stdin.write(given)
    process.stdin.close()
    if lines is None:
        printed = (await process.stdout.read()).splitlines()
    else:
        printed = [await process.stdout.readline() for _ in range(lines)]
        process.stdout._transport.close()  # type: ignore[attr-defined]  # a reader that hangs up
    told = await process.stderr.read()
    return printed, told, await process.wait()


async def test_lists_may_be_written_by_all_sorts_of_programs() -> None:
    given = "\ufeffone\r\n\n  \njürgen\n".encode() + "grün\nlast".encode("latin-1")
    printed, told, status = await command(given, "--json")
    assert [json.loads(line)["input"] for line in printed] == ["one", "jürgen", "grün", "last"]
    assert (told, status) == (b"", 0)
    printed, told, status = await command(b"", "--json", os.fsdecode("grün".encode("latin-1")))
    assert [json.loads(line)["input"] for line in printed] == ["grün"]


async def test_a_reader_that_has_seen_enough_ends_it_in_peace() -> None:
    given = b"".join(b"nonsense%d\n" % number for number in range(20_000))
    printed, told, status = await command(given, lines=1)
    assert printed[0].startswith(b"nonsense")
    assert (told, status) == (b"", 0)
