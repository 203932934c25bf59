"""Everything that happens to the caller's things, live, and again from a moment on.

There is no log of events: a change is found by its time on the row, so what is told is always the row as it is now.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from db import ids, models
from db.models import ApiKeyScope
from db.queries import credits as credit_queries
from db.queries import tasks as queries
from db.session import Database, ReadSession
from resolvers.context import Info
from services.actor import Actor
from services.errors import BadRequest

_GAP = timedelta(seconds=0.5)
"""At most two looks a second."""
_OVERLAP = timedelta(seconds=10)
"""A change is timed before it is committed: each look goes back this far, and what was told is not told again.

So a look reads what an account's tasks did in these seconds, and what is remembered is as much."""
_REPLAY_MAX = timedelta(hours=1)
_HEARTBEAT_EVERY = timedelta(seconds=30)
_TASKS_AT_A_TIME = 100
_LAST_ID = UUID(int=(1 << 128) - 1)
_KIND = "event"

_Face = tuple[object, ...]
"""What of a thing is told: as long as this is the same, nothing has happened to it."""


@dataclass(frozen=True, slots=True)
class TaskChanged:
    """A task was made, moved on or finished."""

    task: models.Task

    @property
    def subject_id(self) -> UUID:
        """What changed."""
        return self.task.id

    @property
    def face(self) -> _Face:
        """What of it is told."""
        return self.task.status, self.task.metrics

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
    def subject_id(self) -> UUID:
        """Whose balance changed."""
        return self.credits.account_id

    @property
    def face(self) -> _Face:
        """What of it is told."""
        return self.credits.balance, self.credits.held, self.credits.debt

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
    since = min(max(_moment(after), began_at - _REPLAY_MAX), began_at) if after is not None else began_at
    told: dict[UUID, _Face] = {}
    if after is None:  # what was there before is no news; what was timed before, but is committed later, will be
        async for event in _changes(parts.db, actor, since - _OVERLAP):
            if event.occurred_at <= since:
                told[event.subject_id] = event.face
    spoke_at = began_at
    yield Heartbeat(began_at, since)
    changes = parts.hub.changes(actor.account_id, gap=_GAP)
    try:
        async for _ in changes:
            seen: dict[UUID, _Face] = {}
            is_silent = True
            async for event in _changes(parts.db, actor, since - _OVERLAP):
                seen[event.subject_id] = event.face
                if told.get(event.subject_id) != event.face:
                    is_silent = False
                    since = max(since, event.occurred_at)
                    yield event
            told = seen  # the next look sees all of it again, and what has gone on
            now = parts.now()
            if not is_silent:
                spoke_at = now
            elif now - spoke_at >= _HEARTBEAT_EVERY:
                spoke_at = now
                yield Heartbeat(now, since)
    finally:
        await changes.aclose()


async def _changes(db: Database, actor: Actor, since: datetime) -> AsyncGenerator[TaskChanged | CreditsChanged, None]:
    """Everything that changed after a moment, as it is now, in the order in which it happened."""
    place = (since, _LAST_ID)
    untold: CreditsChanged | None = None
    rows: Sequence[models.Task] | None = None
    while rows is None or len(rows) == _TASKS_AT_A_TIME:
        async with db.read() as session:
            if rows is None:
                untold = await _balance(session, actor, since)
            rows = await queries.changed_after(session, actor.account_id, place, limit=_TASKS_AT_A_TIME)
        for row in rows:
            if untold is not None and untold.occurred_at <= row.updated_at:
                yield untold
                untold = None
            yield TaskChanged(row)
            place = (row.updated_at, row.id)
    if untold is not None:
        yield untold


async def _balance(session: ReadSession, actor: Actor, since: datetime) -> CreditsChanged | None:
    if actor.scopes is not None and ApiKeyScope.CREDITS_READ not in actor.scopes:
        return None
    found = (await credit_queries.by_accounts(session, [actor.account_id])).get(actor.account_id)
    return CreditsChanged(found) if found is not None and found.updated_at > since else None


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
    raise BadRequest("`after` is not the id of an event.")
