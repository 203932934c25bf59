"""`verifier check`: a result a line, as JSON or for a reader."""

import io
import json
from collections.abc import AsyncIterator

import pytest

from verifier import check_command
from verifier.engine.config import EngineConfig
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
    assert text.startswith("bob@a.test  NOT_EXISTS  no_such_user  score 0\n")
    assert "550 5.1.1" in text
    assert "\x1b" not in text
