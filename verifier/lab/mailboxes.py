"""Which local parts are mailboxes: one rule for every host of the lab, so that any address has a right answer."""

import hashlib
import re

ALWAYS = frozenset({"alice", "bob", "postmaster", "abuse", "info", "sales", "support", "billing", "jürgen", "почта"})
"""Mailboxes that every host has, whatever the rule for names says."""

NEVER = frozenset({"nobody"})
"""Names that no host has, although they look like names."""

_PERCENT_OF_NAMES = 70
_NAME_LENGTH_MAX = 16
_NAME = re.compile(r"[a-z]{1,10}(?:[._-][a-z]{1,10}){0,2}")
_QUOTED = re.compile(r'"([a-z0-9._+-]+)"')


def is_mailbox(local: str) -> bool:
    """Tell whether a host of the lab knows this local part.

    Case does not count, a sub-address (`alice+news`) is its root. The names in `ALWAYS` exist, those in `NEVER` and
    everything that begins with `no-` do not. Of the rest, a local part is a name when it is one to three words of at
    most ten letters a-z with a dot, hyphen or underscore between them, sixteen characters in all; seven names in ten
    exist, chosen by a hash. What is no name (digits, a long word) never exists: a random recipient is unknown.
    """
    root = _root(local)
    if root in ALWAYS:
        return True
    if root in NEVER or root.startswith("no-") or not _looks_like_a_name(root):
        return False
    return hashlib.sha256(root.encode()).digest()[0] * 100 < _PERCENT_OF_NAMES * 256


def is_name(local: str) -> bool:
    """Tell whether a local part looks like somebody's name, whether there is such a mailbox or not."""
    return _looks_like_a_name(_root(local))


def _root(local: str) -> str:
    folded = local.lower()
    quoted = _QUOTED.fullmatch(folded)
    return (quoted[1] if quoted else folded).split("+", 1)[0]


def _looks_like_a_name(root: str) -> bool:
    return len(root) <= _NAME_LENGTH_MAX and _NAME.fullmatch(root) is not None
