"""The embedded PostgreSQL ends with its owner, and nothing that a crash leaves behind stops the next start."""

from collections.abc import Awaitable, Callable

import asyncpg

from app.devdb import DevCluster


async def test_the_cluster_has_both_databases_in_one_locale(cluster: DevCluster) -> None:
    for name in ("mailverdict", "verifier"):
        connection = await asyncpg.connect(cluster.url(name))
        try:
            assert await connection.fetchval("SELECT lower('É')") == "é"
            assert await connection.fetchval("SHOW fsync") == "off"
        finally:
            await connection.close()


async def test_a_database_is_cloned_from_a_template(new_database: Callable[..., Awaitable[str]]) -> None:
    template = await new_database("template_with_a_table")
    connection = await asyncpg.connect(template)
    await connection.execute("CREATE TABLE mark (value int); INSERT INTO mark VALUES (7)")
    await connection.close()
    connection = await asyncpg.connect(await new_database(template="template_with_a_table"))
    assert await connection.fetchval("SELECT value FROM mark") == 7
    await connection.close()
