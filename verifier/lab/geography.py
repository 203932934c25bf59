"""Where everything of the lab is: the address of every mail host, and what the name server tells about every name."""

from collections.abc import Sequence

import dns.rcode

from verifier.lab.dns_server import Answer
from verifier.lab.domain import HOSTS_ZONE, ZONE, Dns, Domain, Host
from verifier.lab.script import Script

_HOSTS_A_NETWORK = 200
_TRUNCATED_PADDING = 20
IPV6_ADDRESS = "::1"


class Geography:
    """The names and addresses of a catalogue. Mail hosts live at 127.77.0.1 and up, in the order of the catalogue."""

    origin = ZONE

    def __init__(self, catalogue: Sequence[Domain]) -> None:
        self.addresses: dict[str, str] = {}
        """Mail host (its short name) -> address."""
        self.scripts: dict[str, Script | None] = {}
        """Mail host -> its script; None where its port is closed."""
        self.holes: list[str] = []
        """Addresses where connecting is neither granted nor refused."""
        self.served: dict[str, set[str]] = {}
        """Mail host -> the domains whose recipients it takes."""
        self._answers = {
            ZONE: Answer({"NS": [f"ns.{ZONE}."]}),
            f"ns.{ZONE}": Answer({"A": ["127.0.0.1"]}),
            HOSTS_ZONE: Answer(),
            host_name("failing"): Answer(code=dns.rcode.SERVFAIL),
            host_name("private"): Answer({"A": ["10.0.0.1", "192.168.1.1"], "AAAA": ["fd00::1"]}),
            host_name("metadata"): Answer({"A": ["169.254.169.254"], "AAAA": ["fe80::1", "::ffff:169.254.169.254"]}),
        }
        self._addresses_given = 0
        for domain in catalogue:
            for host in domain.hosts:
                if host.name not in self.scripts:
                    self._settle(host)
                elif self.scripts[host.name] != host.script:
                    message = f"two scripts for the mail host {host.name}"
                    raise ValueError(message)
                self.served.setdefault(host.name, {host_name(host.name)}).add(domain.full_name)
        for domain in catalogue:
            if domain.dns is Dns.MX_ALIAS:
                for host in domain.hosts:
                    alias = Answer({"CNAME": [f"{host_name(host.name)}."]})
                    self._answers[host_name(f"{host.name}-alias")] = alias
            if domain.dns is not Dns.NXDOMAIN:
                self._answers[domain.full_name] = self._answer(domain)

    def find(self, name: str) -> Answer | None:
        """The answer for a lower-case name; None where there is no such name."""
        return self._answers.get(name)

    def _settle(self, host: Host) -> None:
        """Give a mail host its addresses."""
        self.scripts[host.name] = host.script
        if host.is_ipv6:
            if IPV6_ADDRESS in self.addresses.values():
                message = f"no second IPv6 address for the mail host {host.name}"
                raise ValueError(message)
            self.addresses[host.name] = IPV6_ADDRESS
            self._answers[host_name(host.name)] = Answer({"AAAA": [IPV6_ADDRESS]})
            return
        addresses = [self._next_address() for _ in range(1 + host.dead_addresses)]
        self.addresses[host.name] = addresses[0]
        self._answers[host_name(host.name)] = Answer({"A": addresses})
        if host.is_blackholed:
            self.holes.append(addresses[0])

    def _next_address(self) -> str:
        number = self._addresses_given
        self._addresses_given += 1
        return f"127.77.{number // _HOSTS_A_NETWORK}.{number % _HOSTS_A_NETWORK + 1}"

    def _answer(self, domain: Domain) -> Answer:
        if domain.dns in _ALIKE:
            return _ALIKE[domain.dns]
        exchanges = [f"{host.preference} {host_name(host.name)}." for host in domain.hosts]
        match domain.dns:
            case Dns.MX_ALIAS:
                exchanges = [f"{host.preference} {host_name(f'{host.name}-alias')}." for host in domain.hosts]
            case Dns.NULL_BESIDE:
                exchanges.insert(0, "0 .")
            case Dns.LOST_BESIDE:
                exchanges.insert(0, f"5 {_LOST[0]}.")
            case Dns.TRUNCATED:
                # The further records say that the list is long; they name a host that is there.
                name = host_name(domain.hosts[0].name)
                exchanges += [f"{preference} {name}." for preference in range(20, 20 + _TRUNCATED_PADDING)]
                return Answer({"MX": exchanges}, is_truncated=True)
            case Dns.IMPLICIT:
                return Answer({"A": [self.addresses[host.name] for host in domain.hosts]})
            case Dns.ALIAS:
                return Answer({"CNAME": [f"{domain.alias_of}.{ZONE}."]})
        return Answer({"MX": exchanges})


def host_name(short: str) -> str:
    """The full name of a mail host."""
    return f"{short}.{HOSTS_ZONE}"


_LOST = (host_name("gone-1"), host_name("gone-2"))
_ALIKE = {
    Dns.NULL_MX: Answer({"MX": ["0 ."]}),
    Dns.LOST_HOSTS: Answer({"MX": [f"10 {_LOST[0]}.", f"20 {_LOST[1]}."]}),
    Dns.FAILING_HOST: Answer({"MX": [f"10 {host_name('failing')}."]}),
    Dns.PRIVATE_HOST: Answer({"MX": [f"10 {host_name('private')}."]}),
    Dns.METADATA_HOST: Answer({"MX": [f"10 {host_name('metadata')}."]}),
    Dns.NO_DATA: Answer({"TXT": ['"v=spf1 -all"']}),
    Dns.SERVFAIL: Answer(code=dns.rcode.SERVFAIL),
    Dns.REFUSED: Answer(code=dns.rcode.REFUSED),
    Dns.SILENT: Answer(is_silent=True),
}
"""What is told of domains whose mail hosts are not the lab's."""
