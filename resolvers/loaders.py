"""Loaders: many look-ups of one operation become one statement, or one call upstream."""

from __future__ import annotations  # not evaluated: loaders are made for each operation

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar
from uuid import UUID

from aiodataloader import DataLoader

from db import hot
from db.models import (
    Account,
    ApiKey,
    AuditEvent,
    AuthSession,
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
from db.queries import accounts, audit, credits, identity, payments, profiles, results, rows, series, tasks, webhooks
from db.session import Database, ReadSession
from services import freshness
from services.actor import Actor
from services.upstream.contract import Upstream
from services.upstream_keys import UpstreamKeys

KeyT = TypeVar("KeyT")
RowT = TypeVar("RowT")

_NOBODY = UUID(int=0)


class Loaders:
    """The loaders of one operation, each made when it is first used: most operations use one or two.

    Nobody is kept longer than that, so nobody sees another's rows or stale ones.
    """

    def __init__(
        self,
        db: Database,
        upstream: Upstream,
        keys: UpstreamKeys,
        now: Callable[[], datetime],
        actor: Actor | None,
    ) -> None:
        """All empty. What is the caller's own is read on its behalf: the database shows it nothing else."""
        self._db = db
        self._upstream = upstream
        self._keys = keys
        self._now = now
        self._acting_for = actor.acting_for if actor is not None else _NOBODY
        self._below: dict[Hashable, DataLoader[UUID, Any]] = {}
        self._is_asked = False

    @cached_property
    def account(self) -> DataLoader[UUID, Account | None]:
        """Accounts."""
        return _hot(self._db, accounts.hot_by_ids)

    @cached_property
    def api_key(self) -> DataLoader[UUID, ApiKey | None]:
        """API keys."""
        return _reads(self._db, accounts.keys_by_ids)

    @cached_property
    def audit_event(self) -> DataLoader[UUID, AuditEvent | None]:
        """Events of the audit log."""
        return _reads(self._db, audit.by_ids)

    @cached_property
    def auth_session(self) -> DataLoader[UUID, AuthSession | None]:
        """Sessions, live or not."""
        return _reads(self._db, identity.sessions_by_ids)

    @cached_property
    def task(self) -> DataLoader[UUID, Task | None]:
        """Tasks, as they are stored."""
        return _hot(self._db, tasks.hot_by_ids)

    @cached_property
    def credit_account(self) -> DataLoader[UUID, CreditAccount | None]:
        """Balances, by account."""
        return _hot(self._db, credits.hot_by_accounts, self._acting_for)

    @cached_property
    def credit_transaction(self) -> DataLoader[UUID, CreditTransaction | None]:
        """Changes of balances."""
        return _reads(self._db, credits.by_ids, self._acting_for)

    @cached_property
    def profile(self) -> DataLoader[UUID, Profile | None]:
        """Profiles, by account."""
        return _hot(self._db, profiles.hot_by_accounts, self._acting_for)

    @cached_property
    def purchase(self) -> DataLoader[UUID, Purchase | None]:
        """Purchases."""
        return _reads(self._db, payments.by_ids)

    @cached_property
    def result(self) -> DataLoader[tuple[UUID, int], TaskResult | None]:
        """Results, by task and row number."""
        return _reads(self._db, results.by_number)

    @cached_property
    def task_days(self) -> DataLoader[series.TaskDays, list[TaskDay] | None]:
        """Tasks of days, by account and span."""
        return _reads(self._db, series.of_tasks)

    @cached_property
    def sample(self) -> DataLoader[UUID, list[list[str]] | None]:
        """The first rows of a draft's file, by task."""
        return _reads(self._db, rows.samples)

    @cached_property
    def webhook(self) -> DataLoader[UUID, Webhook | None]:
        """Webhooks."""
        return _reads(self._db, webhooks.by_ids)

    @cached_property
    def webhook_delivery(self) -> DataLoader[UUID, WebhookDelivery | None]:
        """Deliveries of webhooks."""
        return _reads(self._db, webhooks.deliveries_by_ids)

    @cached_property
    def refreshed_task(self) -> DataLoader[UUID, Task | None]:
        """The task as upstream has it; None where that was not asked for it."""
        return DataLoader(self._refresh)

    async def _refresh(self, task_ids: list[UUID]) -> list[Task | None]:
        if self._is_asked:  # once an operation: what lies deeper in it is shown as it is stored
            return [None] * len(task_ids)
        self._is_asked = True
        found = await freshness.refresh(self._db, self._upstream, self._keys, task_ids, self._now())
        return [found.get(task_id) for task_id in task_ids]

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

        async def found(parent_ids: Sequence[UUID]) -> Mapping[UUID, RowT]:
            async with self._db.read(acting_for) as session:
                return await query(session, parent_ids, *given)

        return self._found_below((query, given, acting_for), found)

    def hot_below(
        self, query: Callable[..., Awaitable[Mapping[UUID, RowT]]], *given: Hashable
    ) -> DataLoader[UUID, RowT]:
        """`below`, by a hot read."""

        async def found(parent_ids: Sequence[UUID]) -> Mapping[UUID, RowT]:
            return await query(self._db.hot, parent_ids, *given)

        return self._found_below((query, given), found)

    def _found_below(
        self, key: Hashable, find: Callable[[Sequence[UUID]], Awaitable[Mapping[UUID, RowT]]]
    ) -> DataLoader[UUID, RowT]:
        if key not in self._below:

            async def batch(parent_ids: list[UUID]) -> list[RowT]:
                found = await find(list(dict.fromkeys(parent_ids)))
                return [found[parent_id] for parent_id in parent_ids]

            self._below[key] = DataLoader(batch, cache=False)
        return self._below[key]


def _reads(
    db: Database,
    query: Callable[[ReadSession, Sequence[KeyT]], Awaitable[Mapping[KeyT, RowT]]],
    acting_for: UUID | None = None,
) -> DataLoader[KeyT, RowT | None]:
    async def batch(keys: list[KeyT]) -> list[RowT | None]:
        async with db.read(acting_for) as session:
            found = await query(session, keys)
        return [found.get(key) for key in keys]

    return DataLoader(batch)


def _hot(
    db: Database,
    query: Callable[[hot.Reads, Sequence[KeyT], UUID | None], Awaitable[Mapping[KeyT, RowT]]],
    acting_for: UUID | None = None,
) -> DataLoader[KeyT, RowT | None]:
    async def batch(keys: list[KeyT]) -> list[RowT | None]:
        found = await query(db.hot, keys, acting_for)
        return [found.get(key) for key in keys]

    return DataLoader(batch)
