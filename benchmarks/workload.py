"""The domains and the addresses of the benchmarks: hosts that tell who is there, every second address unknown."""

from collections.abc import Iterator
from itertools import count, product

from verifier.lab import mailboxes
from verifier.lab.domain import ZONE, Domain, Host
from verifier.lab.script import Script

_SYLLABLES = ("an", "bo", "da", "el", "fi", "ka", "lu", "mi", "no", "ra", "so", "te")


def catalogue(domains: int, hosts: int) -> tuple[Domain, ...]:
    """Return domains that share so many mail hosts evenly, each domain with one; all behave as Postfix does."""
    hosted = [Host(f"bench-{number}", Script()) for number in range(hosts)]
    return tuple(
        Domain(name=f"bench-{number}", about="For the benchmarks.", hosts=(hosted[number % hosts],))
        for number in range(domains)
    )


def addresses(total: int, domains: int) -> list[str]:
    """Return so many different addresses, spread evenly over the domains, every second one without a mailbox."""
    living, unknown = _living(), _unknown()
    locals_ = [next(living) if number % 2 else next(unknown) for number in range(-(-total // domains))]
    return [f"{local}@bench-{domain}.{ZONE}" for local in locals_ for domain in range(domains)][:total]


def status(address: str) -> str:
    """Return the verdict that is right for an address of these domains."""
    return "exists" if mailboxes.is_mailbox(address.partition("@")[0]) else "not_exists"


def _living() -> Iterator[str]:
    """Names of mailboxes that every host of the lab has."""
    for parts in product(_SYLLABLES, repeat=5):
        local = f"{parts[0]}{parts[1]}.{parts[2]}{parts[3]}{parts[4]}"
        if mailboxes.is_mailbox(local):
            yield local


def _unknown() -> Iterator[str]:
    """Local parts that no host of the lab knows."""
    return (f"former.colleague{number}" for number in count(1))
