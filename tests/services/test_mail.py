"""Letters: through a mail server over a real socket, and into the log without one."""

import asyncio
import contextlib
import email
import email.policy
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from services.mail import Letter, LogMailer, SmtpMailer

LETTER = Letter("ann@example.com", "Confirm your address", "Grüße, a text.", "http://service.test/x?token=secret")


@contextlib.asynccontextmanager
async def mail_server(answers: dict[str, str]) -> AsyncIterator[tuple[int, list[str]]]:
    """A server that takes what it is told, or answers a verb otherwise; gives its port and what it has heard."""
    heard: list[str] = []

    conversations: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversations.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            await converse(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        is_data = False
        while line := (await reader.readline()).decode():
            heard.append(line.rstrip("\r\n"))
            if is_data:
                is_data = line != ".\r\n"
                answer = "" if is_data else "250 taken"
            else:
                verb = line.split(maxsplit=1)[0].upper()
                is_data = verb == "DATA"
                answer = answers.get(verb, {"DATA": "354 go on", "QUIT": "221 bye"}.get(verb, "250 fine"))
            if answer:
                writer.write(f"{answer}\r\n".encode())
                await writer.drain()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        server.close()
        await asyncio.wait_for(asyncio.gather(*filter(None, conversations)), 5)


async def test_a_letter_reaches_the_mail_server() -> None:
    async with mail_server({}) as (port, heard):
        await SmtpMailer(f"smtp://127.0.0.1:{port}", "no-reply@service.test").send(LETTER)
    text = "\n".join(heard)
    assert "MAIL FROM:<no-reply@service.test>" in text
    assert "RCPT TO:<ann@example.com>" in text
    letter = email.message_from_string(text.partition("DATA\n")[2].rpartition("\n.\n")[0], policy=email.policy.default)
    assert (letter["To"], letter["Subject"]) == ("ann@example.com", "Confirm your address")
    assert letter.get_content() == "Grüße, a text.\n\nhttp://service.test/x?token=secret\n"


@pytest.mark.parametrize("answers", [{"RCPT": "550 5.1.1 no such user"}, {"EHLO": "554 no", "HELO": "554 no"}])
async def test_a_server_that_refuses_a_letter_is_logged_and_raises_nothing(answers: dict[str, str]) -> None:
    with capture_logs() as logged:
        async with mail_server(answers) as (port, _):
            await SmtpMailer(f"smtp://127.0.0.1:{port}", "no-reply@service.test").send(LETTER)
    assert [line["event"] for line in logged] == ["a letter could not be sent"]
    assert "ann@example.com" not in str(logged)


async def test_a_server_that_is_away_is_logged_and_raises_nothing() -> None:
    async with mail_server({}) as (port, _):
        pass
    with capture_logs() as logged:
        await SmtpMailer(f"smtp://127.0.0.1:{port}", "no-reply@service.test").send(LETTER)
    assert [line["event"] for line in logged] == ["a letter could not be sent"]


async def test_without_a_mail_server_the_link_is_in_the_log_of_development_alone() -> None:
    with capture_logs() as logged:
        await LogMailer(is_link_shown=True).send(LETTER)
        await LogMailer(is_link_shown=False).send(LETTER)
    assert [line.get("link") for line in logged] == [LETTER.link, None]
