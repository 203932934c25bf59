"""What the service asks of any verifier. An implementation of Upstream passes when its fixture takes ours' place."""

import asyncio
import uuid
from uuid import UUID

import pytest

from db.models import EmailVerification, EvidenceStage, Verdict, VerdictReason
from services.errors import UpstreamKeyRefused, UpstreamMissing, UpstreamRefused
from services.upstream.contract import Upstream, UpstreamTask

EMAILS = ["alice@ok.mailverdict.test", "nobody@ok.mailverdict.test", "alice@catchall.mailverdict.test"]
SECONDS = 15.0


def new_key() -> str:
    return f"contract-{uuid.uuid4()}"


async def created(upstream: Upstream, key: str, emails: list[str]) -> UUID:
    known = {task.id for task in await upstream.newest(key, limit=100, offset=0)} if not upstream.gives_ids else set()
    made = await upstream.create(key, emails, idempotency_key=new_key())
    if made is not None:
        return made
    (found,) = [task.id for task in await upstream.newest(key, limit=100, offset=0) if task.id not in known]
    return found


async def ended(upstream: Upstream, key: str, task_id: UUID) -> UpstreamTask:
    """The task when it is over."""
    async with asyncio.timeout(SECONDS):
        while True:
            task = (await upstream.tasks(key, [task_id]))[task_id]
            done = task.snapshot.completed + task.snapshot.failed
            assert 0 <= done <= done + task.snapshot.processing <= task.total
            if task.is_over:
                return task
            await asyncio.sleep(0.05)


async def all_results(upstream: Upstream, key: str, task_id: UUID) -> list[EmailVerification]:
    """Every result, in pages."""
    found: list[EmailVerification] = []
    after = 0
    while (page := await upstream.results(key, task_id, after=after)).results:
        assert len(page.results) <= upstream.results_max
        assert page.next_after > after
        found += page.results
        after = page.next_after
    return found


async def test_a_task_ends_with_a_verdict_on_every_address(upstream: Upstream, upstream_key: str) -> None:
    task_id = await created(upstream, upstream_key, EMAILS)
    task = await ended(upstream, upstream_key, task_id)
    assert (task.id, task.total, task.snapshot.processing) == (task_id, 3, 0)
    counts = {name: task.snapshot.verdicts[name] for name in ("exists", "not_exists", "catchall", "unknown")}
    assert counts == {"exists": 1, "not_exists": 1, "catchall": 1, "unknown": 0}
    found = {result.email: result for result in await all_results(upstream, upstream_key, task_id)}
    assert {email: (r.verdict, r.reason) for email, r in found.items()} == {
        EMAILS[0]: (Verdict.EXISTS, VerdictReason.ACCEPTED),
        EMAILS[1]: (Verdict.NOT_EXISTS, VerdictReason.NO_SUCH_USER),
        EMAILS[2]: (Verdict.CATCHALL, VerdictReason.ACCEPT_ALL),
    }
    assert EvidenceStage.RCPT in {step.stage for step in found[EMAILS[0]].evidence}
    assert all(result.verified_at.tzinfo is not None for result in found.values())


async def test_the_same_key_gives_the_same_task(upstream: Upstream, upstream_key: str) -> None:
    key = new_key()
    first = await upstream.create(upstream_key, EMAILS, idempotency_key=key)
    again = await asyncio.gather(*(upstream.create(upstream_key, EMAILS, idempotency_key=key) for _ in range(4)))
    assert set(again) == {first}
    assert await created(upstream, upstream_key, EMAILS) != first


async def test_the_same_key_with_other_addresses_is_refused(upstream: Upstream, upstream_key: str) -> None:
    key = new_key()
    await upstream.create(upstream_key, EMAILS, idempotency_key=key)
    with pytest.raises(UpstreamRefused):
        await upstream.create(upstream_key, EMAILS[:1], idempotency_key=key)


async def test_an_empty_list_and_a_wrong_credential_are_refused(upstream: Upstream, upstream_key: str) -> None:
    with pytest.raises(UpstreamRefused):
        await created(upstream, upstream_key, [])
    with pytest.raises(UpstreamKeyRefused):
        await created(upstream, "a-wrong-credential", EMAILS)


async def test_a_key_that_is_made_for_a_user_sees_that_users_tasks_and_the_services_own_sees_all(
    upstream: Upstream, upstream_key: str
) -> None:
    users = [uuid.uuid4(), uuid.uuid4()]
    first, second, again = [await upstream.make_key(upstream_key, user) for user in (*users, users[0])]
    assert len({first, second, again, upstream_key}) == 4
    mine, theirs = await created(upstream, first, EMAILS[:1]), await created(upstream, second, EMAILS[:1])
    assert set(await upstream.tasks(again, [mine, theirs])) == {mine}
    assert set(await upstream.tasks(upstream_key, [mine, theirs])) == {mine, theirs}
    with pytest.raises(UpstreamMissing):
        await upstream.results(second, mine, after=0)
    await ended(upstream, upstream_key, mine)
    assert [result.email for result in await all_results(upstream, upstream_key, mine)] == EMAILS[:1]


async def test_only_the_services_own_key_makes_keys(upstream: Upstream, upstream_key: str) -> None:
    key = await upstream.make_key(upstream_key, uuid.uuid4())
    with pytest.raises(UpstreamRefused):
        await upstream.make_key(key, uuid.uuid4())
    with pytest.raises(UpstreamKeyRefused):
        await upstream.make_key("a-wrong-credential", uuid.uuid4())


async def test_what_is_no_address_is_a_verdict_and_no_refusal(upstream: Upstream, upstream_key: str) -> None:
    task_id = await created(upstream, upstream_key, ["not an address", EMAILS[0]])
    await ended(upstream, upstream_key, task_id)
    found = {result.email: result.verdict for result in await all_results(upstream, upstream_key, task_id)}
    assert found == {"not an address": Verdict.INVALID_SYNTAX, EMAILS[0]: Verdict.EXISTS}


async def test_many_tasks_are_told_of_in_one_call_and_unknown_ones_are_left_out(
    upstream: Upstream, upstream_key: str
) -> None:
    made = [await created(upstream, upstream_key, EMAILS[:1]) for _ in range(3)]
    found = await upstream.tasks(upstream_key, [*made, uuid.uuid4()])
    assert set(found) == set(made)
    newest = await upstream.newest(upstream_key, limit=3, offset=0)
    assert len(newest) == 3
    assert all(task.created_at is not None for task in newest)
    assert [found[task_id].total for task_id in made] == [1, 1, 1]


async def test_results_come_in_pages_each_once_and_in_an_order_that_lasts(
    upstream: Upstream, upstream_key: str
) -> None:
    emails = [f"no address {n}" for n in range(upstream.results_max + 200)]  # nobody has to be asked about these
    task_id = await created(upstream, upstream_key, emails)
    await ended(upstream, upstream_key, task_id)
    first = await upstream.results(upstream_key, task_id, after=0)
    assert len(first.results) == upstream.results_max
    found = [result.email for result in await all_results(upstream, upstream_key, task_id)]
    assert sorted(found, key=str) == sorted(emails)
    assert found[: upstream.results_max] == [result.email for result in first.results]
    end = await upstream.results(upstream_key, task_id, after=10**9)
    assert not end.results


async def test_a_cancelled_task_asks_for_nothing_new(upstream: Upstream, upstream_key: str) -> None:
    emails = [f"someone{n}@slow.mailverdict.test" for n in range(300)]
    task_id = await created(upstream, upstream_key, emails)
    await upstream.cancel(upstream_key, task_id)
    await upstream.cancel(upstream_key, task_id)
    await asyncio.sleep(0.5)
    before = len(await all_results(upstream, upstream_key, task_id))
    await asyncio.sleep(1.0)
    assert len(await all_results(upstream, upstream_key, task_id)) == before < 300


async def test_one_address_is_verified_at_once(upstream: Upstream, upstream_key: str) -> None:
    found = await upstream.verify(upstream_key, EMAILS[0], timeout_seconds=10)
    assert (found.email, found.verdict, found.reason) == (EMAILS[0], Verdict.EXISTS, VerdictReason.ACCEPTED)
    assert found.evidence


async def test_a_task_that_is_not_known_is_missing(upstream: Upstream, upstream_key: str) -> None:
    with pytest.raises(UpstreamMissing):
        await upstream.results(upstream_key, uuid.uuid4(), after=0)
    with pytest.raises(UpstreamMissing):
        await upstream.cancel(upstream_key, uuid.uuid4())
    assert await upstream.tasks(upstream_key, [uuid.uuid4()]) == {}


async def test_it_says_that_it_lives(upstream: Upstream) -> None:
    assert 0 < await upstream.ping() < 2000
