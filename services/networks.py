"""Which addresses may be called on behalf of customers: public ones, and those in networks that were allowed."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network

_PUBLIC_IPV6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_PROTOCOLS = IPv4Network("192.0.0.0/24")
"""For protocols (RFC 6890); `ipaddress` calls some of it global."""


def may_be_called(address: str, allowed: Iterable[Network] = ()) -> bool:
    """Tell whether a connection may be opened to a numeric address.

    `ipaddress` alone calls NAT64 (RFC 6052) and 6to4 (RFC 3056) forms of private IPv4 addresses global: what counts is
    the address within. Teredo (RFC 4380) is never called.
    """
    try:
        numeric = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if any(numeric.version == network.version and numeric in network for network in allowed):
        return True
    if isinstance(numeric, IPv4Address):
        return _is_public(numeric)
    within = numeric.ipv4_mapped or numeric.sixtofour
    if numeric in _NAT64:
        within = IPv4Address(int(numeric) & 0xFFFFFFFF)
    if within is not None:
        return _is_public(within)
    return numeric in _PUBLIC_IPV6 and numeric.teredo is None and _is_public(numeric)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address) and address in _PROTOCOLS:
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)
