"""Who comes first: short lists before long ones, users by turns, plans of long lists in a lane of their own."""

from uuid import UUID

from verifier.store.database import Pool
from verifier.store.queries import jobs, plans
from verifier.tests.dispatch import work
from verifier.tests.rest import Rest

USER, OTHER = UUID(int=1), UUID(int=2)


async def _order(pool: Pool) -> list[UUID]:
    """Return the tasks of the queued chunks, in the order in which they are picked."""
    rows = await pool.fetch(
        """
        SELECT task_id FROM chunk JOIN pgqueuer ON dedupe_key = chunk.id::text || ':' || retries
        WHERE entrypoint = 'verify' ORDER BY pgqueuer.priority DESC, pgqueuer.id
        """
    )
    return [task_id for (task_id,) in rows]


async def test_a_short_list_goes_before_a_long_one_that_is_being_worked_off(pool: Pool) -> None:
    long = await work.planned(pool, *[[n] for n in range(20)], user_id=USER)
    short = await work.planned(pool, [0], user_id=OTHER)
    assert (await _order(pool))[:3] == [short.id, long.id, long.id]


async def test_a_user_does_not_get_ahead_by_cutting_a_list_into_many_tasks(pool: Pool) -> None:
    many = [await work.planned(pool, [0], [1], user_id=USER) for _ in range(20)]
    other = await work.planned(pool, [0], [1], user_id=OTHER)
    places = [place for place, task_id in enumerate(await _order(pool)) if task_id == other.id]
    assert places == [1, 3]
    assert len(await _order(pool)) == 2 * len(many) + 2


async def test_short_lists_that_come_in_a_row_stay_on_the_level_that_is_served(pool: Pool) -> None:
    await work.planned(pool, *[[n] for n in range(20)], user_id=USER)
    for number in range(3, 30):
        await work.planned(pool, [0], user_id=UUID(int=number))
    highest = await pool.fetchval("SELECT max(priority) FROM pgqueuer WHERE entrypoint = 'verify'")
    assert highest < plans.LEVEL


async def test_tasks_of_the_service_itself_count_one_by_one(pool: Pool) -> None:
    await work.planned(pool, *[[n] for n in range(5)])
    second = await work.planned(pool, *[[n] for n in range(5)])
    assert [place for place, task_id in enumerate(await _order(pool)) if task_id == second.id] == [1, 3, 5, 7, 9]


async def test_long_lists_of_one_user_are_planned_after_the_first_of_another(pool: Pool) -> None:
    made = [await work.task(pool, jobs.SHORT_MAX + 1, USER) for _ in range(3)]
    other = await work.task(pool, jobs.SHORT_MAX + 1, OTHER)
    rows = await pool.fetch("SELECT entrypoint, payload FROM pgqueuer ORDER BY priority DESC, id")
    assert {row["entrypoint"] for row in rows} == {"plan.long"}
    assert [UUID(row["payload"].decode()) for row in rows] == [made[0].id, other.id, made[1].id, made[2].id]


async def test_a_shorter_list_is_planned_before_a_longer_one(pool: Pool) -> None:
    longer = await work.task(pool, 3 * jobs.SHORT_MAX)
    shorter = await work.task(pool, 2 * jobs.SHORT_MAX)
    rows = await pool.fetch("SELECT payload FROM pgqueuer ORDER BY priority DESC, id")
    assert [UUID(row["payload"].decode()) for row in rows] == [shorter.id, longer.id]


async def test_a_short_list_is_planned_in_the_lane_of_chunks(pool: Pool) -> None:
    await work.task(pool, jobs.SHORT_MAX)
    row = await pool.fetchrow("SELECT entrypoint, priority FROM pgqueuer")
    assert row["entrypoint"] == "plan"
    assert row["priority"] > 1_000_000


async def test_a_short_list_is_one_chunk_whatever_its_mail_hosts_are(working: Rest, pool: Pool) -> None:
    domains = ("ok", "catchall", "full", "implicit", "nxdomain")
    task = await working.create([f"alice+{n}@{domains[n % 5]}.mailverdict.test" for n in range(jobs.SHORT_MAX)])
    await working.finished(task["id"])
    assert await pool.fetchval("SELECT count(*) FROM chunk") == 1
    assert {row["mail_host"] for row in await pool.fetch("SELECT mail_host FROM mail_host_figures")} <= {
        f"{domain}.mx.mailverdict.test" for domain in domains
    } | {"implicit.mailverdict.test"}
