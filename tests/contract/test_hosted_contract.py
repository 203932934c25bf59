"""The hosted-style adapter, held to what of the contract suite such an upstream can keep.

It has no repeat-safe keys, no evidence in its files and no way to stop a task.
"""

from collections.abc import AsyncIterator

import pytest

from services.upstream.hosted import HostedUpstream
from tests.contract.test_upstream_contract import (  # noqa: F401 - collected here with the fixtures of this file
    test_a_task_that_is_not_known_is_missing,
    test_an_empty_list_and_a_wrong_credential_are_refused,
    test_it_says_that_it_lives,
    test_many_tasks_are_told_of_in_one_call_and_unknown_ones_are_left_out,
    test_one_address_is_verified_at_once,
    test_results_come_in_pages_each_once_and_in_an_order_that_lasts,
    test_what_is_no_address_is_a_verdict_and_no_refusal,
)
from tests.services import hosted_upstream


@pytest.fixture
async def upstream() -> AsyncIterator[HostedUpstream]:
    async with hosted_upstream.running() as hosted:
        client = HostedUpstream(hosted.url)
        yield client
        await client.close()


@pytest.fixture
def upstream_key() -> str:
    return hosted_upstream.KEY
