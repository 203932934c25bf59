"""Where a request comes from, for the list of a person's sessions; known to whoever asks within the request."""

from contextvars import ContextVar
from dataclasses import dataclass

_AGENT_CHARACTERS_MAX = 500


@dataclass(frozen=True, slots=True)
class Device:
    """A client: its user agent and its network address, as far as they are known."""

    user_agent: str | None = None
    ip_address: str | None = None

    @classmethod
    def seen(cls, user_agent: str | None, ip_address: str | None) -> "Device":
        """A client as a request shows it; what a database cannot keep is taken out of its name."""
        agent = (user_agent or "").replace("\0", "")[:_AGENT_CHARACTERS_MAX].strip()
        return cls(agent or None, ip_address)


HERE: ContextVar[Device] = ContextVar("device", default=Device())  # noqa: B039 - frozen
"""The client of the request that is being answered; set by the edge."""
