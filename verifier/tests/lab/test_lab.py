"""The lab as a program, and what it says about itself."""

import asyncio

import pytest

from verifier.lab import Lab, command, readme
from verifier.lab.host_memory import Greylist
from verifier.lab.log import OTHERS, Log


async def test_the_command_serves_until_it_is_stopped() -> None:
    async with Lab() as free:
        dns_port, smtp_port = free.dns_port, free.smtp_port
    is_ready, stop = asyncio.Event(), asyncio.Event()

    running = asyncio.create_task(
        command.run(dns_port=dns_port, smtp_port=smtp_port, delay_seconds=0.0, ready=is_ready.set, stop=stop)
    )
    await asyncio.wait_for(is_ready.wait(), 5.0)
    _, writer = await asyncio.open_connection("127.77.0.1", smtp_port)
    stop.set()
    await asyncio.wait_for(running, 5.0)
    writer.close()

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.77.0.1", smtp_port)


def test_the_readme_has_the_table_of_the_catalogue() -> None:
    text = readme.PATH.read_text(encoding="utf-8")

    assert text == readme.whole(text)


def test_counters_of_questions_do_not_grow_for_ever() -> None:
    log = Log()
    for number in range(10_500):
        log.question(f"name-{number}", "MX", "UDP")

    assert len(log.questions) == 10_001
    assert log.questions[OTHERS] == 500


def test_a_greylist_starts_the_wait_with_the_first_question() -> None:
    now = [0.0]
    greylist = Greylist(lambda: now[0])

    for at, is_open in ((0.0, False), (1.0, False), (1.5, True), (9.0, True)):
        now[0] = at
        assert greylist.is_open("client", "sender", "recipient", 1.5) is is_open
    assert not greylist.is_open("client", "another sender", "recipient", 1.5)
