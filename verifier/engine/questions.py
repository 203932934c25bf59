"""What a conversation still has to ask, and what each reply settles: the bookkeeping between sessions and verdicts."""

from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from verifier.engine import room, verdict
from verifier.engine.asks import Ask, Batch, Probe
from verifier.engine.domain import MailHost
from verifier.engine.evidence import Stage
from verifier.engine.findings import Answered, Cause, Failure, failed
from verifier.engine.memory import CatchallMemory
from verifier.engine.probes import Probes
from verifier.engine.replies import Meaning, meaning_at_rcpt
from verifier.engine.session import Session
from verifier.engine.transaction import Heard

_ASKED_MAX = 8
_CUTS_MAX = 3
_PROBE_TRIES_MAX = 2
_PROBE_CUTS_MAX = 3
_BLOCKS_IN_A_ROW = 3
_ASK_NEXT_HOST = frozenset({Meaning.TEMPORARY, Meaning.SERVER_ERROR, Meaning.RELAY_DENIED, Meaning.TOO_MANY_RECIPIENTS})


class Questions:
    """The addresses of one conversation until they are settled."""

    def __init__(
        self,
        catchall: CatchallMemory,
        accepts_then_bounces: Callable[[str], bool],
        settled: Callable[[Ask, Probe | None], None],
    ) -> None:
        self._catchall = catchall
        self._probes = Probes(catchall)
        self._accepts_then_bounces = accepts_then_bounces
        self._settled = settled
        self._queues: dict[str, deque[Ask]] = {}
        self._hosts: dict[str, MailHost] = {}
        self._down: dict[str, list[Failure]] = {}
        self._contrasts: dict[int, set[str]] = {}
        self._blocks: dict[str, int] = {}
        self._unsettled: dict[Ask, None] = {}

    def put(self, ask: Ask, *, at_front: bool = False) -> None:
        """Queue an address for the best host that may know more; settle it where there is none."""
        self._unsettled[ask] = None
        host = ask.next_host(self._down)
        if host is None:
            self._settle(ask, None)
            return
        self._hosts.setdefault(host.name, host)
        queue = self._queues.setdefault(host.name, deque())
        (queue.appendleft if at_front else queue.append)(ask)

    def work(self) -> Iterator[tuple[MailHost, int]]:
        """Yield the mail hosts that there is something to ask, with the number of recipients."""
        for name, host in sorted(self._hosts.items(), key=lambda each: each[1].preference):
            waiting = len(self._queues.get(name, ())) + self._probes.idle_count(name)
            if waiting:
                yield host, waiting

    def has_work(self, host: str) -> bool:
        """Tell whether there is something to ask a mail host."""
        return bool(self._queues.get(host) or self._probes.idle_count(host))

    def has_other_host(self, host: str) -> bool:
        """Tell whether the addresses that wait for a mail host could go to another one."""
        return any(ask.next_host({*self._down, host}) for ask in self._queues.get(host, ()))

    def take(self, session: Session) -> Batch | None:
        """Return the next batch for a session; None when it should end."""
        host, memory = session.host, session.memory
        free = room.of(session)
        left = min(free, memory.recipients_limit)
        queue = self._queues.get(host, deque())
        ready = self._probes.take_ready(session)
        is_short = room.is_too_short(session, left, len(queue)) and not ready
        if left <= 0 or is_short or not (queue or ready):
            self._probes.put_aside(ready, session)
            return None
        probes = ready[:left]
        self._probes.put_aside(ready[left:], session)
        left -= len(probes)
        if memory.gives_no_reason and not probes and left > 1:
            left -= 1  # for the random recipient that will be needed
        batch = self._fill(session, queue, probes, left)
        batch.is_last = not self._leaves_probes_open(batch, host) and room.is_used_up_by(
            session, len(batch.items), free, is_more_waiting=bool(queue)
        )
        return batch

    def _fill(self, session: Session, queue: deque[Ask], probes: list[Probe], left: int) -> Batch:
        """Take addresses, with the random recipients that are due beside them, as long as there is room."""
        batch = Batch()
        # Where a refusal says why it needs no random recipient: one is asked about when the first address was accepted.
        is_patient = session.memory.gives_reasons and len(queue) > 1
        while queue and left > 0:
            ask = queue[0]
            if batch.items and ask.address.needs_smtputf8 != batch.needs_smtputf8:
                break
            probe = self._probes.of(ask.address.domain, session.host)
            is_probe_due = not is_patient and self._is_open(probe) and probe not in probes
            if is_probe_due and left == 1 and (batch.items or probes):
                break
            batch.needs_smtputf8 = ask.address.needs_smtputf8
            batch.items.append(queue.popleft())
            ask.asked += 1
            left -= 1
            if is_probe_due and left > 0:
                probes.append(probe)
                left -= 1
        for probe in probes:
            probe.is_in_flight = True
        batch.items += probes
        return batch

    def _is_open(self, probe: Probe) -> bool:
        """Tell whether a random recipient is to be asked about, and nobody does so."""
        return not (probe.is_settled or probe.is_in_flight or self._accepts_then_bounces(probe.host))

    def _leaves_probes_open(self, batch: Batch, host: str) -> bool:
        """Tell whether an accepted address of a batch would have to wait for a random recipient."""
        domains = {item.address.domain for item in batch.items if isinstance(item, Ask)}
        return any(self._is_open(self._probes.of(domain, host)) for domain in domains)

    def record(self, batch: Batch, heard: Heard, session: Session) -> bool:
        """Take in what was heard; return whether the next batch needs a transaction of its own."""
        now = datetime.now(UTC)
        trace = tuple(session.trace)
        contrasts = self._contrasts.setdefault(session.number, set())
        answered = list(zip(batch.items, heard.replies, strict=False))
        for item, reply in answered:
            if isinstance(item, Ask) and meaning_at_rcpt(reply) is Meaning.ACCEPTED:
                contrasts.add(item.address.domain)
        is_anew_needed = False
        # Random recipients first: what they show settles addresses of the same batch.
        for item, reply in sorted(answered, key=lambda each: isinstance(each[0], Ask)):
            if isinstance(item, Probe):
                is_anew_needed |= self._record_probe(item, Answered(session.host, reply, now, session.number), session)
                continue
            item.trace = trace
            has_contrast = item.address.domain in contrasts
            mine = Answered(session.host, reply, now, session.number, has_contrast)
            is_anew_needed |= self._record_ask(item, mine, session, had_null_sender=heard.had_null_sender)
        unanswered = batch.items[len(heard.replies) :]
        if heard.is_cut_short:
            self._put_back(unanswered, heard, session)
        elif unanswered:
            self._record_cut(unanswered, heard, session)
        return is_anew_needed

    def close_session(self, session: Session) -> None:
        """Have what only that session could tell be asked again in another one."""
        self._contrasts.pop(session.number, None)
        for probe in self._probes.drop_own(session):
            for ask in probe.waiting:
                if ask.cuts + 1 < _CUTS_MAX and ask.asked < _ASKED_MAX:
                    ask.answers.pop()
                    self._count_cut(ask, None, session.host)
                else:
                    self._settle(ask, None)

    def lose_host(self, host: str, failures: list[Failure]) -> None:
        """Ask a mail host no more: its addresses go to the next one, or are settled."""
        self._down[host] = failures
        queue, self._queues[host] = self._queues.get(host, deque()), deque()
        for ask in queue:
            self.put(ask)
        for probe in self._probes.drop_idle(host):
            self._give_up_probe(probe, failures[-1] if failures else None)

    def give_up(self, failure: Failure) -> None:
        """Settle all that is left with a failure."""
        for ask in list(self._unsettled):
            ask.failures.append(failure)
            probe = self._probes.of(ask.address.domain, ask.answers[-1].host) if ask.answers else None
            if probe is not None and probe.answered is None:
                probe.failure = probe.failure or failure
            self._settle(ask, probe)

    def _record_ask(self, ask: Ask, answered: Answered, session: Session, *, had_null_sender: bool) -> bool:
        meaning = meaning_at_rcpt(answered.reply)
        if meaning is Meaning.TOO_MANY_RECIPIENTS and ask.asked < _ASKED_MAX:
            session.memory.recipients_limit = 1 if ask.asked > 1 else max(1, session.memory.recipients_limit // 2)
            self.put(ask, at_front=True)
            return True
        if meaning is Meaning.SENDER_REJECTED and not had_null_sender and ask.asked < _ASKED_MAX:
            session.memory.sender_refusal = answered.reply
            self.put(ask, at_front=True)
            return True
        ask.answers.append(answered)
        session.memory.gives_reasons |= meaning is Meaning.NO_SUCH_USER
        self._watch_for_block(meaning, answered)
        if meaning in _ASK_NEXT_HOST:
            ask.hosts_done.add(session.host)
            self.put(ask)
        elif verdict.needs_probe(answered) and not self._accepts_then_bounces(session.host):
            self._wait_for_probe(ask, answered, session)
        else:
            self._settle(ask, self._probes.of(ask.address.domain, session.host))
        return False

    def _wait_for_probe(self, ask: Ask, answered: Answered, session: Session) -> None:
        probe = self._probes.of(ask.address.domain, session.host)
        if meaning_at_rcpt(answered.reply) is Meaning.ACCEPTED:
            if probe.is_settled:
                self._settle(ask, probe)
                return
            probe.waiting.append(ask)
            if not probe.is_in_flight:
                self._make_idle(probe)
            return
        # A refusal without a reason: only a random recipient of the same session tells whether it is a block.
        if probe.answered is not None and probe.answered.conversation == session.number:
            self._settle(ask, probe)
            return
        session.memory.gives_no_reason = True
        self._probes.own(probe, session).waiting.append(ask)

    def _record_probe(self, probe: Probe, answered: Answered, session: Session) -> bool:
        meaning = meaning_at_rcpt(answered.reply)
        probe.is_in_flight = False
        probe.tries += 1
        probe.answered = answered
        if verdict.shows_catchall(answered) is not None:
            self._catchall.remember(probe.domain, probe.host, answered)
            self._settle_probe(probe)
            return False
        if not self._probes.is_shared(probe):
            self._settle_probe(probe)
            return False
        if meaning is Meaning.TOO_MANY_RECIPIENTS:
            session.memory.recipients_limit = max(1, session.memory.recipients_limit // 2)
        if probe.tries >= _PROBE_TRIES_MAX and (meaning is not Meaning.TOO_MANY_RECIPIENTS or probe.tries > _ASKED_MAX):
            self._settle_probe(probe)
        elif probe.waiting:
            self._make_idle(probe)
        return True

    def _record_cut(self, unanswered: list[Ask | Probe], heard: Heard, session: Session) -> None:
        """Put back what got no reply; whose turn it was when the session ended is counted."""
        failure = heard.failure or failed(Stage.RCPT, Cause.CLOSED, session.host)
        self._put_back(unanswered[1:], heard, session)
        first = unanswered[0]
        if isinstance(first, Probe):
            first.is_in_flight = False
            first.tries += 1
            if first.tries >= _PROBE_CUTS_MAX:
                self._give_up_probe(first, failure)
            elif first.waiting:
                first.failure = failure
                self._make_idle(first)
        elif failure.cause is Cause.EAI_UNSUPPORTED or (
            failure.cause is Cause.EXPIRED and (heard.replies or not heard.was_pipelined)
        ):
            self._give_up_at_host(first, failure, session.host)
        else:
            first.trace = tuple(session.trace)
            # What may be silent about one address alone is asked about the others first.
            self._count_cut(first, failure, session.host, at_front=failure.cause is not Cause.EXPIRED)

    def _put_back(self, items: list[Ask | Probe], heard: Heard, session: Session) -> None:
        """Have items asked about another time, in their order."""
        for item in reversed(items):
            if isinstance(item, Probe):
                item.is_in_flight = False
                if item.waiting:
                    self._make_idle(item)
            elif heard.failure is not None and heard.failure.cause is Cause.EAI_UNSUPPORTED:
                self._give_up_at_host(item, heard.failure, session.host)
            elif item.asked >= _ASKED_MAX:
                gave_up = failed(Stage.RCPT, Cause.CLOSED, session.host, detail="asked too often")
                self._give_up_at_host(item, heard.failure or gave_up, session.host)
            else:
                self.put(item, at_front=True)

    def _count_cut(self, ask: Ask, failure: Failure | None, host: str, *, at_front: bool = True) -> None:
        ask.cuts += 1
        if failure is not None:
            ask.failures.append(failure)
        if ask.cuts >= _CUTS_MAX or ask.asked >= _ASKED_MAX:
            ask.hosts_done.add(host)
        self.put(ask, at_front=at_front)

    def _give_up_at_host(self, ask: Ask, failure: Failure, host: str) -> None:
        ask.failures.append(failure)
        ask.hosts_done.add(host)
        self.put(ask)

    def _watch_for_block(self, meaning: Meaning, answered: Answered) -> None:
        """Leave a host alone that has blocked us several times in a row."""
        if meaning is not Meaning.BLOCKED:
            self._blocks[answered.host] = 0
            return
        self._blocks[answered.host] = self._blocks.get(answered.host, 0) + 1
        if self._blocks[answered.host] >= _BLOCKS_IN_A_ROW and answered.host not in self._down:
            self.lose_host(answered.host, [failed(Stage.RCPT, Cause.REPLY, answered.host, reply=answered.reply)])

    def _make_idle(self, probe: Probe) -> None:
        if probe.host in self._down:
            failures = self._down[probe.host]
            self._give_up_probe(probe, failures[-1] if failures else None)
            return
        self._probes.make_idle(probe)

    def _settle_probe(self, probe: Probe) -> None:
        probe.is_settled = True
        waiting, probe.waiting = probe.waiting, []
        for ask in waiting:
            self._settle(ask, probe)

    def _give_up_probe(self, probe: Probe, failure: Failure | None) -> None:
        probe.failure = failure or probe.failure
        self._settle_probe(probe)

    def _settle(self, ask: Ask, probe: Probe | None) -> None:
        if ask not in self._unsettled:
            return
        del self._unsettled[ask]
        for host in ask.route.hosts:
            ask.failures += [each for each in self._down.get(host.name, ()) if each not in ask.failures]
        self._settled(ask, probe)
