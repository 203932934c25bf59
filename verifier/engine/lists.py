"""The dated lists of verifier/data, read once. Nothing here reaches the network; a command renews the files."""

from collections.abc import Iterable
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
def accept_then_bounce() -> dict[str, str]:
    """Suffixes of mail hosts that accept every recipient at RCPT and bounce later, with the date of the observation."""
    return dict(line.split() for line in _lines("accept_then_bounce.txt"))


class AcceptThenBounce:
    """The mail hosts that accept every recipient and bounce later: the dated table and those of the settings."""

    def __init__(self, further: Iterable[str] = ()) -> None:
        by_settings = {suffix.lower().strip("."): "by the settings" for suffix in further}
        self._told = accept_then_bounce() | by_settings

    def told(self, host: str) -> str | None:
        """Return when it was observed of a mail host, or that the settings say so; None of all others."""
        labels = host.split(".")
        return next((told for start in range(len(labels)) if (told := self._told.get(".".join(labels[start:])))), None)

    def covers(self, host: str) -> bool:
        """Tell whether a mail host is one of them."""
        return self.told(host) is not None
