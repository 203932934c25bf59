"""Loaders: many look-ups of one operation become one statement, or one call upstream."""

from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from aiodataloader import DataLoader

from db import hot
from db.models import (
    Account,
    ApiKey,
    CreditAccount,
    CreditTransaction,
    Profile,
    Purchase,
    Task,
    TaskDay,
    TaskResult,
    Webhook,
    WebhookDelivery,
)
from db.queries import accounts, credits, payments, profiles, results, rows, series, tasks, webhooks
from db.session import Database, ReadSession
from services import freshness
from services.actor import Actor
from services.upstream.contract import Upstream
from services.upstream_keys import UpstreamKeys

KeyT = TypeVar("KeyT")
RowT = TypeVar("RowT")

_NOBODY = UUID(int=0)


class Loaders:
    """The loaders of one operation. Nobody is kept longer than that, so nobody sees another's rows or stale ones."""

    def __init__(
        self,
        db: Database,
        upstream: Upstream,
        keys: UpstreamKeys,
        now: Callable[[], datetime],
        actor: Actor | None,
    ) -> None:
        """All empty. What is the caller's own is read on its behalf: the database shows it nothing else."""
        acting_for = actor.acting_for if actor is not None else _NOBODY
        self._db = db
        self._below: dict[Hashable, DataLoader[UUID, Any]] = {}
        self.account: DataLoader[UUID, Account | None] = _hot(db, accounts.hot_by_ids)
        self.api_key: DataLoader[UUID, ApiKey | None] = _reads(db, accounts.keys_by_ids)
        self.task: DataLoader[UUID, Task | None] = _hot(db, tasks.hot_by_ids)
        self.credit_account: DataLoader[UUID, CreditAccount | None] = _hot(db, credits.hot_by_accounts, acting_for)
        self.credit_transaction: DataLoader[UUID, CreditTransaction | None] = _reads(db, credits.by_ids, acting_for)
        self.profile: DataLoader[UUID, Profile | None] = _hot(db, profiles.hot_by_accounts, acting_for)
        self.purchase: DataLoader[UUID, Purchase | None] = _reads(db, payments.by_ids)
        self.result: DataLoader[tuple[UUID, int], TaskResult | None] = _reads(db, results.by_number)
        self.task_days: DataLoader[series.TaskDays, list[TaskDay] | None] = _reads(db, series.of_tasks)
        self.sample: DataLoader[UUID, list[list[str]] | None] = _reads(db, rows.samples)
        self.webhook: DataLoader[UUID, Webhook | None] = _reads(db, webhooks.by_ids)
        self.webhook_delivery: DataLoader[UUID, WebhookDelivery | None] = _reads(db, webhooks.deliveries_by_ids)

        is_asked = False

        async def refresh(task_ids: list[UUID]) -> list[Task | None]:
            nonlocal is_asked
            if is_asked:  # once an operation: what lies deeper in it is shown as it is stored
                return [None] * len(task_ids)
            is_asked = True
            found = await freshness.refresh(db, upstream, keys, task_ids, now())
            return [found.get(task_id) for task_id in task_ids]

        self.refreshed_task: DataLoader[UUID, Task | None] = _Lazy(refresh)

    def below(
        self,
        query: Callable[..., Awaitable[Mapping[UUID, RowT]]],
        *given: Hashable,
        acting_for: UUID | None = None,
    ) -> DataLoader[UUID, RowT]:
        """The loader of what lies below many rows, by the id of each: a page of a list, or a count.

        `query` takes a session, the ids and what is `given`, and finds something for every id. Nothing is kept: a list
        that is asked for again, after a mutation or in a later event, is read again.
        """
        key = (query, given, acting_for)
        if key not in self._below:

            async def batch(parent_ids: list[UUID]) -> list[RowT]:
                async with self._db.read(acting_for) as session:
                    found = await query(session, list(dict.fromkeys(parent_ids)), *given)
                return [found[parent_id] for parent_id in parent_ids]

            self._below[key] = DataLoader(batch, cache=False)
        return self._below[key]


class _Lazy(DataLoader[KeyT, RowT]):
    """A loader that is made when it is first used: an operation uses one or two of them all."""

    def __init__(self, batch: Callable[[list[KeyT]], Coroutine[Any, Any, list[RowT]]]) -> None:
        self._batch, self._is_made = batch, False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - what DataLoader makes of itself
        if self._is_made:
            raise AttributeError(name)
        self._is_made = True
        super().__init__(self._batch)
        return getattr(self, name)


def _reads(
    db: Database,
    query: Callable[[ReadSession, Sequence[KeyT]], Awaitable[Mapping[KeyT, RowT]]],
    acting_for: UUID | None = None,
) -> DataLoader[KeyT, RowT | None]:
    async def batch(keys: list[KeyT]) -> list[RowT | None]:
        async with db.read(acting_for) as session:
            found = await query(session, keys)
        return [found.get(key) for key in keys]

    return _Lazy(batch)


def _hot(
    db: Database,
    query: Callable[[hot.Reads, Sequence[KeyT], UUID | None], Awaitable[Mapping[KeyT, RowT]]],
    acting_for: UUID | None = None,
) -> DataLoader[KeyT, RowT | None]:
    async def batch(keys: list[KeyT]) -> list[RowT | None]:
        found = await query(db.hot, keys, acting_for)
        return [found.get(key) for key in keys]

    return _Lazy(batch)
