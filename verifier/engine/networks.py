"""Which addresses a mail host may have: the guard against being sent into somebody's private network."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from verifier.engine.config import Network

_NAT64 = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
_IPV4_COMPATIBLE = IPv6Network("::/96")


def may_be_asked(address: str, *, allow_networks: Iterable[Network] = (), allow_loopback: bool = False) -> bool:
    """Tell whether a connection may be opened to a numeric address.

    Loopback, private, link-local (where cloud metadata lives), shared, multicast and reserved addresses may not, nor
    those that carry one within (IPv4-mapped, NAT64 of RFC 6052, 6to4 of RFC 3056, Teredo of RFC 4380), but for the
    networks and the loopback that were allowed.
    """
    try:
        numeric = ip_address(address)
    except ValueError:
        return False
    if any(numeric.version == network.version and numeric in network for network in allow_networks):
        return True
    if allow_loopback and numeric.is_loopback:
        return True
    return all(_is_public(part) for part in (numeric, *_within(numeric)))


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and (address in _NAT64_LOCAL or address.is_site_local):
        return False
    if isinstance(address, IPv6Address) and (address.ipv4_mapped or address in _NAT64):
        return True  # what counts is the address within
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _within(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """Return the IPv4 addresses that an IPv6 address carries."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or address in _IPV4_COMPATIBLE:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [part for part in found if part is not None]
