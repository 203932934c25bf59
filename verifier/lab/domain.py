"""What a domain of the lab is: its DNS, its mail hosts and the verdicts that are right for its addresses."""

from dataclasses import dataclass
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
NO_SUCH_USER = Expected(Status.NOT_EXISTS, Reason.NO_SUCH_USER)


class Dns(Enum):
    """How the name server answers for a domain."""

    MAIL = "MX records that name the domain's hosts"
    IMPLICIT = "no MX, and the address of its host (RFC 5321 section 5.1)"
    MX_ALIAS = "MX records that name aliases of the domain's hosts (against RFC 2181 section 10.3)"
    ALIAS = "a CNAME to another domain"
    NULL_MX = "one MX with the root as its host (RFC 7505)"
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
    is_slow: bool = False
    """A check takes seconds by design: not for the examples."""

    @property
    def full_name(self) -> str:
        """The domain as it stands in an address."""
        return f"{self.name}.{ZONE}"
