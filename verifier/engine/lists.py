"""The dated lists of verifier/data, read once. Nothing here reaches the network; a command renews the files."""

from functools import cache
from importlib import resources

from disposable_email_domains import blocklist


def _lines(name: str) -> list[str]:
    text = resources.files("verifier.data").joinpath(name).read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


@cache
def role_accounts() -> frozenset[str]:
    """Local parts that belong to a role (RFC 2142 and a list)."""
    return frozenset(_lines("role_accounts.txt"))


@cache
def free_providers() -> frozenset[str]:
    """Domains where anybody may have a mailbox for nothing."""
    return frozenset(_lines("free_providers.txt"))


@cache
def known_providers() -> tuple[str, ...]:
    """The providers that people mean when they mistype one, the largest first."""
    return tuple(_lines("known_providers.txt"))


@cache
def typos() -> dict[str, str]:
    """Slips of the finger, with the domain that was meant."""
    return dict(line.split() for line in _lines("typos.txt"))


@cache
def disposable_domains() -> frozenset[str]:
    """Domains of throw-away mailboxes (PyPI disposable-email-domains)."""
    return frozenset(blocklist)


@cache
def _accept_then_bounce() -> tuple[str, ...]:
    return tuple(line.split()[0] for line in _lines("accept_then_bounce.txt"))


def accepts_then_bounces(host: str) -> bool:
    """Tell whether a mail host is known to accept every recipient and to bounce later."""
    return any(host == suffix or host.endswith("." + suffix) for suffix in _accept_then_bounce())
