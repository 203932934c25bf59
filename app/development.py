"""Everything on one machine: PostgreSQL and the verifier as children, the API and its worker here."""

import asyncio
import contextlib
import dataclasses
import gc
import importlib
import socket
import urllib.parse
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import structlog

from app import banner, datadir, logs, programs, serving, signals
from app.devdb import DevCluster
from app.initdb import ClusterFailed
from app.instance import FILE_NAME, Ready
from app.settings import Settings, public_url
from app.supervise import Supervisor

READY_SECONDS = 60.0
CLUSTER_LOOK_SECONDS = 0.5
DRAIN_SECONDS = 3
"""A developer's instance does not wait long for requests: the whole stop takes less than ten seconds."""

log = structlog.get_logger(__name__)


async def run(settings: Settings, env: Mapping[str, str], ready_file: Path | None) -> int:
    """Start everything, tell where it is, and stop it all on SIGINT or SIGTERM; returns the exit code."""
    logs.configure(settings.log_format, settings.log_level)
    gc.disable()  # until all is loaded: what is imported stays, and looking for garbage in it costs time
    async with signals.stop_event() as stop, contextlib.AsyncExitStack() as opened:
        instance = _Instance(opened, settings, env)
        try:
            wait_ended = await signals.unless_stopped(stop, instance.start(ready_file))
        except signals.Stopped:
            return 0
        await signals.first_of(stop, wait_ended())
        banner.stopping()
    return 0


class _Instance:
    """Opens one part after the other onto a stack, which closes them in reverse order."""

    def __init__(self, opened: contextlib.AsyncExitStack, settings: Settings, env: Mapping[str, str]) -> None:
        self._opened = opened
        self._settings = settings
        self._env = env
        self._supervisor = Supervisor(programs.ROOT)

    async def start(self, ready_file: Path | None) -> Callable[[], Coroutine[Any, Any, None]]:
        """Start everything, and tell of it once all is ready; gives what waits for an end by a fault."""
        listener = self._claim(ready_file)
        cluster = self._open_databases()
        self._opened.push_async_callback(self._supervisor.stop)
        verifier_up = asyncio.create_task(self._start_verifier(cluster), name="start verifier")
        self._opened.callback(verifier_up.cancel)
        await asyncio.to_thread(importlib.import_module, "app.service")  # slow: in a thread, so that the loop goes on
        from app import service, wiring  # noqa: PLC0415 - loaded in a thread, above

        await _once(cluster, "db/migrations", lambda: asyncio.to_thread(_migrate, self._settings.database_url))
        settings = await verifier_up
        parts = await self._opened.enter_async_context(wiring.open_parts(settings))
        account, token = await service.development_account(parts, settings)
        await self._opened.enter_async_context(service.worker(parts, settings))
        api = await self._opened.enter_async_context(
            service.api(parts, settings, listener, drain_seconds=DRAIN_SECONDS)
        )
        await api.wait_ready(READY_SECONDS)
        web, verifier_url = settings.public_url, settings.upstream_url.removesuffix(programs.API_PATH)
        self._tell(Ready(graphql=f"{web}/graphql", web=web, verifier=verifier_url, token=token), account, ready_file)
        return api.wait_ended

    def _claim(self, ready_file: Path | None) -> socket.socket:
        """Take the data directory and the port before anything slow begins, and fill in what was not given."""
        given = self._settings
        lock = datadir.Lock(given.data_dir, "instance")
        self._opened.callback(lock.release)
        listener = serving.bind(given.host, given.port)
        self._opened.callback(listener.close)
        for stale in filter(None, (given.data_dir / FILE_NAME, ready_file)):
            stale.unlink(missing_ok=True)  # left by an instance that was killed: who waits for it would be misled
        port = int(listener.getsockname()[1])
        is_url_given = given.public_url != public_url(given.host, given.port)
        self._settings = dataclasses.replace(
            given,
            port=port,
            public_url=given.public_url if is_url_given else public_url(given.host, port),
            secret_key=given.secret_key or datadir.kept_secret(given.data_dir / "secret.key"),
        )
        return listener

    def _open_databases(self) -> DevCluster | None:
        """Start the embedded PostgreSQL, unless DATABASE_URL names one."""
        if self._settings.database_url:
            return None
        cluster = DevCluster(self._settings.data_dir)
        cluster.start()
        self._opened.callback(cluster.stop)
        reviving = asyncio.create_task(_keep_alive(cluster), name="keep PostgreSQL alive")
        self._opened.callback(reviving.cancel)
        self._settings = dataclasses.replace(self._settings, database_url=cluster.url("mailverdict"))
        return cluster

    async def _start_verifier(self, cluster: DevCluster | None) -> Settings:
        """Start the verifier and wait until it is ready, unless UPSTREAM_URL names one; gives the settings for it."""
        settings = self._settings
        if settings.upstream_url:
            return settings
        verifier = programs.verifier(settings, self._env, self._verifier_database_url())
        self._supervisor.start(verifier.lab())
        await _once(cluster, "verifier/store/migrations", lambda: self._supervisor.run(verifier.migrate()))
        self._supervisor.start(verifier.serve())
        self._supervisor.start(verifier.work())
        await self._supervisor.wait_ready(READY_SECONDS)
        return dataclasses.replace(settings, upstream_url=verifier.api_url, upstream_key=verifier.key)

    def _verifier_database_url(self) -> str:
        """Give the verifier's database: the one it was given, else `verifier` beside the service's."""
        beside = urllib.parse.urlsplit(self._settings.database_url)._replace(path="/verifier").geturl()
        return self._env.get("VERIFIER_DATABASE_URL", beside)

    def _tell(self, ready: Ready, account: str, ready_file: Path | None) -> None:
        for path in filter(None, (self._settings.data_dir / FILE_NAME, ready_file)):
            ready.write(path)
            self._opened.callback(path.unlink, missing_ok=True)
        gc.enable()
        gc.collect()
        gc.freeze()  # what is alive now stays alive: the collector need not look at it again
        banner.ready(ready, account)


async def _keep_alive(cluster: DevCluster) -> None:
    """Start the embedded PostgreSQL again when it ends by itself."""
    while True:
        await asyncio.sleep(CLUSTER_LOOK_SECONDS)
        try:
            if await cluster.revive():
                log.warning("PostgreSQL ended and was started again", port=cluster.port)
        except ClusterFailed as error:
            log.error("PostgreSQL ended and does not start again", problem=str(error))  # noqa: TRY400 - the message says all
            return


async def _once(cluster: DevCluster | None, folder: str, migrate: Callable[[], Awaitable[None]]) -> None:
    """Run the migrations of a folder, unless the embedded cluster has seen just these: a second start is quicker."""
    name, digest = folder.replace("/", "-"), programs.digest(folder)
    if cluster is not None and cluster.noted(name) == digest:
        return
    await migrate()
    if cluster is not None:
        cluster.note(name, digest)


def _migrate(database_url: str) -> None:
    from db import migrations  # noqa: PLC0415 - slow to import, and seldom needed

    migrations.upgrade(database_url)
