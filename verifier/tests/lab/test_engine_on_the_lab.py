"""The engine against every behaviour of the catalogue: the verdicts are those of the oracle, the manners good."""

import asyncio
from dataclasses import replace
from pathlib import Path

from verifier.engine import syntax
from verifier.engine.check import Engine
from verifier.engine.evidence import Result, Status
from verifier.lab.catalogue import CATALOGUE
from verifier.tests.lab import log_of_commands
from verifier.tests.lab.engines import complaints, config_for, engine_for, hasty_lab, living_told_as_gone, settled

LOCALS = (
    "alice",
    "nobody",
    "bob",
    "no-such-user",
    "postmaster",
    "info",
    "maria.schmidt",
    "jan.novak",
    "qzx81",
    "maximilianus",
    "tom",
    "Alice",
    "alice+news",
    "jürgen",
)
"""Enough for several transactions, with more unknown users than a patient host forgives."""

IN_BULK = [
    f"{local}@{domain.full_name}"
    for domain in CATALOGUE
    for local in (LOCALS[:2] if domain.is_slow and domain.name not in {"tenawhile", "blockslater"} else LOCALS)
    # Whether a block or the lack of SMTPUTF8 is met first depends on who else is asked about.
    if local.isascii() or (domain.known.status is not Status.UNKNOWN and domain.or_else is None)
]

ENGINES_AT_A_TIME = 60

CONTROL = "".join(map(chr, (*range(32), 127)))
HOSTILE = [
    "alice>\r\nRCPT TO:<bob@ok.mailverdict.test",
    "alice\r\nDATA\r\n@ok.mailverdict.test",
    "alice\nQUIT@ok.mailverdict.test",
    "alice@ok.mailverdict.test\r\nDATA",
    "alice@ok.mailverdict.test>\r\nDATA\r\n",
    "alice@ok.mailverdict.test\x00",
    "alice\x00@ok.mailverdict.test",
    "alice @ok.mailverdict.test",
    "al ice@ok.mailverdict.test",
    "alice>@ok.mailverdict.test",
    "<alice@ok.mailverdict.test>",
    "alice@ok.mailverdict.test> SIZE=1",
    "alice@ok.mailverdict.test>,<bob@ok.mailverdict.test",
    "alice@ok.mailverdict\r\n.test",
    "alice@ok>.mailverdict.test",
    "alice@ok .mailverdict.test",
    "alice@ok\x00.mailverdict.test",
    "alice@[127.0.0.1]",
    '"alice\r\nDATA"@ok.mailverdict.test',
    '"alice\\\r\nDATA"@ok.mailverdict.test',
    '"al>ice"@ok.mailverdict.test',
    '"al ice"@ok.mailverdict.test',
    '"al\\"ice"@ok.mailverdict.test',
    '"alice"@ok.mailverdict.test',
    '"unfinished@ok.mailverdict.test',
    "alice@ok.mailverdict.test\u2028DATA",
    "alice\u0085DATA@ok.mailverdict.test",
    "ali\u202ece@ok.mailverdict.test",
    "alice@ok.mailverdict.test\uff1e",
    "alice@ok\uff0emailverdict\uff0etest",
    "{}@ok.mailverdict.test",
    "{host}%s@ok.mailverdict.test",
    "alice;DATA@ok.mailverdict.test",
    "a" * 64 + "@ok.mailverdict.test",
    "a" * 5000 + "@ok.mailverdict.test",
    *(f"al{char}ice@ok.mailverdict.test" for char in CONTROL),
    *(f"alice@o{char}k.mailverdict.test" for char in CONTROL),
    *(f'"al{char}ice"@ok.mailverdict.test' for char in CONTROL),
]


async def test_every_behaviour_in_bulk_is_judged_as_the_oracle_says_and_asked_politely(tmp_path: Path) -> None:
    path = tmp_path / "lab.log"
    async with hasty_lab(path) as lab, engine_for(lab) as engine:
        results = await settled(engine, IN_BULK)

    assert len(results) == len(IN_BULK)
    assert not (wrong := complaints(results)), "\n".join(wrong)
    assert not living_told_as_gone(result for result in results if "@blockslater." not in result.input)
    log = log_of_commands.read(path)
    assert not log_of_commands.malformed(log)
    assert not log_of_commands.strangers(log, [result.email for result in results])
    assert log_of_commands.refusals_max(log) <= 9
    assert max(log_of_commands.open_max(log).values()) <= 2
    assert len(log_of_commands.commands(log)) > 2 * len(IN_BULK) / 3
    # Who is cut off cannot say goodbye; nobody else is left without.
    assert log_of_commands.without_goodbye(log) <= {f"{name}.mx.mailverdict.test" for name in ("dropspipeliners",)}


async def test_every_behaviour_is_judged_for_a_lone_address_too(tmp_path: Path) -> None:
    path = tmp_path / "lab.log"
    gate = asyncio.Semaphore(ENGINES_AT_A_TIME)
    async with hasty_lab(path) as lab:

        async def alone(address: str) -> list[Result]:
            async with gate, engine_for(lab) as engine:
                return await settled(engine, [address])

        slow_first = sorted(CATALOGUE, key=lambda domain: not domain.is_slow)
        addresses = [f"{local}@{domain.full_name}" for domain in slow_first for local in ("alice", "nobody")]
        results = [result for found in await asyncio.gather(*map(alone, addresses)) for result in found]

    assert not (wrong := complaints(results)), "\n".join(wrong)
    assert not living_told_as_gone(results)
    log = log_of_commands.read(path)
    assert not log_of_commands.malformed(log)
    assert not log_of_commands.strangers(log, [result.email for result in results])
    assert log_of_commands.refusals_max(log) <= 9


async def test_no_text_can_smuggle_a_command_into_a_session(tmp_path: Path) -> None:
    path = tmp_path / "lab.log"
    # Every text alone in its engine and all of them together: neither order nor company may help it through.
    async with hasty_lab(path) as lab:
        async with engine_for(lab) as engine:
            results = [result async for result in engine.check_many(HOSTILE, budget_seconds=10.0)]

        async def alone(text: str) -> Result:
            async with engine_for(lab) as engine:
                return await engine.check(text, budget_seconds=10.0)

        results += await asyncio.gather(*map(alone, HOSTILE))

    assert sorted(result.input for result in results) == sorted(HOSTILE * 2)
    log = log_of_commands.read(path)
    well_formed = {parsed.email for text in HOSTILE if isinstance(parsed := syntax.parse(text), syntax.Address)}
    assert 0 < len(well_formed) < len(HOSTILE)
    assert not log_of_commands.malformed(log)
    assert not log_of_commands.strangers(log, well_formed)
    assert not [result for result in results if result.status is Status.EXISTS and not _says_alice(result.email)]


async def test_fewer_refusals_a_connection_are_kept_to_when_the_configuration_says_so(tmp_path: Path) -> None:
    path = tmp_path / "lab.log"
    addresses = [f"{local}@ok.mailverdict.test" for n in range(8) for local in (f"q{n}", f"alice+{n}")]
    async with hasty_lab(path) as lab:
        config = replace(config_for(lab), refusals_per_connection=3, connections_per_address=1)
        engine = Engine(config)
        results = [result async for result in engine.check_many(addresses, budget_seconds=10.0)]
        await engine.aclose()

    assert not (wrong := complaints(results)), "\n".join(wrong)
    log = log_of_commands.read(path)
    assert log_of_commands.refusals_max(log) <= 3
    assert max(log_of_commands.open_max(log).values()) == 1


def _says_alice(email: str) -> bool:
    return email.partition("@")[0].strip('"') == "alice"
