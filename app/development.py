"""Everything on one machine: PostgreSQL and the verifier as children, the API and its worker here."""

import asyncio
import contextlib
import dataclasses
import gc
import importlib
import socket
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

import structlog

from app import banner, datadir, logs, programs, serving, signals
from app.devdb import DevCluster
from app.instance import FILE_NAME, Ready
from app.settings import Settings, public_url
from app.supervise import Supervisor

READY_SECONDS = 60.0
DRAIN_SECONDS = 3
"""A developer's instance does not wait long for requests: the whole stop takes less than ten seconds."""

log = structlog.get_logger(__name__)


async def run(settings: Settings, env: Mapping[str, str], ready_file: Path | None) -> int:
    """Start everything, tell where it is, and stop it all on SIGINT or SIGTERM; returns the exit code."""
    logs.configure(settings.log_format, settings.log_level)
    async with signals.stop_event() as stop, contextlib.AsyncExitStack() as opened:
        try:
            api = await signals.unless_stopped(stop, _start(opened, settings, env, ready_file))
        except signals.Stopped:
            return 0
        await signals.first_of(stop, api.wait_ended())
        banner.stopping()
    return 0


async def _start(
    opened: contextlib.AsyncExitStack, given: Settings, env: Mapping[str, str], ready_file: Path | None
) -> serving.Api:
    """Open one part after the other onto `opened`, which closes them in reverse order."""
    lock = datadir.Lock(given.data_dir, "instance")
    opened.callback(lock.release)
    listener = serving.bind(given.host, given.port)
    opened.callback(listener.close)
    settings = _settled(given, int(listener.getsockname()[1]))

    database_url, verifier_database_url = _databases(opened, settings, env)
    settings = dataclasses.replace(settings, database_url=database_url)
    supervisor = Supervisor(programs.ROOT)
    opened.push_async_callback(supervisor.stop)
    if settings.upstream_url:
        verifier_up = asyncio.create_task(asyncio.sleep(0))
        verifier_url = settings.upstream_url
    else:
        verifier = programs.verifier(settings, env, verifier_database_url)
        settings = dataclasses.replace(settings, upstream_url=verifier.api_url, upstream_key=verifier.key)
        verifier_up = asyncio.create_task(_start_verifier(supervisor, verifier))
        verifier_url = verifier.base_url
    opened.callback(verifier_up.cancel)
    api, account, token = await _start_service(opened, settings, listener, verifier_up)

    web = settings.public_url
    ready = Ready(graphql=f"{web}/graphql", web=web, verifier=verifier_url, token=token)
    for path in filter(None, (settings.data_dir / FILE_NAME, ready_file)):
        ready.write(path)
        opened.callback(path.unlink, missing_ok=True)
    gc.collect()
    gc.freeze()  # what is alive now stays alive: the collector need not look at it again
    banner.ready(ready, account)
    return api


def _settled(given: Settings, port: int) -> Settings:
    """Fill in what a developer did not give: the port that was bound, and a secret key kept in the data directory."""
    is_url_given = given.public_url != public_url(given.host, given.port)
    return dataclasses.replace(
        given,
        port=port,
        public_url=given.public_url if is_url_given else public_url(given.host, port),
        secret_key=given.secret_key or datadir.kept_secret(given.data_dir / "secret.key"),
    )


def _databases(opened: contextlib.AsyncExitStack, settings: Settings, env: Mapping[str, str]) -> tuple[str, str]:
    """Give the URLs of the service's and the verifier's database; starts the embedded PostgreSQL if none is given."""
    if settings.database_url:
        parts = urllib.parse.urlsplit(settings.database_url)
        beside = urllib.parse.urlunsplit(parts._replace(path="/verifier"))
        return settings.database_url, env.get("VERIFIER_DATABASE_URL", beside)
    cluster = DevCluster(settings.data_dir)
    cluster.start()
    opened.callback(cluster.stop)
    return cluster.url("mailverdict"), env.get("VERIFIER_DATABASE_URL", cluster.url("verifier"))


async def _start_service(
    opened: contextlib.AsyncExitStack,
    settings: Settings,
    listener: socket.socket,
    verifier_up: asyncio.Task[None],
) -> tuple[serving.Api, str, str]:
    """Migrate, open the parts, wait for the verifier, start the worker and the API.

    Returns the API, and the development account's address and token.
    """
    await asyncio.to_thread(importlib.import_module, "app.service")  # slow to import: in a thread, the loop goes on
    from app import service, wiring  # noqa: PLC0415 - as above
    from db import migrations  # noqa: PLC0415 - the same

    await asyncio.to_thread(migrations.upgrade, settings.database_url)
    parts = await opened.enter_async_context(wiring.open_parts(settings))
    account, token = await service.development_account(parts)
    await verifier_up
    await opened.enter_async_context(service.worker(parts, settings))
    api = await opened.enter_async_context(service.api(parts, settings, listener, drain_seconds=DRAIN_SECONDS))
    return api, account, token


async def _start_verifier(supervisor: Supervisor, verifier: programs.Verifier) -> None:
    supervisor.start(verifier.lab())
    await supervisor.run(verifier.migrate())
    supervisor.start(verifier.serve())
    supervisor.start(verifier.work())
    await supervisor.wait_ready(READY_SECONDS)
