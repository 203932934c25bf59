"""Asks an engine about addresses of servers that a test has made, and reads the verdicts."""

from verifier.engine.check import Engine
from verifier.engine.config import EngineConfig
from verifier.engine.evidence import Reason, Result, Status
from verifier.tests.engine import servers
from verifier.tests.engine.servers import MailHost, Names

ALICE = {"alice"}
EXISTS = (Status.EXISTS, Reason.ACCEPTED)
GONE = (Status.NOT_EXISTS, Reason.NO_SUCH_USER)
NO_PIPELINING = "250 mx.example"


async def check(
    names: Names, hosts: list[MailHost], *emails: str, budget_seconds: float = 10, **changes: object
) -> dict[str, Result]:
    """Serve a.test by hosts, best first, and check addresses of it."""
    for number, host in enumerate(hosts, 1):
        host.address = f"127.0.0.{number}"
    async with servers.serving_mail(*hosts) as port:
        if ("a.test", "MX") not in names.records:
            names.mail("a.test", *((i * 10, f"mx{i}.test", host.address) for i, host in enumerate(hosts, 1)))
        return await collect(servers.config(names, port, **changes), emails, budget_seconds)


async def collect(config: EngineConfig, emails: tuple[str, ...], budget_seconds: float = 10) -> dict[str, Result]:
    engine = Engine(config)
    found = [result async for result in engine.check_many(emails, budget_seconds=budget_seconds)]
    await engine.aclose()
    assert sorted(result.input for result in found) == sorted(emails)
    assert [result for result in found if not result.evidence] == []
    return {result.input: result for result in found}


def verdicts(found: dict[str, Result]) -> dict[str, tuple[Status, Reason]]:
    return {text: (result.status, result.reason) for text, result in found.items()}


def only(found: dict[str, Result]) -> tuple[Status, Reason]:
    (verdict,) = verdicts(found).values()
    return verdict
