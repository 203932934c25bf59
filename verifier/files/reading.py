"""An uploaded file to its addresses."""

import asyncio
import contextlib
from pathlib import PurePosixPath
from typing import BinaryIO

from verifier.files import columns, sheets, tables
from verifier.files.problems import Unreadable

ZIP = b"PK\x03\x04"


async def addresses(file: BinaryIO, name: str, *, count_max: int) -> list[str]:
    """Return the addresses of a csv, txt or xlsx file, which its name tells apart; raise Unreadable.

    The work is done in threads, and for xlsx in a process of its own: others are answered meanwhile.
    """
    suffix = PurePosixPath(name.lower()).suffix
    file.seek(0)
    is_zip = file.read(len(ZIP)) == ZIP
    if suffix == ".xlsx":
        rows = await sheets.rows(file)
    elif is_zip or suffix not in {".csv", ".txt"}:
        raise Unreadable("Only files that are called .csv, .txt or .xlsx, and are what they are called, are read.")
    else:
        rows = tables.csv_rows(file) if suffix == ".csv" else tables.txt_rows(file)
    with contextlib.closing(rows):  # a reader that stops early lets go of the file
        return await asyncio.to_thread(columns.addresses, rows, count_max=count_max)
