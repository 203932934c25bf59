"""Which cells of a table are the addresses."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from verifier.files.problems import TooManyAddresses, Unreadable

SAMPLE_ROWS = 200
CELL_CHARACTERS_MAX = 1024
NAMES = frozenset({"email", "e-mail", "mail", "email address", "e-mail address", "email_address", "emailaddress"})


def addresses(rows: Iterable[Sequence[str]], *, count_max: int) -> list[str]:
    """Return the cells of the column that holds addresses; blank ones are left out.

    It is the column named for it, else the one with most at signs. A first row without any at sign, above rows that
    have some, is a header. Raises Unreadable where nothing is found, TooManyAddresses over `count_max`.
    """
    rest = iter(rows)
    sample = list(islice(rest, SAMPLE_ROWS))
    column = _column(sample)
    body = sample[1:] if sample and _is_header(sample, column) else sample
    found: list[str] = []
    for cell in _cells(chain(body, rest), column):
        if len(found) == count_max:
            raise TooManyAddresses(f"The file holds more than {count_max:,} addresses.")
        found.append(cell)
    if not found:
        raise Unreadable("The file holds no addresses.")
    return found


def _cells(rows: Iterable[Sequence[str]], column: int) -> Iterator[str]:
    for row in rows:
        cell = row[column].strip() if column < len(row) else ""
        if cell:
            yield cell[:CELL_CHARACTERS_MAX]


def _column(sample: Sequence[Sequence[str]]) -> int:
    names = [cell.strip().lower() for cell in sample[0]] if sample else []
    named = [place for place, name in enumerate(names) if name in NAMES]
    if named:
        return named[0]
    width = max(map(len, sample), default=0)
    scores = [sum("@" in row[place] for row in sample if place < len(row)) for place in range(width)]
    if width > 1 and not any(scores):
        raise Unreadable("No column of the file holds addresses. Name one of them `email`.")
    return scores.index(max(scores)) if scores else 0


def _is_header(sample: Sequence[Sequence[str]], column: int) -> bool:
    first = sample[0][column].strip().lower() if column < len(sample[0]) else ""
    has_none, others_have = (
        not any("@" in cell for cell in sample[0]),
        any("@" in cell for r in sample[1:] for cell in r),
    )
    return first in NAMES or (has_none and others_have and len(sample[0]) > 1)
