"""xlsx files: looked through first, then read by a child process with limits."""

import asyncio
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

import orjson

from verifier.files import preflight
from verifier.files.problems import Unreadable

CHILD = Path(__file__).with_name("sheet_child.py")
CHILD_SECONDS = 20.0
EXIT_TOO_LARGE = 3


async def rows(file: BinaryIO) -> Generator[list[str]]:
    """Return the rows of the first visible sheet that has any; raise Unreadable."""
    await asyncio.to_thread(preflight.check, file)
    output = await _read_in_child(file)
    return (orjson.loads(line) for line in output.splitlines())


async def _read_in_child(file: BinaryIO) -> bytes:
    with tempfile.TemporaryFile() as plain:  # what was sent may be in memory; a child reads files
        await asyncio.to_thread(_copy, file, plain)
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-I", str(CHILD),
            stdin=plain, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env={}, cwd="/",
        )  # fmt: skip
        try:
            async with asyncio.timeout(CHILD_SECONDS):
                output, _ = await child.communicate()
        except TimeoutError as error:
            raise Unreadable("The xlsx file takes too long to read.") from error
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
    if child.returncode == EXIT_TOO_LARGE:
        raise Unreadable("The xlsx file holds more than a list of addresses.")
    if child.returncode != 0:
        raise Unreadable("The xlsx file is damaged, or too large to read.")
    return output


def _copy(file: BinaryIO, plain: BinaryIO) -> None:
    file.seek(0)
    while piece := file.read(1024 * 1024):
        plain.write(piece)
    plain.flush()
    plain.seek(0)
