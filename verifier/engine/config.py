"""What an engine must be told: who we are, whom we ask, how long we wait and how polite we are."""

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Nameserver:
    """A DNS server by address and port."""

    address: str
    port: int = 53


@dataclass(frozen=True, slots=True)
class Zone:
    """A part of the name space with a name server and an SMTP port of its own (split horizon).

    `suffix` is lower-case without dots at its ends; the empty suffix covers every name. Mail hosts under the suffix of
    domains under the suffix may be on loopback and are asked at `smtp_port`.
    """

    suffix: str
    nameserver: Nameserver
    smtp_port: int

    def covers(self, name: str) -> bool:
        """Tell whether a lower-case name without a final dot lies in this zone."""
        return not self.suffix or name == self.suffix or name.endswith("." + self.suffix)


@dataclass(frozen=True, slots=True)
class Budgets:
    """How long one step may take, in seconds.

    RFC 5321 section 4.5.3.2 would wait minutes: what expires here is unknown, never gone.
    """

    dns_try_seconds: float = 2.0
    dns_seconds: float = 6.0
    connect_seconds: float = 8.0
    banner_seconds: float = 20.0
    command_seconds: float = 15.0
    session_seconds: float = 90.0
    quit_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Socks5:
    """A SOCKS5 proxy (RFC 1928), with a user name and a password where it wants them (RFC 1929)."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Way:
    """A way out: from an address of this machine, or through a proxy; neither means the system's choice."""

    source: str | None = None
    """A numeric address; mail hosts of its family alone are asked this way."""
    proxy: Socks5 | None = None
    helo: str | None = None
    """The name to greet with where it differs: that of the address that the mail host sees."""

    @property
    def is_for_ipv6(self) -> bool | None:
        """Whether the way leads to IPv6 addresses alone, or to IPv4 alone; None where to both."""
        return ":" in self.source if self.source else None


@dataclass(frozen=True, slots=True)
class Egress:
    """The ways out to mail hosts whose name has a suffix; the empty suffix is every name's."""

    suffix: str
    ways: tuple[Way, ...]

    def covers(self, name: str) -> bool:
        """Tell whether it is meant for a mail host."""
        return not self.suffix or name == self.suffix or name.endswith("." + self.suffix)


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Everything an engine needs to know; made once from the settings."""

    helo: str
    """The name given in EHLO, a fully qualified one where there is one."""
    mail_from: str
    """The envelope sender; the null sender is only a fall-back."""
    nameservers: tuple[Nameserver, ...] = ()
    """Asked in this order; none means those of the system's resolv.conf."""
    smtp_port: int = 25
    zones: tuple[Zone, ...] = ()
    allow_networks: tuple[Network, ...] = ()
    """Private networks whose mail hosts may be asked all the same."""
    concurrency: int = 40
    """Open SMTP connections at a time."""
    connections_per_address: int = 2
    """Open SMTP connections to one address of a mail host at a time."""
    refusals_per_connection: int = 9
    """Refused recipients after which a connection is ended: Postfix slows at 10 and hangs up at 20."""
    catchall_seconds: float = 3600.0
    """How long it is remembered whether a domain takes a random recipient."""
    accept_then_bounce: tuple[str, ...] = ()
    """Suffixes of mail hosts that accept at RCPT and bounce later, beside those of the packaged table."""
    egress: tuple[Egress, ...] = ()
    """The ways out by mail host; the longest suffix that covers the host's name counts."""
    budgets: Budgets = field(default_factory=Budgets)

    def zone_of(self, name: str) -> Zone | None:
        """Return the zone with the longest suffix that covers a name, or None."""
        found = [zone for zone in self.zones if zone.covers(name)]
        return max(found, key=lambda zone: len(zone.suffix), default=None)
