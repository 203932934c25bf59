"""The tables: brought up once, whoever comes first."""

import asyncio

import asyncpg
import pytest

from verifier.store import database, migrations, revision
from verifier.store.database import Pool


def test_the_revision_that_processes_ask_for_is_the_newest_migration() -> None:
    assert revision.head() == migrations.head()


async def test_migrating_twice_at_once_changes_nothing(database_url: str, pool: Pool) -> None:
    await asyncio.gather(*(asyncio.to_thread(migrations.upgrade, database_url) for _ in range(2)))
    assert await pool.fetchval("SELECT count(*) FROM alembic_version") == 1


async def test_a_database_without_tables_is_refused_with_what_to_do(pool: Pool, database_url: str) -> None:
    await pool.execute("DROP TABLE alembic_version")
    with pytest.raises(database.DatabaseUnusableError, match="python -m verifier migrate"):
        await database.open_pool(database_url, size=1)


async def test_an_older_database_is_refused_and_a_newer_one_is_worked_on(pool: Pool, database_url: str) -> None:
    await pool.execute("UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(database.DatabaseUnusableError, match="after revision 0001: run `python -m verifier migrate`"):
        await database.open_pool(database_url, size=1)
    await pool.execute("UPDATE alembic_version SET version_num = '9999'")
    await (await database.open_pool(database_url, size=1)).close()
    await pool.execute("DROP TABLE alembic_version")  # so that nobody goes on with this database


async def test_the_queue_is_logged_and_its_log_is_not(pool: Pool) -> None:
    kinds = dict(await pool.fetch("SELECT relname, relpersistence FROM pg_class WHERE relname LIKE 'pgqueuer%'"))
    assert (kinds["pgqueuer"], kinds["pgqueuer_log"]) == (b"p", b"u")


async def test_an_address_has_at_most_one_verdict(pool: Pool) -> None:
    insert = """
        INSERT INTO result (task_id, n, seq, status, role_based, disposable, free_provider, score_reasons, evidence,
            checked_at)
        VALUES ('7b0c5a0e-6c4b-4a7e-9d5e-1f2f3f4f5f6f', 1, $1, 'exists', false, false, false, '{}', '[]', now())
    """
    await pool.execute(insert, 1)
    with pytest.raises(asyncpg.UniqueViolationError):
        await pool.execute(insert, 2)
