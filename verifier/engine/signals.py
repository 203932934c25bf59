"""What an address tells without the network: a role, a throw-away domain, a free provider, the mailbox behind a tag."""

import re
from dataclasses import dataclass
from functools import lru_cache

from verifier.engine import lists
from verifier.engine.syntax import Address

_DOMAINS_REMEMBERED = 4096
_TAIL = re.compile(r"[._-]?\d+$")
_JOINTS = re.compile(r"[._-]")

RFC_2142 = frozenset(
    {
        *("info", "marketing", "sales", "support"),  # section 3: business
        *("abuse", "noc", "security"),  # section 4: network operations
        *("postmaster", "hostmaster", "usenet", "news", "webmaster", "www", "uucp", "ftp"),  # section 5: services
    }
)
"""The names that every domain is expected to answer."""

_JOINED = RFC_2142 | {"admin", "billing", "contact", "help", "helpdesk", "hr", "jobs", "office", "orders", "service"}
"""Roles that are written with a country or a team behind them: sales.de, support-team."""
_BEHIND = frozenset({"team", "desk", "dept", "department", "group", "office", "international", "global", "center"})
_COUNTRY_LETTERS = 2


@dataclass(frozen=True, slots=True)
class Signals:
    """Flags beside the verdict; none of them decides it."""

    role_based: bool = False
    disposable: bool = False
    free_provider: bool = False


def read(address: Address) -> Signals:
    """Return the signals of an address."""
    disposable, free_provider = _of_domain(address.domain)
    return Signals(_is_role(address.local), disposable, free_provider)


def root(local: str) -> str:
    """Return a local part without its sub-address (RFC 5233: what stands after the first +), in lower case."""
    plain = local.lower()
    head = plain.split("+", 1)[0]
    return head or plain


def _is_role(local: str) -> bool:
    """Tell whether a local part names a role: info, info2, info+news, sales.de, support-team."""
    name = root(local)
    roles = lists.role_accounts()
    if name in roles or name in RFC_2142 or _TAIL.sub("", name) in roles:
        return True
    first, *behind = _JOINTS.split(name)
    return first in _JOINED and bool(behind) and all(_may_stand_behind(part) for part in behind)


def _may_stand_behind(part: str) -> bool:
    return part in _BEHIND or part in _JOINED or part.isdigit() or (len(part) == _COUNTRY_LETTERS and part.isalpha())


@lru_cache(maxsize=_DOMAINS_REMEMBERED)
def _of_domain(domain: str) -> tuple[bool, bool]:
    """Tell whether a domain, or one above it, serves throw-away mailboxes, and whether it is a free provider."""
    labels = domain.split(".")
    known = lists.disposable_domains()
    is_disposable = any(".".join(labels[start:]) in known for start in range(len(labels) - 1))
    return is_disposable, domain in lists.free_providers()
