"""An uploaded file to its addresses."""

import asyncio
import contextlib
from pathlib import PurePosixPath
from typing import BinaryIO

from verifier.files import columns, sheets, tables
from verifier.files.problems import Unreadable

ZIP = b"PK\x03\x04"
SUFFIXES = (".csv", ".txt", ".xlsx")
MEDIA_TYPES = {
    "text/csv": ".csv",
    "text/plain": ".txt",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
}


async def addresses(file: BinaryIO, name: str, media_type: str, *, count_max: int) -> list[str]:
    """Return the addresses of a csv, txt or xlsx file; raise Unreadable.

    Its name tells which it is, its media type where the name does not. The work is done in threads, and for xlsx in a
    process of its own: others are answered meanwhile.
    """
    suffix = _suffix(name, media_type)
    file.seek(0)
    is_zip = file.read(len(ZIP)) == ZIP
    if suffix == ".xlsx":
        rows = await sheets.rows(file)
    elif is_zip or suffix is None:
        raise Unreadable("Only files that are called .csv, .txt or .xlsx, and are what they are called, are read.")
    else:
        rows = tables.csv_rows(file) if suffix == ".csv" else tables.txt_rows(file)
    with contextlib.closing(rows):  # a reader that stops early lets go of the file
        return await asyncio.to_thread(columns.addresses, rows, count_max=count_max)


def _suffix(name: str, media_type: str) -> str | None:
    suffix = PurePosixPath(name.lower()).suffix
    if suffix in SUFFIXES:
        return suffix
    return MEDIA_TYPES.get(media_type.partition(";")[0].strip().lower())
