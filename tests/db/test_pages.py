"""Lists below rows: one statement gives each parent its own page."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from db import ids
from db.models import Account
from db.queries import results
from db.queries.pages import Window
from db.queries.results import ResultConditions
from db.session import Database
from tests import factories
from tests.conftest import Statements

ROWS = (0, 3, 5)
"""How many each parent has; the first is nobody's."""


@pytest.fixture
async def task_ids(db: Database, account: Account) -> list[UUID]:
    made = [await factories.finished_task(db, account, rows=rows) for rows in ROWS if rows]
    return [ids.new_uuid(), *(task.id for task in made)]


@pytest.mark.parametrize(
    ("window", "numbers", "has_next", "has_previous"),
    [
        (Window(3), ([], [1, 2, 3], [1, 2, 3]), (False, False, True), (False, False, False)),
        (Window(2, after=(2,)), ([], [3], [3, 4]), (False, False, True), (True, True, True)),
        (Window(2, is_backward=True), ([], [2, 3], [4, 5]), (False, False, False), (False, True, True)),
        (Window(2, is_backward=True, before=(4,)), ([], [2, 3], [2, 3]), (True, True, True), (False, True, True)),
        (Window(9, after=(1,), before=(4,)), ([], [2, 3], [2, 3]), (False, False, False), (True, True, True)),
    ],
)
async def test_each_parent_has_its_own_page_from_one_statement(
    db: Database,
    task_ids: list[UUID],
    statements: Statements,
    window: Window,
    numbers: Sequence[list[int]],
    has_next: Sequence[bool],
    has_previous: Sequence[bool],
) -> None:
    async with db.read() as session:
        with statements.counted() as sent:
            found = await results.by_tasks(session, task_ids, ResultConditions(), window)
    assert len(sent) == 1
    slices = [found[task_id] for task_id in task_ids]
    assert [[row.row_number for row in one.rows] for one in slices] == list(numbers)
    assert all({row.task_id for row in one.rows} <= {task_id} for one, task_id in zip(slices, task_ids, strict=True))
    assert [one.has_next for one in slices] == list(has_next)
    assert [one.has_previous for one in slices] == list(has_previous)


@pytest.mark.parametrize("window", [Window(3), Window(2, after=(2,)), Window(9, after=(1,))])
async def test_a_hot_page_below_each_parent_is_the_page_that_a_session_reads(
    db: Database, task_ids: list[UUID], window: Window
) -> None:
    hot = await results.hot_by_tasks(db.hot, task_ids, window)
    async with db.read() as session:
        same = await results.by_tasks(session, task_ids, ResultConditions(), window)
    for task_id in task_ids:
        one, other = hot[task_id], same[task_id]
        assert [tuple(row) for row in one.rows] == [tuple(row) for row in other.rows]
        assert [results.to_result(row) for row in one.rows] == [results.to_result(row) for row in other.rows]
        assert (one.has_next, one.has_previous) == (other.has_next, other.has_previous)


async def test_each_parent_has_its_own_count_from_one_statement(
    db: Database, task_ids: list[UUID], statements: Statements
) -> None:
    async with db.read() as session:
        with statements.counted() as sent:
            found = await results.counts(session, task_ids, ResultConditions())
    assert len(sent) == 1
    assert [found[task_id] for task_id in task_ids] == list(ROWS)
