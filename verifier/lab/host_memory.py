"""What a mail host of the lab remembers of its clients: lives as long as the host, not as a connection."""

from collections import OrderedDict, deque
from collections.abc import Callable

_TRIPLETS_MAX = 200_000


class Greylist:
    """Remembers when a client first asked for a recipient (RFC 6647 section 2)."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._first_asked_at: OrderedDict[tuple[str, str, str], float] = OrderedDict()

    def is_open(self, client: str, sender: str, recipient: str, window_seconds: float) -> bool:
        """Tell whether this triplet has waited long enough; the first question starts its wait."""
        now = self._clock()
        while len(self._first_asked_at) > _TRIPLETS_MAX:
            self._first_asked_at.popitem(last=False)
        return now - self._first_asked_at.setdefault((client, sender, recipient), now) >= window_seconds


class Tally:
    """Counts the recipients that each client asked for. Clients are few: the lab is asked from loopback."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._asked_at: dict[str, deque[float]] = {}
        self._counts: dict[str, int] = {}
        self._blocked_until: dict[str, float] = {}

    def is_over_rate(self, client: str, recipients_max: int, window_seconds: float) -> bool:
        """Count a recipient; tell whether the client asked for more than it may within the window."""
        now = self._clock()
        asked_at = self._asked_at.setdefault(client, deque())
        while asked_at and asked_at[0] <= now - window_seconds:
            asked_at.popleft()
        if len(asked_at) >= recipients_max:
            return True
        asked_at.append(now)
        return False

    def is_blocked(self, client: str) -> bool:
        """Tell whether a client is blocked now."""
        return self._blocked_until.get(client, 0.0) > self._clock()

    def is_block_due(self, client: str, recipients_max: int, block_seconds: float) -> bool:
        """Count a recipient; block the client where it is one too many, and tell whether it is blocked."""
        if self.is_blocked(client):
            return True
        self._counts[client] = self._counts.get(client, 0) + 1
        if self._counts[client] <= recipients_max:
            return False
        self._counts[client] = 0
        self._blocked_until[client] = self._clock() + block_seconds
        return True
