"""Which addresses may be asked."""

from ipaddress import ip_network

import pytest

from verifier.engine import networks


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822"])
def test_a_public_address_may_be_asked(address: str) -> None:
    assert networks.may_be_asked(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.77.0.1",
        "0.0.0.0",  # noqa: S104 - an address to be refused
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "not an address",
        "0177.0.0.1",
    ],
)
def test_a_private_or_reserved_address_may_not(address: str) -> None:
    assert not networks.may_be_asked(address)


def test_a_network_can_be_allowed() -> None:
    allowed = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert networks.may_be_asked("10.1.2.3", allow_networks=allowed)
    assert networks.may_be_asked("fd00::1", allow_networks=allowed)
    assert not networks.may_be_asked("192.168.0.1", allow_networks=allowed)


def test_allowing_loopback_allows_nothing_else() -> None:
    assert networks.may_be_asked("127.0.0.2", allow_loopback=True)
    assert networks.may_be_asked("::1", allow_loopback=True)
    assert not networks.may_be_asked("10.0.0.1", allow_loopback=True)
    assert not networks.may_be_asked("169.254.169.254", allow_loopback=True)
