"""Run as a program of its own: an xlsx file from standard input, its rows as JSON lines to standard output.

Nothing of ours is imported, nothing of ours is in its environment. Whatever a file does to the reader, it is done to
this process, which has limits: memory, processor time, no file to write, no other process.
"""

import io
import json
import resource
import sys
from collections.abc import Iterator

MEMORY_BYTES_MAX = 1024 * 1024 * 1024
CPU_SECONDS_MAX = 15
OUTPUT_BYTES_MAX = 48 * 1024 * 1024
CELL_CHARACTERS_MAX = 1024
EXIT_TOO_LARGE = 3


def limit() -> None:
    """Give up what reading a file does not need."""
    for name, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES_MAX),
        (resource.RLIMIT_CPU, CPU_SECONDS_MAX),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(name, (most, most))


def rows(document: bytes) -> Iterator[list[str]]:
    """Return the rows of the first sheet that has any."""
    from python_calamine import CalamineWorkbook, SheetVisibleEnum  # noqa: PLC0415 - after the limits

    workbook = CalamineWorkbook.from_filelike(io.BytesIO(document))
    for place, metadata in enumerate(workbook.sheets_metadata):
        if metadata.visible is not SheetVisibleEnum.Visible:
            continue
        sheet = workbook.get_sheet_by_index(place)
        if sheet.total_height:
            for row in sheet.iter_rows():
                yield [str(cell)[:CELL_CHARACTERS_MAX] for cell in row]
            return


def main() -> int:
    """Read and write; the exit status is 0, or 3 where there is too much in it."""
    limit()
    written = 0
    for row in rows(sys.stdin.buffer.read()):
        if not any(cell.strip() for cell in row):
            continue
        line = json.dumps(row).encode() + b"\n"
        written += len(line)
        if written > OUTPUT_BYTES_MAX:
            return EXIT_TOO_LARGE
        sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
