"""xlsx files: turned into csv by a child process with limits, for a hostile one aborts whoever reads it."""

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from services import sheet_child
from services.errors import TooLarge, UnreadableFile

ARGUMENTS = ("-I", str(Path(sheet_child.__file__)))
SECONDS_MAX = 90.0
_MESSAGE_BYTES_MAX = 300


@contextlib.asynccontextmanager
async def as_csv(file: BinaryIO) -> AsyncIterator[BinaryIO]:
    """The first sheet of a workbook, as a csv file without a name that is gone when the block ends.

    Raises:
        UnreadableFile: no workbook, damaged, encrypted, with macros, or made to harm.
        TooLarge: more rows, columns or bytes than are read.

    """
    with tempfile.TemporaryFile() as target:
        await _convert(file, target)
        yield target


async def _convert(file: BinaryIO, target: BinaryIO) -> None:
    file.seek(0)
    # A file of its own makes the child's standard input a place that it can open again and seek in.
    child = await asyncio.create_subprocess_exec(
        sys.executable, *ARGUMENTS, stdin=file, stdout=target, stderr=asyncio.subprocess.PIPE, env={}, cwd="/"
    )
    assert child.stderr is not None  # noqa: S101 - as asked for
    try:
        async with asyncio.timeout(SECONDS_MAX):
            message = (await child.stderr.read(_MESSAGE_BYTES_MAX)).decode(errors="replace")
            while await child.stderr.read(_MESSAGE_BYTES_MAX):
                pass
            status = await child.wait()
    except TimeoutError as error:
        raise UnreadableFile("The workbook takes too long to read. Save it as .csv.") from error
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if status == sheet_child.TOO_LARGE:
        raise TooLarge(message)
    if status != 0:
        if status != sheet_child.UNREADABLE:
            message = "The workbook is damaged, or too large to read. Save it as .csv."
        raise UnreadableFile(message)
