"""Which addresses are asked together: 25 to 50 of one mail host, small domains packed together. No input or output."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest

from verifier.store.queries.plans import NewChunk

ADDRESSES_MIN = 25
ADDRESSES_MAX = 50


def cut(groups: Mapping[str, Sequence[Sequence[int]]], *, is_in_zone: bool) -> list[NewChunk]:
    """Cut addresses into chunks, given by mail host; an address is the list of its numbers (duplicates share a check).

    The first chunk of every mail host comes before the second of any, so that work spreads over hosts.
    """
    whole = [
        [NewChunk(host, is_in_zone, _numbers(part)) for part in _equal_parts(addresses)]
        for host, addresses in groups.items()
        if len(addresses) >= ADDRESSES_MIN
    ]
    small = {host: addresses for host, addresses in groups.items() if len(addresses) < ADDRESSES_MIN}
    rounds = [chunk for round_ in zip_longest(*whole) for chunk in round_ if chunk is not None]
    return [*_packed(small, is_in_zone=is_in_zone), *rounds]


def _equal_parts(addresses: Sequence[Sequence[int]]) -> Iterable[Sequence[Sequence[int]]]:
    count = -(-len(addresses) // ADDRESSES_MAX)
    size = -(-len(addresses) // count)
    return (addresses[start : start + size] for start in range(0, len(addresses), size))


def _packed(groups: Mapping[str, Sequence[Sequence[int]]], *, is_in_zone: bool) -> list[NewChunk]:
    """Fill chunks with whole groups, in order."""
    packs: list[dict[str, Sequence[Sequence[int]]]] = []
    room = 0
    for host, addresses in groups.items():
        if len(addresses) > room:
            packs.append({})
            room = ADDRESSES_MAX
        packs[-1][host] = addresses
        room -= len(addresses)
    return [
        NewChunk(
            next(iter(pack)) if len(pack) == 1 else None,
            is_in_zone,
            [n for addresses in pack.values() for n in _numbers(addresses)],
        )
        for pack in packs
    ]


def _numbers(addresses: Iterable[Sequence[int]]) -> list[int]:
    return [n for ns in addresses for n in ns]
