"""The random recipients of one conversation: which are known, which are waited for, and whose turn it is."""

from verifier.engine.asks import Probe
from verifier.engine.memory import CatchallMemory
from verifier.engine.session import Session


class Probes:
    """Keeps the random recipient of every domain at every mail host, and where it is to be asked about next."""

    def __init__(self, catchall: CatchallMemory) -> None:
        self._catchall = catchall
        self._known: dict[tuple[str, str], Probe] = {}
        self._idle: dict[str, list[Probe]] = {}
        """By mail host, those that somebody waits for and nobody is asking about."""
        self._own: dict[int, list[Probe]] = {}
        """By session, those that only count when they are asked about in that session."""

    def of(self, domain: str, host: str) -> Probe:
        """Return the random recipient of a domain, with what was remembered of it."""
        probe = self._known.get((domain, host))
        if probe is None:
            remembered = self._catchall.recall(domain, host)
            is_settled = remembered is not None
            probe = Probe(self._catchall.recipient(domain), domain, host, answered=remembered, is_settled=is_settled)
            self._known[domain, host] = probe
        return probe

    def is_shared(self, probe: Probe) -> bool:
        """Tell whether a random recipient serves all sessions, not one alone."""
        return self._known.get((probe.domain, probe.host)) is probe

    def own(self, probe: Probe, session: Session) -> Probe:
        """Return the random recipient of a domain that is to be asked about in this session, whatever is known."""
        own = self._own.setdefault(session.number, [])
        found = next((each for each in own if each.domain == probe.domain), None)
        if found is None:
            found = Probe(probe.path, probe.domain, probe.host)
            own.append(found)
        return found

    def make_idle(self, probe: Probe) -> None:
        """Have a random recipient asked about by whichever session comes next."""
        idle = self._idle.setdefault(probe.host, [])
        if probe not in idle:
            idle.append(probe)

    def idle_count(self, host: str) -> int:
        """Return how many wait for a session with a mail host."""
        return len(self._idle.get(host, ()))

    def take_ready(self, session: Session) -> list[Probe]:
        """Take out those that a session may ask about now."""
        return [*self._own.pop(session.number, ()), *self._idle.pop(session.host, ())]

    def put_aside(self, probes: list[Probe], session: Session) -> None:
        """Put back those that there was no room for."""
        for probe in probes:
            if self.is_shared(probe):
                self.make_idle(probe)
            else:
                self._own.setdefault(session.number, []).append(probe)

    def drop_own(self, session: Session) -> list[Probe]:
        """Forget those of a session that has ended, and return them."""
        return self._own.pop(session.number, [])

    def drop_idle(self, host: str) -> list[Probe]:
        """Forget those that wait for a mail host, and return them."""
        return self._idle.pop(host, [])
