"""What a domain of the lab is: its DNS, its mail hosts and the verdicts that are right for its addresses."""

from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

from verifier.engine.evidence import Reason, Status
from verifier.lab.script import Script

ZONE = "mailverdict.test"
HOSTS_ZONE = f"mx.{ZONE}"


class Expected(NamedTuple):
    """What a perfect verifier says."""

    status: Status
    reason: Reason


EXISTS = Expected(Status.EXISTS, Reason.ACCEPTED)
FULL = Expected(Status.EXISTS, Reason.MAILBOX_FULL)
ACCEPT_ALL = Expected(Status.CATCHALL, Reason.ACCEPT_ALL)
NO_SUCH_USER = Expected(Status.NOT_EXISTS, Reason.NO_SUCH_USER)
NO_DOMAIN = Expected(Status.NOT_EXISTS, Reason.NO_DOMAIN)
NO_MAIL_HOST = Expected(Status.NOT_EXISTS, Reason.NO_MAIL_HOST)
NULL_MX = Expected(Status.NOT_EXISTS, Reason.NULL_MX)
DNS_FAILURE = Expected(Status.UNKNOWN, Reason.DNS_FAILURE)
NO_CONNECTION = Expected(Status.UNKNOWN, Reason.NO_CONNECTION)
TIMEOUT = Expected(Status.UNKNOWN, Reason.TIMEOUT)
PROTOCOL = Expected(Status.UNKNOWN, Reason.PROTOCOL)
BLOCKED = Expected(Status.UNKNOWN, Reason.BLOCKED)
SENDER_REJECTED = Expected(Status.UNKNOWN, Reason.SENDER_REJECTED)
GREYLISTED = Expected(Status.UNKNOWN, Reason.GREYLISTED)
SERVER_ERROR = Expected(Status.UNKNOWN, Reason.SERVER_ERROR)
UNROUTABLE = Expected(Status.UNKNOWN, Reason.UNROUTABLE)
TEMPORARY = Expected(Status.UNKNOWN, Reason.TEMPORARY)


class Dns(Enum):
    """How the name server answers for a domain."""

    MAIL = "MX records that name the domain's hosts"
    IMPLICIT = "no MX, and the address of its host (RFC 5321 section 5.1)"
    MX_ALIAS = "MX records that name aliases of the domain's hosts (against RFC 2181 section 10.3)"
    ALIAS = "a CNAME to another domain"
    NULL_MX = "one MX with the root as its host (RFC 7505)"
    NULL_BESIDE = "a null MX beside a real one, against RFC 7505"
    LOST_BESIDE = "the best MX names a host that does not exist, the next ones are the domain's hosts"
    FAILING_HOST = "an MX that names a host whose address cannot be told"
    PRIVATE_HOST = "an MX that names a host in a private network"
    METADATA_HOST = "an MX that names a host where clouds keep their secrets"
    LOST_HOSTS = "MX records that name hosts that do not exist"
    NO_DATA = "the name is there, but neither MX nor address"
    NXDOMAIN = "there is no such name"
    SERVFAIL = "the server fails"
    REFUSED = "the server refuses to answer"
    SILENT = "no answer at all"
    TRUNCATED = "MX records that are only told over TCP"


@dataclass(frozen=True, slots=True)
class Host:
    """A mail host, `<name>.mx.mailverdict.test`, the same one in every domain. No script: its port is closed."""

    name: str
    script: Script | None
    preference: int = 10
    is_blackholed: bool = False
    """With no script: connecting is neither granted nor refused."""
    is_ipv6: bool = False
    """It has an AAAA record alone. The loopback has one such address, so the lab has one such host."""
    dead_addresses: int = 0
    """Further A records that lead to closed ports."""
    alone: Expected | None = None
    """What is right for every address at its own name, where that differs from the domain's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A domain, `<name>.mailverdict.test`, and the right verdicts for its mailboxes and for the rest."""

    name: str
    about: str
    dns: Dns = Dns.MAIL
    hosts: tuple[Host, ...] = ()
    alias_of: str | None = None
    known: Expected = EXISTS
    unknown: Expected = NO_SUCH_USER
    or_else: Expected | None = None
    """Right too: what else happens to some of the domain's addresses, depending on who else was asked about."""
    is_slow: bool = False
    """A check takes seconds by design: not for the examples."""

    @property
    def full_name(self) -> str:
        """The domain as it stands in an address."""
        return f"{self.name}.{ZONE}"


def mail(name: str, about: str, script: Script, known: Expected = EXISTS, unknown: Expected = NO_SUCH_USER) -> Domain:
    """Return a domain with one mail host of its own."""
    return Domain(name=name, about=about, hosts=(Host(name, script),), known=known, unknown=unknown)


def slow(name: str, about: str, script: Script, known: Expected = EXISTS, unknown: Expected = NO_SUCH_USER) -> Domain:
    """Return a domain with one mail host that takes its time."""
    return replace(mail(name, about, script, known, unknown), is_slow=True)


def always(name: str, about: str, script: Script, expected: Expected) -> Domain:
    """Return a domain whose host treats all recipients alike."""
    return mail(name, about, script, expected, expected)


def unreached(name: str, about: str, dns: Dns, expected: Expected, *, is_slow: bool = False) -> Domain:
    """Return a domain that no mail host is asked about."""
    return Domain(name=name, about=about, dns=dns, known=expected, unknown=expected, is_slow=is_slow)
