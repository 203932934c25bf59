"""Hot queries: they use their indexes, and parts are leased to one worker at a time."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import event, text

from conftest import NewDatabase
from db import ids
from db.models import OPEN_STATUSES, PartState, PaymentEvent, TaskOrderField
from db.queries import accounts, audit, downloads, parts, payments, purges, results, series, tasks
from db.queries.pages import Window
from db.queries.results import ResultConditions
from db.queries.tasks import TaskConditions
from db.session import Database

ACCOUNTS, TASKS, PARTS, ROWS = 20, 3000, 3000, 4000
NOW = datetime(2026, 1, 31, tzinfo=UTC)
ALL = (PartState.WAITING, PartState.RUNNING, PartState.STOPPING)

FILL = f"""
INSERT INTO account (id, email, role, created_at)
  SELECT gen_random_uuid(), 'person' || n || '@example.com', 'MEMBER', '2026-01-01'
  FROM generate_series(1, {ACCOUNTS}) n;
INSERT INTO api_key (id, account_id, name, prefix, secret_hash, scopes, created_at)
  SELECT gen_random_uuid(), (SELECT id FROM account LIMIT 1), 'k', 'mv_live_', sha256(n::text::bytea), '{{}}',
    '2026-01-01'
  FROM generate_series(1, 2000) n;
INSERT INTO task (id, account_id, name, status, source, email_count, domain_count, total_count, malformed_count,
    processing_count, completed_count, failed_count, exists_count, not_exists_count, catchall_count,
    invalid_syntax_count, unknown_count, role_based_count, disposable_count, chargeable_count,
    created_at, updated_at, refreshed_at)
  SELECT gen_random_uuid(), a.id, 'task ' || n, 'RUNNING', 'INLINE', n, 1, n, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    '2026-01-01'::timestamptz + n * interval '1 minute', '2026-01-01', '2026-01-01'
  FROM generate_series(1, {TASKS} / {ACCOUNTS}) n, account a;
INSERT INTO task_part (task_id, n, account_id, state, cursor, attempt, remade_count, due_at, poll_seconds, total,
    processing, completed, failed, verdicts)
  SELECT id, 1, account_id, CASE WHEN row_number() OVER () % 10 = 0 THEN 'RUNNING' ELSE 'ENDED' END, 0, 0, 0,
    '2026-01-01'::timestamptz + row_number() OVER () * interval '1 second', 0.2, 1, 0, 0, 0, '{{}}' FROM task;
INSERT INTO task_address (task_id, n, part, email, domain, verdict)
  SELECT t.id, n, 1, 'p' || n || '@example.com', 'example.com', CASE WHEN n > 20 THEN 'EXISTS' END
  FROM generate_series(1, {ROWS}) n, (SELECT id FROM task ORDER BY id LIMIT 3) t;
INSERT INTO purchase (id, account_id, package, credits, price_minor, currency, status, provider, taken_back,
    idempotency_key, payment_ref, created_at, expires_at)
  SELECT gen_random_uuid(), a.id, 'p', 1, 1, 'USD', CASE WHEN n % 50 = 0 THEN 'OPEN' ELSE 'PAID' END, 'mock', 0,
    n::text, 'pi_' || n || a.email, '2026-01-01'::timestamptz + n * interval '1 minute', '2026-01-02'
  FROM generate_series(1, {TASKS} / {ACCOUNTS}) n, account a;
INSERT INTO payment_event (provider, event_id, fact, subject, payment_ref, purchase_id, amount_minor, currency,
    received_at, due_at, attempt, problem)
  SELECT provider, 'evt_' || payment_ref, 'PAID', 'cs', payment_ref, id, 1, 'USD', created_at,
    CASE WHEN status = 'OPEN' THEN created_at END, 0, CASE WHEN status = 'OPEN' THEN 'late' END
  FROM purchase;
INSERT INTO task_row (task_id, row_number, address_n, input)
  SELECT task_id, n, n, email FROM task_address;
INSERT INTO audit_event (id, action, actor_id, details, created_at)
  SELECT gen_random_uuid(), 'user.role', a.id, '{{}}', '2026-01-01'::timestamptz + n * interval '1 minute'
  FROM generate_series(1, 100) n, account a;
"""


class Plans:
    """Runs queries, and afterwards asks PostgreSQL how it would run them."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.task_id = self.account_id = UUID(int=0)
        self._seen: list[tuple[str, Any]] = []

    @contextlib.contextmanager
    def seen(self) -> Iterator[None]:
        """Note the statements of a block."""

        def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
            self._seen.append((statement, parameters))

        self._seen.clear()
        event.listen(self.db.engine.sync_engine, "before_cursor_execute", note)
        self.db.hot.heard = lambda text, values: self._seen.append((text, values))
        yield
        self.db.hot.heard = None
        event.remove(self.db.engine.sync_engine, "before_cursor_execute", note)

    async def indexes(self) -> list[str]:
        """The indexes that the noted statements use; a table that is read as a whole stands there as `seq:<table>`."""
        found: list[str] = []
        async with self.db.transaction() as session:
            connection = (await (await session.connection()).get_raw_connection()).driver_connection
            assert connection is not None
            for statement, parameters in self._seen:
                (explained,) = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *parameters)
                found += _used(explained["Plan"])
        return found


def _used(plan: dict[str, Any]) -> list[str]:
    here = [plan["Index Name"]] if "Index Name" in plan else []
    if plan["Node Type"] == "Seq Scan":
        here = [f"seq:{plan['Relation Name']}"]
    return here + [name for child in plan.get("Plans", ()) for name in _used(child)]


@pytest.fixture(scope="module")
async def full_database_url(new_database: NewDatabase, migrated: str) -> str:
    """A database of a few thousand rows that no other test changes."""
    url = await new_database(template=migrated)
    connection = await asyncpg.connect(url)
    await connection.execute(FILL)
    await connection.execute("ANALYZE")
    await connection.close()
    return url


@pytest.fixture
async def plans(full_database_url: str) -> AsyncIterator[Plans]:
    database = await Database.open(full_database_url, pool_size=8)
    found = Plans(database)
    async with database.read() as session:
        found.task_id = (await session.execute(text("SELECT min(id::text) FROM task"))).scalar_one()
        found.task_id = UUID(str(found.task_id))
        found.account_id = (await session.execute(text("SELECT account_id FROM task LIMIT 1"))).scalar_one()
    yield found
    await database.close()


@pytest.mark.parametrize(
    ("order", "index"),
    [
        (TaskOrderField.CREATED_AT, "ix_task_account_id_created_at"),
        (TaskOrderField.NAME, "ix_task_account_id_name"),
        (TaskOrderField.TOTAL, "ix_task_account_id_total"),
    ],
)
async def test_a_page_of_an_accounts_tasks_is_read_from_its_index(
    plans: Plans, order: TaskOrderField, index: str
) -> None:
    with plans.seen():
        async with plans.db.read() as session:
            found = await tasks.page(
                session, plans.account_id, TaskConditions(), Window(20), order=order, is_descending=True
            )
    assert len(found.rows) == 20
    assert await plans.indexes() == [index]


async def test_a_later_page_goes_on_in_the_index(plans: Plans) -> None:
    async with plans.db.read() as session:
        first = await tasks.page(
            session,
            plans.account_id,
            TaskConditions(),
            Window(20),
            order=TaskOrderField.CREATED_AT,
            is_descending=True,
        )
        row, value = first.rows[-1]
        with plans.seen():
            await tasks.page(
                session,
                plans.account_id,
                TaskConditions(),
                Window(20, after=(value, row.id)),
                order=TaskOrderField.CREATED_AT,
                is_descending=True,
            )
    assert await plans.indexes() == ["ix_task_account_id_created_at"]


async def test_tasks_whose_rows_are_past_their_time_are_found_in_their_index(plans: Plans) -> None:
    with plans.seen():
        async with plans.db.read() as session:
            assert await purges.expired_lists(session, NOW) == {}
    assert await plans.indexes() == ["ix_task_finished_at"]


async def test_parts_that_are_due_are_found_in_their_index(plans: Plans) -> None:
    with plans.seen():
        async with plans.db.read() as session:
            await parts.next_due_at(session)
    assert await plans.indexes() == ["ix_task_part_due_at"]
    with plans.seen(), contextlib.suppress(_TakenBackError):
        async with plans.db.transaction() as session:
            await parts.lease_due(session, NOW, (PartState.RUNNING,), limit=10, lease=timedelta(seconds=30))
            raise _TakenBackError
    assert set(await plans.indexes()) == {"ix_task_part_due_at", "pk_task_part"}


async def test_purchases_and_what_was_told_of_them_are_found_in_their_indexes(plans: Plans) -> None:
    with plans.seen():
        async with plans.db.read() as session:
            page = await payments.page(session, plans.account_id, Window(20))
    assert len(page.rows) == 20
    assert await plans.indexes() == ["ix_purchase_account_id_created_at"]
    with plans.seen(), contextlib.suppress(_TakenBackError):
        async with plans.db.transaction() as session:
            event = await payments.next_due(session, NOW)
            assert event is not None
            await payments.applied(session, plans.account_id)
            by_payment = PaymentEvent(provider="mock", payment_ref=event.payment_ref)
            assert await payments.lock_purchase(session, by_payment) is not None
            await payments.cancel_expired(session, NOW)
            await payments.unsettled(session)
            raise _TakenBackError
    assert set(await plans.indexes()) == {
        "ix_payment_event_due_at",
        "ix_payment_event_purchase_id",
        "uq_purchase_provider_payment_ref",
        "ix_purchase_expires_at",
        "ix_payment_event_problem",
    }


class _TakenBackError(Exception):
    """A transaction that is not meant to last."""


async def test_a_page_of_results_is_read_by_row_number(plans: Plans) -> None:
    for window in (Window(50), Window(50, after=(2000,)), Window(50, is_backward=True)):
        with plans.seen():
            async with plans.db.read() as session:
                found = await results.by_tasks(session, [plans.task_id], ResultConditions(), window)
        assert len(found[plans.task_id].rows) == 50
        assert set(await plans.indexes()) == {"pk_task_row", "pk_task_address"}
    for window in (Window(50), Window(50, after=(2000,))):
        with plans.seen():
            hot = await results.hot_by_tasks(plans.db.hot, [plans.task_id], window)
        assert len(hot[plans.task_id].rows) == 50
        assert set(await plans.indexes()) == {"pk_task_row", "pk_task_address"}


async def test_results_of_several_tasks_are_read_by_their_numbers_in_one_statement(plans: Plans) -> None:
    async with plans.db.read() as session:
        task_ids = (await session.scalars(text("SELECT DISTINCT task_id FROM task_row"))).all()
    keys = [(task_id, number) for task_id in task_ids for number in range(1, 34)] + [(ids.new_uuid(), 1)]
    with plans.seen():
        async with plans.db.read() as session:
            found = await results.by_number(session, keys)
    assert (len(task_ids), sorted(found), len(plans._seen)) == (3, sorted(keys[:-1]), 1)
    assert set(await plans.indexes()) == {"pk_task_row", "pk_task_address"}


async def test_a_piece_of_a_download_is_read_by_row_number(plans: Plans) -> None:
    span, conditions = downloads.Span(plans.task_id, 1000, 1100), ResultConditions()
    async with plans.db.read() as session:
        found = await downloads.rows(session, span, conditions)
        driver: Any = (await (await session.connection()).get_raw_connection()).driver_connection
        statement = f"EXPLAIN (FORMAT JSON) SELECT * {downloads._FROM}"
        explained = await driver.fetchval(statement, *downloads._values(span, conditions))
    assert [row["row_number"] for row in found] == list(range(1001, 1101))
    (plan,) = json.loads(explained) if isinstance(explained, str) else explained
    assert set(_used(plan["Plan"])) == {"pk_task_row", "pk_task_address"}


async def test_a_key_is_found_by_its_hash_and_an_account_by_its_address(plans: Plans) -> None:
    with plans.seen():
        await accounts.key_by_hash(plans.db.hot, b"x" * 32, datetime.now(UTC))
    assert {"uq_api_key_secret_hash", "uq_api_key_previous_hash"} <= set(await plans.indexes())


async def test_what_a_part_still_lacks_is_found_in_its_index(plans: Plans) -> None:
    with plans.seen():
        async with plans.db.read() as session:
            assert await parts.has_waiting(session, (plans.task_id, 1))
    assert await plans.indexes() == ["ix_task_address_part"]


async def made_parts(db: Database, count: int, due_at: datetime) -> None:
    """Waiting parts of one task each."""
    async with db.transaction() as session:
        await session.execute(
            text("INSERT INTO account (id, email, role, created_at) VALUES (:id, 'a@b.co', 'MEMBER', now())"),
            {"id": ids.new_uuid()},
        )
        for statement in FILL.split(";\n")[2:4]:
            smaller = statement.replace(f"{TASKS} / {ACCOUNTS}", str(count))
            await session.execute(text(smaller.replace("::", "\\:\\:")))
        await session.execute(text("UPDATE task_part SET state = 'WAITING', due_at = :due"), {"due": due_at})


async def test_no_part_is_leased_to_two_workers(db: Database) -> None:
    await made_parts(db, 60, NOW)

    async def lease() -> Sequence[tuple[UUID, int]]:
        async with db.transaction() as session:
            leased = await parts.lease_due(session, NOW, ALL, limit=10, lease=timedelta(seconds=30))
            await asyncio.sleep(0.05)
            return [(part.task_id, part.n) for part in leased]

    rounds = await asyncio.gather(*(lease() for _ in range(5)))
    taken = [part for leased in rounds for part in leased]
    assert len(taken) == len(set(taken)) == 50
    assert [len(leased) for leased in rounds] == [10] * 5
    assert len(await lease()) == 10
    assert await lease() == []


async def test_a_lease_runs_out_and_states_are_kept_apart(db: Database) -> None:
    await made_parts(db, 3, NOW)
    lease = timedelta(seconds=30)
    async with db.transaction() as session:
        assert await parts.lease_due(session, NOW - timedelta(seconds=1), ALL, limit=9, lease=lease) == []
        assert await parts.lease_due(session, NOW, (PartState.RUNNING,), limit=9, lease=lease) == []
        assert len(await parts.lease_due(session, NOW, (PartState.WAITING,), limit=9, lease=lease)) == 3
        assert await parts.lease_due(session, NOW + timedelta(seconds=29), ALL, limit=9, lease=lease) == []
        assert len(await parts.lease_due(session, NOW + lease, ALL, limit=9, lease=lease)) == 3
    async with db.read() as session:
        assert await parts.next_due_at(session) == NOW + 2 * lease
        assert await parts.open_count(session) == 3


async def test_a_part_posted_twice_is_moved_once(db: Database) -> None:
    await made_parts(db, 1, NOW)
    async with db.read() as session:
        task_id = (await session.execute(text("SELECT id FROM task"))).scalar_one()
    poll, first = timedelta(seconds=0.2), ids.new_uuid()
    async with db.transaction() as session:
        assert await parts.mark_running(session, (task_id, 1), first, NOW, poll)
        await parts.change(session, (task_id, 1), cursor=7)
        assert await parts.mark_running(session, (task_id, 1), ids.new_uuid(), NOW, poll)
    async with db.read() as session:
        (part,) = await parts.running_of(session, [task_id])
        row = (await tasks.by_ids(session, [task_id]))[task_id]
    assert (part.upstream_id, part.cursor, part.state) == (first, 7, PartState.RUNNING)
    assert row.status in OPEN_STATUSES


async def test_the_newest_tasks_of_everybody_are_read_from_their_index(plans: Plans) -> None:
    with plans.seen():
        async with plans.db.read() as session:
            order = TaskOrderField.CREATED_AT
            await tasks.page(session, None, TaskConditions(), Window(20), order=order, is_descending=True)
    assert await plans.indexes() == ["ix_task_created_at_utc"]


@pytest.mark.parametrize("is_one_actor", [True, False])
async def test_a_page_of_the_audit_log_is_read_from_its_index(plans: Plans, is_one_actor: bool) -> None:
    with plans.seen():
        async with plans.db.read() as session:
            found = await audit.page(session, plans.account_id if is_one_actor else None, Window(20))
    assert len(found.rows) == 20
    assert await plans.indexes() == ["ix_audit_event_actor_id" if is_one_actor else "ix_audit_event_created_at"]


@pytest.mark.parametrize("is_one_account", [True, False])
async def test_a_series_reads_the_tasks_of_its_span_alone(plans: Plans, is_one_account: bool) -> None:
    starts_at = datetime(2026, 1, 1, tzinfo=UTC)
    with plans.seen():
        async with plans.db.read() as session:
            found = await series.tasks_by_day(
                session,
                plans.account_id if is_one_account else None,
                TaskConditions(),
                starts_at=starts_at,
                ends_at=starts_at + timedelta(minutes=10),
            )
    assert sum(point.task_count for point in found.values()) == (9 if is_one_account else 9 * ACCOUNTS)
    (index,) = await plans.indexes()
    assert index.startswith("ix_task_account_id_" if is_one_account else "ix_task_created_at_utc")
