"""From raw rows to distinct addresses: what createTask and an uploaded file have in common. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from services import addresses
from services.errors import TooLarge

PART_ADDRESSES_MAX = 10_000
"""Addresses of one task upstream."""
INPUT_CHARACTERS_MAX = 1024
"""Longer texts are cut off for the record; none is an address anyway (RFC 5321 section 4.5.3.1.3: 254 octets)."""


@dataclass(frozen=True, slots=True)
class InputRow:
    """One row as sent: its number from 1, the text of its address, the caller's own id, all cells of a file's row."""

    number: int
    text: str
    reference: str | None = None
    cells: list[str] | None = None


AddressRecord = tuple[int, int | None, str | None, str | None]
RowRecord = tuple[int, int, str, str | None, list[str] | None]


@dataclass(slots=True)
class Intake:
    """Gathers rows into distinct addresses, and says what it has seen.

    Well-formed addresses are numbered into parts of 10,000; malformed ones belong to no part, as they are never sent
    upstream.
    """

    addresses_max: int
    row_count: int = 0
    well_formed_count: int = 0
    malformed_count: int = 0
    _numbers: dict[str, int] = field(default_factory=dict)
    _domains: set[str] = field(default_factory=set)

    @property
    def address_count(self) -> int:
        """Distinct addresses, malformed ones included."""
        return self.well_formed_count + self.malformed_count

    @property
    def domain_count(self) -> int:
        """Different domains among the well-formed addresses."""
        return len(self._domains)

    @property
    def part_sizes(self) -> list[int]:
        """Addresses of each part."""
        full, rest = divmod(self.well_formed_count, PART_ADDRESSES_MAX)
        return [PART_ADDRESSES_MAX] * full + ([rest] if rest else [])

    def take(self, rows: Iterable[InputRow]) -> tuple[list[AddressRecord], list[RowRecord]]:
        """New distinct addresses and all rows of a batch, as they are stored.

        Raises:
            TooLarge: the list holds more distinct addresses than it may.

        """
        new: list[AddressRecord] = []
        records: list[RowRecord] = []
        for row in rows:
            text = clean(row.text)
            address = addresses.parse(row.text)
            # A malformed text is its own identity; the blank in front keeps it apart from every address.
            identity = address.email if address else " " + text.strip()
            number = self._numbers.get(identity)
            if number is None:
                number = self._numbers[identity] = row.number
                new.append(self._number(number, address))
            self.row_count += 1
            cells = [storable(cell) for cell in row.cells] if row.cells is not None else None
            reference = clean(row.reference) if row.reference is not None else None
            records.append((row.number, number, text, reference, cells))
        return new, records

    def _number(self, number: int, address: addresses.Address | None) -> AddressRecord:
        if len(self._numbers) > self.addresses_max:
            message = f"The list holds more than {self.addresses_max:,} different addresses."
            raise TooLarge(message)
        if address is None:
            self.malformed_count += 1
            return number, None, None, None
        part = self.well_formed_count // PART_ADDRESSES_MAX + 1
        self.well_formed_count += 1
        self._domains.add(address.domain)
        return number, part, address.email, address.domain


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
