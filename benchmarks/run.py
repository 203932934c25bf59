"""Measures the main job on the example file, and what one connection a check would give, in the same run."""

import argparse
import asyncio
import csv
import io
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started by its path

from benchmarks import machine, workload
from verifier.lab.domain import ZONE

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "contacts.csv"
READY_SECONDS = 90.0
DONE_SECONDS = 300.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.05

HOSTS = ("ok", "catchall", "gmail", "postfix", "exchange", "exim", "yahoo", "german", "french", "spanish", "opensmtpd",
    "sendmail", "twin-a", "twin-b", "qmail", "fiveonly", "implicit", "alias", "chinese")  # fmt: skip
"""Of the sandbox, that answer at once."""

UPLOAD = """mutation Upload($file: Upload!) {
  uploadTaskFile(input: {file: $file}) { task { id } userErrors { message } }
}"""
PROGRESS = """query Progress($id: ID!) {
  task(id: $id) { status metrics { totalEmailAddresses jobStatus { completed failed } } }
}"""
DOWNLOAD = "query Download($id: ID!) { task(id: $id) { download(format: CSV) { url } } }"


@dataclass(frozen=True, slots=True)
class Job:
    """One task, from the upload's first byte to the last one of the download. Times are seconds."""

    rows: int
    addresses: int
    finished: list[tuple[float, int]]
    """How many addresses had a verdict when."""
    completed_seconds: float
    downloaded_seconds: float

    def seconds_until(self, count: int) -> float:
        """When at least `count` addresses had a verdict."""
        return next((at for at, finished in self.finished if finished >= count), self.completed_seconds)


@asynccontextmanager
async def instance(folder: Path, delay_ms: int, concurrency: int) -> AsyncIterator[dict[str, Any]]:
    """Start everything with a data directory of its own, and stop it; gives what the ready file says."""
    ready = folder / "ready.json"
    options = ["--port", "0", "--data-dir", str(folder / "data"), "--ready-file", str(ready)]
    settings = [f"VERIFIER_LAB_DELAY_MS={delay_ms}", f"VERIFIER_CONCURRENCY={concurrency}"]
    with (folder / "app.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "env", *settings, sys.executable, "-m", "app", *options, cwd=ROOT, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not ready.exists():
            if process.returncode is not None or time.monotonic() > deadline:
                sys.exit("the service did not start:\n" + (folder / "app.log").read_text(errors="replace"))
            await asyncio.sleep(POLL_SECONDS)
        yield json.loads(ready.read_text())
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), STOP_SECONDS)


async def ask(client: httpx.AsyncClient, url: str, query: str, task_id: str) -> dict[str, Any]:
    """Send one query about a task; gives the task."""
    response = await client.post(url, json={"query": query, "variables": {"id": task_id}})
    answer = response.json()
    if answer.get("errors"):
        sys.exit(f"the service answered {answer['errors']}")
    task: dict[str, Any] = answer["data"]["task"]
    return task


async def job(name: str, content: bytes, service: dict[str, Any]) -> Job:
    """Upload the file, follow its task until it is over, download the results and see that no row is missing."""
    url = service["graphql"]
    headers = {"Authorization": f"Bearer {service['token']}", "X-CSRF-Guard": "1"}
    async with httpx.AsyncClient(headers=headers, timeout=60.0, trust_env=False) as client:
        started_at = time.monotonic()
        operations = json.dumps({"query": UPLOAD, "variables": {"file": None}})
        response = await client.post(
            url,
            data={"operations": operations, "map": json.dumps({"0": ["variables.file"]})},
            files={"0": (name, content, "text/csv")},
        )
        payload = response.json()
        if payload.get("errors") or payload["data"]["uploadTaskFile"]["userErrors"]:
            sys.exit(f"the upload was refused: {payload}")
        task_id = payload["data"]["uploadTaskFile"]["task"]["id"]
        finished: list[tuple[float, int]] = []
        while True:
            task = await ask(client, url, PROGRESS, task_id)
            passed_seconds = time.monotonic() - started_at
            counts = task["metrics"]["jobStatus"]
            finished.append((passed_seconds, counts["completed"] + counts["failed"]))
            if task["status"] == "COMPLETED":
                break
            if task["status"] in ("FAILED", "CANCELED") or passed_seconds > DONE_SECONDS:
                sys.exit(f"the task did not complete: {task}")
            await asyncio.sleep(POLL_SECONDS)
        link = (await ask(client, url, DOWNLOAD, task_id))["download"]["url"]
        results = (await client.get(link)).raise_for_status().content
        downloaded_seconds = time.monotonic() - started_at
    rows, returned = (len(list(csv.reader(io.StringIO(text.decode("utf-8-sig"))))) - 1 for text in (content, results))
    if rows != returned:
        sys.exit(f"{rows} rows went in and {returned} came out")
    return Job(rows, task["metrics"]["totalEmailAddresses"], finished, passed_seconds, downloaded_seconds)


async def engine(path: Path, folder: Path, concurrency: int) -> dict[str, Any]:
    """Measure the engine alone against the instance's lab, in a process of its own."""
    ports = [(folder / "data" / "run" / f"lab-{name}.port").read_text().strip() for name in ("dns", "smtp")]
    command = [sys.executable, "-m", "benchmarks.connections", str(path), *ports, str(concurrency)]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    if process.returncode:
        sys.exit("the engine could not be measured")
    measured: dict[str, Any] = json.loads(output)
    return measured


def report(done: Job, measured: dict[str, Any], delay_ms: int, concurrency: int) -> str:
    """Put the figures into words."""
    waiting = measured["waiting_addresses"]
    prompt = done.addresses - waiting
    prompt_seconds = done.seconds_until(prompt)
    grouped, single, forgetful = measured["grouped"], measured["single"], measured["forgetful"]
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("dnspython", "strawberry-graphql", "pgqueuer", "uvloop")
    )
    lines = [
        f"machine     {machine.described()}, Python {platform.python_version()}",
        f"packages    {packages}",
        f"conditions  round trip {delay_ms} ms on every DNS and SMTP reply, {concurrency} open connections;",
        "            the lab, the database and the service share this machine",
        "",
        f"end to end (GraphQL upload, verification, download): {done.rows} rows, {done.addresses} addresses",
        figure(
            "until half of the addresses had a verdict", done.seconds_until(done.addresses // 2), done.addresses // 2
        ),
        figure(f"until the {prompt} addresses that need no retry had a verdict", prompt_seconds, prompt),
        figure(f"until COMPLETED ({waiting} are asked again after 1, 2, 4 s)", done.completed_seconds, done.addresses),
        figure("until the results were downloaded", done.downloaded_seconds, done.addresses),
        "",
        f"engine alone, {single['addresses']} of these addresses, same lab",
        figure("all together: connections shared and pipelined", grouped["seconds"], grouped["addresses"]),
        figure("one connection a check, DNS and catch-all remembered", single["seconds"], single["addresses"]),
        figure("one connection a check, nothing remembered", forgetful["seconds"], forgetful["addresses"]),
        "",
        "ratio to one connection a check        remembered    nothing remembered",
        ratios("all together", grouped["rate"], single["rate"], forgetful["rate"]),
        ratios("end to end, first verdict", prompt / prompt_seconds, single["rate"], forgetful["rate"]),
    ]
    return "\n".join(lines) + "\n"


def figure(what: str, seconds: float, addresses: int) -> str:
    """One line of the report."""
    return f"  {what:<64}{seconds:8.2f} s{addresses / seconds:8.0f} addresses/s"


def ratios(what: str, rate: float, *others: float) -> str:
    """One line of the table of ratios."""
    return f"  {what:<32}" + "".join(f"{rate / other:>16.1f}" for other in others)


def made(count: int) -> bytes:
    """Make a csv of so many addresses of the sandbox, evenly on all hosts, every second one unknown."""
    locals_ = (address.partition("@")[0] for address in workload.addresses(count, 1))
    lines = [f"{local}@{HOSTS[number % len(HOSTS)]}.{ZONE}" for number, local in enumerate(locals_)]
    return "\n".join(["work_email", *lines]).encode()


async def main() -> None:
    """Start the instance, run the job, then measure the engine on the idle instance's lab."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay-ms", type=int, default=20, help="round trip of the lab, milliseconds (20)")
    parser.add_argument("--concurrency", type=int, default=40, help="open SMTP connections (40)")
    parser.add_argument("--file", type=Path, default=EXAMPLE, help="csv of sandbox addresses (examples/contacts.csv)")
    parser.add_argument("--addresses", type=int, help="in place of a file: so many, on hosts that answer at once")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, file = Path(name), given.file
        if given.addresses:
            file = folder / "list.csv"
            file.write_bytes(made(given.addresses))
        async with instance(folder, given.delay_ms, given.concurrency) as service:
            done = await job(file.name, file.read_bytes(), service)
            measured = await engine(file, folder, given.concurrency)
    sys.stdout.write(report(done, measured, given.delay_ms, given.concurrency))


if __name__ == "__main__":
    asyncio.run(main())
