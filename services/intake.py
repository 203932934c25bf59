"""From raw rows to distinct addresses: what createTask and an uploaded file have in common. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from services import addresses
from services.errors import TooLarge
from services.seen import Seen

PART_ADDRESSES_MAX = 10_000
"""Addresses of one task upstream."""
INPUT_CHARACTERS_MAX = 1024
"""Longer texts are cut off for the record; none is an address anyway (RFC 5321 section 4.5.3.1.3: 254 octets)."""


class InputRow(NamedTuple):
    """One row as sent: its number from 1, the text of its address, the caller's own id, all cells of a file's row."""

    number: int
    text: str
    reference: str | None = None
    cells: list[str] | None = None


AddressRecord = tuple[int, int | None, str | None, str | None, str | None]
"""Number, part, address and domain of one address; or number and what is wrong with a malformed one."""
RowRecord = tuple[int, int, str, str | None, list[str] | None]


@dataclass(slots=True)
class Intake:
    """Gathers rows into distinct addresses, and says what it has seen.

    An address has the number of the first row that holds it. Well-formed ones are put into parts of 10,000; malformed
    ones belong to no part, as they are never sent upstream.
    """

    addresses_max: int
    row_count: int = 0
    malformed_row_count: int = 0
    well_formed_count: int = 0
    malformed_count: int = 0
    _addresses: Seen = field(default_factory=Seen)
    _domains: Seen = field(default_factory=Seen)

    @property
    def address_count(self) -> int:
        """Distinct addresses, malformed ones included."""
        return self.well_formed_count + self.malformed_count

    @property
    def domain_count(self) -> int:
        """Different domains among the well-formed addresses."""
        return self._domains.count

    def take(self, rows: Iterable[InputRow]) -> tuple[list[AddressRecord], list[RowRecord]]:
        """New distinct addresses and all rows of a batch, as they are stored.

        Raises:
            TooLarge: the list holds more distinct addresses than it may.

        """
        new: list[AddressRecord] = []
        records: list[RowRecord] = []
        for row in rows:
            found = addresses.read(row.text)
            # A malformed text is its own identity; the blank in front keeps it apart from every address.
            is_malformed = isinstance(found, str)
            identity = " " + row.text.strip() if isinstance(found, str) else found.email
            number = self._addresses.number(identity, row.number)
            if number == row.number:
                new.append(self._number(number, found))
            self.row_count += 1
            self.malformed_row_count += is_malformed
            cells = [cell if cell.isascii() and "\0" not in cell else storable(cell) for cell in row.cells or ()]
            reference = clean(row.reference) if row.reference is not None else None
            records.append((row.number, number, clean(row.text), reference, cells if row.cells is not None else None))
        return new, records

    def _number(self, number: int, found: addresses.Address | str) -> AddressRecord:
        if self._addresses.count > self.addresses_max:
            raise TooLarge(f"The list holds more than {self.addresses_max:,} different addresses.")
        if isinstance(found, str):
            self.malformed_count += 1
            return number, None, None, None, storable(found)
        part = self.well_formed_count // PART_ADDRESSES_MAX + 1
        self.well_formed_count += 1
        self._domains.number(found.domain, 1)
        return number, part, found.email, found.domain, None


def part_sizes(well_formed_count: int) -> list[int]:
    """Addresses of each part of a list."""
    full, rest = divmod(well_formed_count, PART_ADDRESSES_MAX)
    return [PART_ADDRESSES_MAX] * full + ([rest] if rest else [])


def clean(text: str) -> str:
    """A text of bounded length that PostgreSQL can hold."""
    return storable(text[:INPUT_CHARACTERS_MAX])


def storable(text: str) -> str:
    """A text that PostgreSQL can hold: NUL and lone surrogates become U+FFFD and a question mark."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text


def inline_rows(emails: Iterable[str]) -> Iterator[InputRow]:
    """Rows of a list that was sent inline."""
    return (InputRow(number, text) for number, text in enumerate(emails, 1))
