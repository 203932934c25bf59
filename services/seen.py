"""Which texts were seen before, and under which number, in a few bytes a text: a list may hold a million of them."""

from array import array

_FIRST_SLOTS = 1 << 10
_GROWTH = 2
_FULL = 0.6  # past this share of used slots, look-ups grow long


class Seen:
    """A table of texts by two hashes of 64 and 32 bits, open addressing: 16 bytes a slot, not the texts themselves.

    Two different texts are taken for one when both hashes agree, which among a million has a chance of 10^-17. The
    hashes have a secret of the process in them (PEP 456), so that nobody can look for such a pair.
    """

    def __init__(self) -> None:
        """Nothing was seen."""
        self.count = 0
        self._make(_FIRST_SLOTS)

    def number(self, text: str, number: int) -> int:
        """The number that the text was first given; `number`, from 1, when it is new."""
        first, second = hash(text), hash(text[::-1]) & 0xFFFFFFFF
        slot = self._slot(first, second)
        if found := self._numbers[slot]:
            return found
        self._firsts[slot], self._seconds[slot], self._numbers[slot] = first, second, number
        self.count += 1
        if self.count >= self._room:
            self._grow()
        return number

    def _slot(self, first: int, second: int) -> int:
        """Where a text stands, or would stand."""
        firsts, seconds, numbers, mask = self._firsts, self._seconds, self._numbers, self._mask
        slot = first & mask
        while numbers[slot] and (firsts[slot] != first or seconds[slot] != second):
            slot = (slot + 1) & mask
        return slot

    def _make(self, slots: int) -> None:
        self._mask, self._room = slots - 1, int(slots * _FULL)
        self._firsts = array("q", bytes(8 * slots))
        self._seconds = array("I", bytes(4 * slots))
        self._numbers = array("I", bytes(4 * slots))

    def _grow(self) -> None:
        old = (self._firsts, self._seconds, self._numbers)
        self._make(_GROWTH * (self._mask + 1))
        for first, second, number in zip(*old, strict=True):
            if number:
                slot = self._slot(first, second)
                self._firsts[slot], self._seconds[slot], self._numbers[slot] = first, second, number
