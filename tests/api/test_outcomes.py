"""What a mutation gives back: just the results that it declares."""

from typing import Any

import pytest

from resolvers import outcomes
from services.errors import Invalid


@pytest.mark.parametrize("mistake", [None, Invalid("No.")], ids=["done", "refused"])
async def test_a_result_that_was_not_declared_is_a_fault_and_not_null(mistake: Invalid | None) -> None:
    @outcomes.gives("task", "secret")
    async def work() -> tuple[str, str]:
        if mistake is not None:
            raise mistake
        return "task", "secret"

    given: Any = await work()
    results = ("task", "secret") if mistake is None else (None, None)
    assert (given.task, given.secret, len(given.user_errors)) == (*results, 0 if mistake is None else 1)
    with pytest.raises(AttributeError):
        _ = given.tsak


async def test_a_resolver_gives_as_many_results_as_it_declares() -> None:
    @outcomes.gives("task", "secret")
    async def work() -> tuple[str]:
        return ("task",)

    with pytest.raises(ValueError, match="zip"):
        await work()
