"""The REST process while its database is away: it says so, lives on, and needs no restart."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from verifier.tests.rest import Rest, error, ok

SOCKET = ".s.PGSQL.5432"


class Cable:
    """Stands between the process and PostgreSQL; can be cut and mended."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.is_cut = False
        self.ends: set[asyncio.StreamWriter] = set()
        self.pipes: set[asyncio.Task[None]] = set()
        self.near = ""

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.close()
            return
        there, back = await asyncio.open_unix_connection(self.server)
        self.ends |= {writer, back}
        for source, sink in ((reader, back), (there, writer)):
            self.pipes.add(asyncio.create_task(self.pipe(source, sink)))

    async def pipe(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                sink.write(data)
        except ConnectionError:
            pass
        finally:
            sink.close()

    def cut(self) -> None:
        self.is_cut = True
        for end in self.ends:
            end.transport.abort()
        self.ends.clear()


@pytest.fixture
async def cable(database_url: str) -> AsyncIterator[Cable]:
    folder = parse_qs(urlsplit(database_url).query)["host"][0]
    cable = Cable(f"{folder}/{SOCKET}")
    with tempfile.TemporaryDirectory(prefix="cable-") as near:
        server = await asyncio.start_unix_server(cable.accept, Path(near) / SOCKET)
        cable.near = near
        yield cable
        server.close()
        cable.cut()
        await asyncio.gather(*cable.pipes)


@pytest.fixture
def env(env: dict[str, str], database_url: str, cable: Cable) -> dict[str, str]:
    url = urlsplit(database_url)._replace(query=f"host={cable.near}")
    return {**env, "VERIFIER_DATABASE_URL": url.geturl()}


async def test_while_the_database_is_away_callers_are_told_to_come_back(rest: Rest, cable: Cable) -> None:
    ok(await rest.client.get("/tasks"))
    cable.cut()
    for method, path in (("GET", "/tasks"), ("POST", "/tasks"), ("GET", "/tasks")):
        answer = await rest.client.request(method, path, json={"emails": ["a@b.com"]} if method == "POST" else None)
        assert error(answer, 503)["code"] == "unavailable"
        assert int(answer.headers["retry-after"]) >= 1
    root = rest.client.base_url.copy_with(path="/health")
    assert (await rest.client.get(root)).status_code == 503
    cable.is_cut = False
    ok(await rest.client.get("/tasks"))
    ok(await rest.client.get(root))


class TestCrowded:
    @pytest.fixture
    async def env(self, env: dict[str, str], database_url: str) -> AsyncIterator[dict[str, str]]:
        """A login that may have one connection."""
        owner = await asyncpg.connect(database_url)
        await owner.execute(
            "CREATE ROLE crowded LOGIN CONNECTION LIMIT 1; GRANT ALL ON ALL TABLES IN SCHEMA public TO crowded"
        )
        url = urlsplit(database_url)
        yield {**env, "VERIFIER_DATABASE_URL": url._replace(netloc=f"crowded@{url.netloc.rpartition('@')[2]}").geturl()}
        await owner.execute("DROP OWNED BY crowded; DROP ROLE crowded")
        await owner.close()

    async def test_while_the_database_has_no_connection_left_callers_are_told_to_come_back(self, rest: Rest) -> None:
        answers = await asyncio.gather(*(rest.client.get("/tasks") for _ in range(3)))
        told = {answer.status_code: answer for answer in answers}
        assert set(told) == {200, 503}
        assert error(told[503], 503)["code"] == "unavailable"
