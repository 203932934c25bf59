"""The address that was probably meant: a listed slip, or a few slips of the finger away from a known provider."""

import math
from functools import lru_cache

from verifier.engine import lists
from verifier.engine.evidence import Reason
from verifier.engine.syntax import Address

_NO_MAIL = frozenset({Reason.NO_DOMAIN, Reason.NO_MAIL_HOST, Reason.NULL_MX})
_DOMAINS_REMEMBERED = 4096

# What a slip costs: a whole one for a letter too many, too few, swapped or wrong; less where the finger explains it.
_SLIP = 1.0
_NEIGHBOUR = 0.5
_DOUBLED = 0.5
_LENGTH_MIN = 5
_COSTS_MAX = ((8, 1.0), (12, 1.5), (255, 2.0))
"""Up to so many letters of the meant domain, so much may be wrong: short names are near to too much else."""

_ROWS = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")
_COLUMN_SHIFT = 0.5  # each row of keys stands half a key to the right of the one above


def suggest(address: Address, reason: Reason) -> str | None:
    """Return the address that was meant, or None. A domain that takes mail is only doubted when it is a listed slip."""
    meant = lists.typos().get(address.domain)
    if meant is None and reason in _NO_MAIL and len(address.domain) >= _LENGTH_MIN:
        meant = nearest(address.domain)
    return f"{address.local}@{meant}" if meant else None


@lru_cache(maxsize=_DOMAINS_REMEMBERED)
def nearest(domain: str) -> str | None:
    """Return the known provider that a domain is a slip of, the larger one of two that are equally near; or None."""
    best, best_cost = None, float("inf")
    for known in lists.known_providers():
        limit = min(_cost_max(len(known)), best_cost)
        if abs(len(known) - len(domain)) > limit / _DOUBLED:
            continue
        cost = distance(domain, known, most=limit)
        if 0 < cost <= limit and cost < best_cost:
            best, best_cost = known, cost
    return best


def _cost_max(length: int) -> float:
    return next(cost for up_to, cost in _COSTS_MAX if length <= up_to)


def distance(typed: str, meant: str, *, most: float = math.inf) -> float:
    """Return how far a typed text is from the meant one (Damerau-Levenshtein with restricted swaps, weighted).

    Changing a letter for its neighbour on the keyboard, and doubling or halving one, cost half a slip. What is surely
    farther than `most` is infinitely far.
    """
    before: list[float] = []
    row = [0.0]
    for j in range(1, len(meant) + 1):
        row.append(row[-1] + _extra(meant, j - 1))
    for i in range(1, len(typed) + 1):
        older, before = before, row
        row = [before[0] + _extra(typed, i - 1)]
        for j in range(1, len(meant) + 1):
            a, b = typed[i - 1], meant[j - 1]
            cost = min(
                before[j] + _extra(typed, i - 1),
                row[j - 1] + _extra(meant, j - 1),
                before[j - 1] + _changed(a, b),
            )
            if i > 1 and j > 1 and a == meant[j - 2] and typed[i - 2] == b:
                cost = min(cost, older[j - 2] + (_SLIP if a != b else 0.0))
            row.append(cost)
        if min(row) > most and min(before) > most:  # a swap reaches over one row, nothing reaches over two
            return math.inf
    return row[-1]


def _extra(text: str, index: int) -> float:
    """Return what a letter costs that the other text lacks."""
    return _DOUBLED if index > 0 and text[index] == text[index - 1] else _SLIP


def _changed(a: str, b: str) -> float:
    if a == b:
        return 0.0
    return _NEIGHBOUR if b in _NEIGHBOURS.get(a, "") else _SLIP


def _neighbours() -> dict[str, frozenset[str]]:
    """Return the keys that touch each key, on keyboards with y or with z in the first row of letters."""
    places = {
        key: (column + row * _COLUMN_SHIFT, row) for row, keys in enumerate(_ROWS) for column, key in enumerate(keys)
    }
    found = {
        key: {other for other, (u, v) in places.items() if other != key and abs(x - u) <= 1 and abs(y - v) <= 1}
        for key, (x, y) in places.items()
    }
    swap = str.maketrans("yz", "zy")
    return {key: frozenset(found[key] | {each.translate(swap) for each in found[key.translate(swap)]}) for key in found}


_NEIGHBOURS = _neighbours()
