"""What an engine learns about mail hosts and domains while it runs, and the gates that keep it polite."""

import asyncio
import contextlib
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from verifier.engine.config import EngineConfig, Way
from verifier.engine.findings import Answered
from verifier.engine.replies import Reply

_HOSTS_MAX = 20_000
_DOMAINS_MAX = 20_000
_PEACEFUL_SESSIONS = 8
_RECIPIENTS_PER_TRANSACTION = 50  # RFC 5321 section 4.5.3.1.8 promises 100


@dataclass(slots=True)
class HostMemory:
    """What is known of one address of a mail host."""

    refusals_limit: int
    """Refused commands after which a connection is ended; shrinks when the host hangs up, grows again slowly."""
    sessions_at_limit: int = 0
    """Sessions in a row that reached the limit and ended in peace."""
    recipients_limit: int = _RECIPIENTS_PER_TRANSACTION
    drops_pipeliners: bool = False
    breaks_tls: bool = False
    wants_helo: bool = False
    gives_no_reason: bool = False
    """It refuses without saying why, so that a random recipient is needed in every session that meets a refusal."""
    gives_reasons: bool = False
    """It said of a recipient that there is no such user, so that its refusals need no random recipient beside them."""
    takes_mail: bool = False
    """It accepted a MAIL command, so that recipients may go out with the next one without being refused for it."""
    wants_tls: bool = False
    """It demands STARTTLS, whether or not it offers it."""
    sender_refusal: Reply | None = None
    """How the configured sender was refused: the null sender is tried (RFC 5321 section 4.5.5)."""

    def saw_hang_up(self, refusals: int) -> None:
        """Bear fewer refusals: the host has hung up after so many."""
        self.sessions_at_limit = 0
        self.refusals_limit = max(1, min(self.refusals_limit, refusals or self.refusals_limit // 2))

    def saw_peaceful_end(self, refusals: int, limit_max: int) -> None:
        """Bear one more again after several sessions that reached the limit unharmed."""
        if refusals < self.refusals_limit or self.refusals_limit >= limit_max:
            return
        self.sessions_at_limit += 1
        if self.sessions_at_limit >= _PEACEFUL_SESSIONS:
            self.sessions_at_limit = 0
            self.refusals_limit += 1


class HostMemories:
    """Memories by address and port, the least recently used forgotten first."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._kept: OrderedDict[tuple[str, int], HostMemory] = OrderedDict()

    def of(self, address: str, port: int) -> HostMemory:
        """Return the memory of a host's address, a fresh one at first."""
        key = (address, port)
        found = self._kept.setdefault(key, HostMemory(refusals_limit=self._config.refusals_per_connection))
        self._kept.move_to_end(key)
        while len(self._kept) > _HOSTS_MAX:
            self._kept.popitem(last=False)
        return found


class CatchallMemory:
    """Remembers by domain and mail host how a random recipient was answered (rules 10), and names that recipient."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._kept: OrderedDict[tuple[str, str], tuple[float, Answered]] = OrderedDict()

    def recall(self, domain: str, host: str) -> Answered | None:
        """Return the reply that was remembered, unless it is too old."""
        found = self._kept.get((domain, host))
        return found[1] if found and found[0] > time.monotonic() else None

    def remember(self, domain: str, host: str, answered: Answered) -> None:
        """Remember a reply that tells whether the domain takes every recipient."""
        self._kept[domain, host] = (time.monotonic() + self._config.catchall_seconds, answered)
        self._kept.move_to_end((domain, host))
        while len(self._kept) > _DOMAINS_MAX:
            self._kept.popitem(last=False)

    def recipient(self, domain: str) -> str:
        """Return the random recipient of a domain.

        It is the same for a month in all workers, so that a greylist that met it once knows it when it is asked again.
        """
        month = datetime.now(UTC).strftime("%Y-%m")
        digest = hashlib.blake2b(f"{self._config.mail_from} {domain} {month}".encode(), digest_size=10).hexdigest()
        letters = digest.translate(str.maketrans("0123456789", "ghijkmnopq"))
        return f"{letters[:9]}.{letters[9:]}@{domain}"


class Gates:
    """Holds the number of open connections down: in all, and to one address from one of ours."""

    def __init__(self, config: EngineConfig) -> None:
        self._total = asyncio.Semaphore(config.concurrency)
        self._per_address = config.connections_per_address
        self._by_address: dict[tuple[str, int, Way], tuple[asyncio.Semaphore, list[None]]] = {}

    @contextlib.asynccontextmanager
    async def connection(self, address: str, port: int, way: Way) -> AsyncIterator[None]:
        """Wait for the right to have a connection open; always in the same order, so that nobody waits in a ring."""
        key = (address, port, way)
        semaphore, users = self._by_address.setdefault(key, (asyncio.Semaphore(self._per_address), []))
        users.append(None)
        try:
            async with semaphore, self._total:
                yield
        finally:
            users.pop()
            if not users:
                self._by_address.pop(key, None)
