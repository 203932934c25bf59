"""The parts that run alone in production: migrate, serve, work."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from app import datadir

ROOT = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def program(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "app", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(status: int, url: str) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(httpx.TransportError):
            answer = httpx.get(url, timeout=5)
            if answer.status_code == status:
                found: dict[str, Any] = answer.json()
                return found
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def test_the_api_and_the_worker_run_alone_and_stop_when_asked(
    new_database: Callable[..., Awaitable[str]], running_app: Any
) -> None:
    port = datadir.free_port()
    environment = {
        "ENVIRONMENT": "production",
        "LOG_FORMAT": "json",
        "SECRET_KEY": "s" * 32,
        "DATABASE_URL": await new_database(),
        "UPSTREAM_URL": f"{running_app.verifier}/api/v1",
        "UPSTREAM_KEY": (running_app.data_dir / "verifier.key").read_text(),
        "PORT": str(port),
    }
    with program("migrate", **environment) as migrate:
        assert (migrate.wait(30), migrate.stderr.read() if migrate.stderr else "") == (0, "")
    with program("serve", **environment) as serve:
        url = f"http://127.0.0.1:{port}/health/ready"
        lonely = wait_until(503, url)
        assert lonely["checks"]["worker"]["problem"] == "no worker has ever been seen"
        with program("work", **environment) as work:
            wait_until(200, url)
            work.terminate()
            assert work.wait(10) == 0
        assert httpx.get(f"http://127.0.0.1:{port}/graphql", headers={"accept": "text/html"}).status_code != 200
        serve.terminate()
        assert serve.wait(10) == 0
        said = serve.stderr.read() if serve.stderr else ""
    assert all(line.startswith("{") for line in said.splitlines())
    assert '"the API answers"' in said
