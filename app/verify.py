"""`python -m app verify`: the main job on a file, for people without a client. Talks on standard error."""

import asyncio
import contextlib
import os
import signal
import sys
import time
import typing
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from app import processes, programs
from app.instance import FILE_NAME, Ready
from app.settings import process_environment
from app.verify_client import VERDICTS, Client, Failed, Rejected
from app.verify_client import Progress as TaskProgress

POLL_SECONDS_FIRST = 0.2
POLL_SECONDS_MOST = 1.0
START_SECONDS = 90.0
STOP_SECONDS = 10.0
LIVE_SECONDS = 3.0
STANDARD_OUTPUT = "-"
TITLES = {
    "exists": "exists",
    "notExists": "does not exist",
    "catchall": "catch-all",
    "invalidSyntax": "not an address",
    "unknown": "unknown",
}


async def run(data_dir: Path, file: Path, output: str, *, url: str | None, token: str | None) -> int:
    """Verify the addresses of `file` and write the results to `output`; returns the exit code.

    0: done. 1: the service failed. 2: the file, the token or an option is not acceptable.
    """
    console = Console(stderr=True, highlight=False)
    try:
        _check(file, output, url, token)
        async with _service(data_dir, url, token, console) as (graphql, bearer):
            client = Client(graphql, bearer)
            try:
                await _verify(client, file, output, console)
            finally:
                await client.close()
    except Rejected as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Failed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _check(file: Path, output: str, url: str | None, token: str | None) -> None:
    if not file.is_file():
        raise Rejected(f"{file} is not a file")
    if not os.access(file, os.R_OK):
        raise Rejected(f"{file} cannot be read")
    if output != STANDARD_OUTPUT and not os.access(Path(output).absolute().parent, os.W_OK):
        raise Rejected(f"the folder of {output} cannot be written")
    if bool(url) != bool(token):
        raise Rejected("--url and --token go together")


async def _verify(client: Client, file: Path, output: str, console: Console) -> None:
    task_id = await client.upload(file)
    done = await _follow(client, task_id, console)
    if done.status != "COMPLETED":
        raise Failed(f"the task {task_id} is {done.status}: {done.failure_reason or 'no reason was given'}")
    console.print(_summary(done))
    with _opened(output) as target:
        await client.download(task_id, target)
    if output != STANDARD_OUTPUT:
        console.print(f"The results of {done.row_count:,} rows are in {output}", soft_wrap=True)  # a path is copied


async def _follow(client: Client, task_id: str, console: Console) -> TaskProgress:
    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    pause = POLL_SECONDS_FIRST
    with Progress(*columns, console=console) as bar:
        line = bar.add_task("verifying", total=None)
        while True:
            seen = await client.progress(task_id)
            bar.update(line, total=seen.total, completed=seen.finished)
            if seen.is_over:
                return seen
            await asyncio.sleep(pause)
            pause = min(pause * 1.2, POLL_SECONDS_MOST)


def _summary(done: TaskProgress) -> Table:
    table = Table("verdict", "addresses", "share")
    for column in table.columns[1:]:
        column.justify = "right"
    for name in VERDICTS:
        count = done.verdicts[name]
        table.add_row(TITLES[name], f"{count:,}", f"{count / max(done.total, 1):.1%}")
    table.add_section()
    table.add_row("all", f"{done.total:,}", "")
    return table


@contextlib.contextmanager
def _opened(output: str) -> typing.Iterator[typing.BinaryIO]:
    """Open the output; a file gets its name only when it is whole."""
    if output == STANDARD_OUTPUT:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    target = Path(output)
    unfinished = target.with_name(f".{target.name}.part")
    try:
        with unfinished.open("wb") as file:
            yield file
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def _service(
    data_dir: Path, url: str | None, token: str | None, console: Console
) -> AsyncIterator[tuple[str, str]]:
    """Give the GraphQL URL and a token: those given, those of the instance that runs here, or of one made for this."""
    if url and token:
        yield url, token
        return
    found = Ready.read(data_dir / FILE_NAME)
    if found is not None and await _is_live(found):
        yield found.graphql, found.token
        return
    with console.status("No service runs here: starting one for the time …"):
        process, ready = await _start(data_dir)
    try:
        yield ready.graphql, ready.token
    finally:
        await _stop(process)


async def _is_live(found: Ready) -> bool:
    async with httpx.AsyncClient(timeout=LIVE_SECONDS, trust_env=False) as http:
        with contextlib.suppress(httpx.HTTPError):
            return (await http.get(f"{found.web}/health/live")).status_code == httpx.codes.OK
    return False


async def _start(data_dir: Path) -> tuple[asyncio.subprocess.Process, Ready]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", "--port", "0", "--data-dir", str(data_dir)),
        cwd=programs.ROOT,
        env=dict(process_environment()),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=processes.tied_to_us(signal.SIGTERM),
    )
    said = asyncio.create_task(_read_all(process))
    try:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            ready = Ready.read(data_dir / FILE_NAME)
            if ready is not None and ready.pid == process.pid:
                return process, ready
            if said.done():
                raise Failed(f"the service did not start: {_last_line(said.result())}")
            await asyncio.sleep(0.05)
        raise Failed(f"the service was not ready after {START_SECONDS:.0f} s")
    except BaseException:
        await _stop(process)
        raise


async def _read_all(process: asyncio.subprocess.Process) -> str:
    if process.stderr is None:
        return ""
    return (await process.stderr.read()).decode(errors="replace")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else "it said nothing"


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
            return
        process.kill()
        await process.wait()
