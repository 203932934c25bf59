"""The records that a conversation keeps: one for each address that is asked about, one for each random recipient."""

from collections.abc import Container
from dataclasses import dataclass, field

from verifier.engine.domain import MailHost, Route
from verifier.engine.evidence import Evidence, Stage
from verifier.engine.findings import Answered, Failure, Findings
from verifier.engine.syntax import Address

_ORDER = {stage: number for number, stage in enumerate(Stage)}


@dataclass(slots=True, eq=False)
class Ask:
    """One address on its way to a verdict."""

    address: Address
    route: Route
    answers: list[Answered] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    trace: tuple[Evidence, ...] = ()
    """What was seen in the session that answered last, before RCPT."""
    hosts_done: set[str] = field(default_factory=set)
    """Mail hosts that have said all they have to say about it."""
    cuts: int = 0
    """Sessions that ended when it was this address's turn."""
    asked: int = 0

    def next_host(self, down: Container[str]) -> MailHost | None:
        """Return the best mail host that may still know more, or None."""
        for host in self.route.hosts:
            if host.name not in self.hosts_done and host.name not in down:
                return host
        return None

    def findings(self, probe: "Probe | None", *, accepts_then_bounces: bool) -> Findings:
        """Return all that was found out."""
        return Findings(
            route=self.route.outcome,
            hosts=tuple(host.name for host in self.route.hosts),
            answers=tuple(self.answers),
            failures=tuple(self.failures),
            probe=probe.answered if probe else None,
            probe_failure=probe.failure if probe else None,
            accepts_then_bounces=accepts_then_bounces,
        )

    def evidence(self, probe: "Probe | None") -> tuple[Evidence, ...]:
        """Return what was seen, in the order of the stages."""
        seen = [*self.route.evidence, *self.trace, *(failure.evidence for failure in self.failures)]
        seen += [answered.as_evidence(Stage.RCPT) for answered in self.answers]
        if probe is not None and probe.answered is not None:
            seen.append(probe.answered.as_evidence(Stage.CATCHALL_PROBE))
        elif probe is not None and probe.failure is not None:
            seen.append(probe.failure.evidence)
        if not self.failures and len(self.answers) == 1:
            return tuple(seen)  # in order as they are, which is nearly always so
        return tuple(sorted(dict.fromkeys(seen), key=lambda each: _ORDER[each.stage]))


@dataclass(slots=True, eq=False)
class Probe:
    """The random recipient of a domain at one mail host, and the addresses that wait for what it shows."""

    path: str
    domain: str
    host: str
    answered: Answered | None = None
    failure: Failure | None = None
    tries: int = 0
    is_in_flight: bool = False
    is_settled: bool = False
    """It shows something, or was given up."""
    waiting: list[Ask] = field(default_factory=list)


@dataclass(slots=True)
class Batch:
    """What is asked in one go: addresses, then random recipients."""

    items: list[Ask | Probe] = field(default_factory=list)
    needs_smtputf8: bool = False
    is_last: bool = False
    """Nothing is to be asked in the same session after it."""

    @property
    def paths(self) -> list[str]:
        """The recipients, in order."""
        return [item.path if isinstance(item, Probe) else item.address.email for item in self.items]
