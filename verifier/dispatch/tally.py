"""What this worker did with each mail host, counted in memory and added to the table now and then."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from verifier.engine.evidence import Evidence, Result, Stage, Status
from verifier.store.database import Pool
from verifier.store.queries import figures
from verifier.store.queries.figures import Figures
from verifier.store.queries.leases import Word

FLUSH_SECONDS = 5.0
REFUSAL = 400


@dataclass(slots=True)
class Tally:
    """Figures by mail host since the last flush; a killed worker loses those of some seconds."""

    pool: Pool
    by_host: dict[str, Figures] = field(default_factory=dict)

    def count(self, mail_host: str, results: Sequence[Result], word: Word) -> None:
        """Add what a chunk's addresses of one mail host came to."""
        figures_of_host = self.by_host.setdefault(mail_host, Figures())
        figures_of_host.addresses += len(results)
        figures_of_host.slowdowns += word is Word.SLOWER
        figures_of_host.pauses += word is Word.BLOCKED
        connections: set[tuple[object, ...]] = set()
        for result in results:
            match result.status:
                case Status.EXISTS:
                    figures_of_host.exists_count += 1
                case Status.NOT_EXISTS:
                    figures_of_host.not_exists_count += 1
                case Status.CATCHALL:
                    figures_of_host.catchall_count += 1
                case _:
                    figures_of_host.unknown_count += 1
            _count_evidence(figures_of_host, result.evidence, connections)
        figures_of_host.connections += len(connections)

    async def flush(self) -> None:
        """Add everything to the table."""
        by_host, self.by_host = self.by_host, {}
        if by_host:
            await figures.add(self.pool, by_host)

    async def keep_flushing(self) -> None:
        """Flush every five seconds, for ever."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()


def _count_evidence(
    figures_of_host: Figures, evidence: Sequence[Evidence], connections: set[tuple[object, ...]]
) -> None:
    """Count what was seen on the way to one address; the connection is one that many addresses saw."""
    connected_at = None
    for item in evidence:
        if item.stage is Stage.CONNECT:
            connected_at = item.occurred_at
            connections.add((item.host, item.occurred_at))
        elif item.stage is Stage.RCPT and item.code is not None:
            figures_of_host.refusals += item.code >= REFUSAL
            if connected_at is not None:
                figures_of_host.answers += 1
                figures_of_host.answer_seconds += (item.occurred_at - connected_at).total_seconds()
