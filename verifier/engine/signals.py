"""What an address tells without the network: a role, a throw-away domain, a free provider."""

import re
from dataclasses import dataclass

from verifier.engine import lists
from verifier.engine.syntax import Address

_TAIL = re.compile(r"[._-]?\d+$")


@dataclass(frozen=True, slots=True)
class Signals:
    """Flags beside the verdict; none of them decides it."""

    role_based: bool = False
    disposable: bool = False
    free_provider: bool = False


def read(address: Address) -> Signals:
    """Return the signals of an address."""
    return Signals(
        role_based=_is_role(address.local),
        disposable=_is_disposable(address.domain),
        free_provider=address.domain in lists.free_providers(),
    )


def root(local: str) -> str:
    """Return a local part without its sub-address (RFC 5233), in lower case."""
    plain = local.lower()
    head = plain.split("+", 1)[0]
    return head or plain


def _is_role(local: str) -> bool:
    """Tell whether a local part names a role: info, info2, info+news, sales-team."""
    name = root(local)
    roles = lists.role_accounts()
    return name in roles or _TAIL.sub("", name) in roles


def _is_disposable(domain: str) -> bool:
    """Tell whether a domain or one above it serves throw-away mailboxes."""
    labels = domain.split(".")
    known = lists.disposable_domains()
    return any(".".join(labels[start:]) in known for start in range(len(labels) - 1))
