"""Everything that happens to the caller's things, live, and again from a moment on.

There is no log of events: a change is found by its time on the row, so what is told is always the row as it is now.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from db import ids, models
from db.models import ApiKeyScope
from db.queries import credits as credit_queries
from db.queries import tasks as queries
from resolvers.context import Info
from services.actor import Actor
from services.errors import BadRequest

_GAP = timedelta(seconds=0.5)
"""At most two looks a second."""
_OVERLAP = timedelta(seconds=10)
"""A change is timed before it is committed: each look goes back this far, and what was told is not told again."""
_REPLAY_MAX = timedelta(hours=1)
_HEARTBEAT_EVERY = timedelta(seconds=30)
_REMEMBERED_MAX = 1_000
_TASKS_MAX = 100
_KIND = "event"


@dataclass(frozen=True, slots=True)
class TaskChanged:
    """A task was made, moved on or finished."""

    task: models.Task

    @property
    def occurred_at(self) -> datetime:
        """When it happened."""
        return self.task.updated_at

    @property
    def event_id(self) -> str:
        """Id of the event."""
        return _event_id(self.occurred_at)


@dataclass(frozen=True, slots=True)
class CreditsChanged:
    """The balance moved."""

    credits: models.CreditAccount

    @property
    def occurred_at(self) -> datetime:
        """When it happened."""
        return self.credits.updated_at

    @property
    def event_id(self) -> str:
        """Id of the event."""
        return _event_id(self.occurred_at)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing happened, and the line is up."""

    occurred_at: datetime
    latest_at: datetime

    @property
    def event_id(self) -> str:
        """Id of the latest event."""
        return _event_id(self.latest_at)


Event = TaskChanged | CreditsChanged | Heartbeat


async def viewer_events(info: Info, after: str | None = None) -> AsyncGenerator[Event, None]:
    """A heartbeat, what happened after `after`, then everything as it happens.

    Raises:
        BadRequest: `after` is not the id of an event.

    """
    actor, parts = info.context.require(ApiKeyScope.TASKS_READ), info.context.parts
    began_at = parts.now()
    since = max(_moment(after), began_at - _REPLAY_MAX) if after is not None else began_at
    told: dict[Any, Any] = {}
    spoke_at = began_at
    yield Heartbeat(began_at, since)
    changes = parts.hub.changes(actor.account_id, gap=_GAP)
    try:
        async for _ in changes:
            events = await _news(info, actor, since if not told else since - _OVERLAP, told)
            for event in events:
                since = max(since, event.occurred_at)
                yield event
            now = parts.now()
            if events:
                spoke_at = now
            elif now - spoke_at >= _HEARTBEAT_EVERY:
                spoke_at = now
                yield Heartbeat(now, since)
    finally:
        await changes.aclose()


async def _news(info: Info, actor: Actor, since: datetime, told: dict[Any, Any]) -> list[Event]:
    """What changed since a moment and was not told yet, in the order in which it happened."""
    async with info.context.parts.db.read() as session:
        tasks: Sequence[models.Task] = await queries.changed_since(session, actor.account_id, since, limit=_TASKS_MAX)
        balance = None
        if actor.scopes is None or ApiKeyScope.CREDITS_READ in actor.scopes:
            balance = (await credit_queries.by_accounts(session, [actor.account_id])).get(actor.account_id)
    found: list[Event] = [TaskChanged(task) for task in tasks if _is_new(told, task.id, (task.status, task.metrics))]
    if balance is not None and balance.updated_at > since:
        face = (balance.balance, balance.held, balance.debt)
        if _is_new(told, "credits", face):
            found.append(CreditsChanged(balance))
    return sorted(found, key=lambda event: event.occurred_at)


def _is_new(told: dict[Any, Any], key: Any, face: Any) -> bool:  # noqa: ANN401 - a task's id, or a word
    if told.get(key) == face:
        return False
    told.pop(key, None)
    told[key] = face
    if len(told) > _REMEMBERED_MAX:
        del told[next(iter(told))]
    return True


def _event_id(at: datetime) -> str:
    return f"{_KIND}_{ids.encode(int(at.timestamp() * 1_000_000))}"


def _moment(event_id: str) -> datetime:
    kind, _, digits = event_id.partition("_")
    micros = ids.decode(digits) if kind == _KIND and 0 < len(digits) <= 10 else None
    try:
        if micros is not None:
            return datetime.fromtimestamp(micros / 1_000_000, UTC)
    except (ValueError, OverflowError):  # after the year 9999
        pass
    message = "`after` is not the id of an event."
    raise BadRequest(message)
