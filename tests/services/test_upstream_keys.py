"""The hidden key of an account: made once whoever asks, kept sealed, made anew, entered; never told."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import structlog

from db.models import Account, TaskStatus
from db.session import Database
from resolvers.context import Parts
from services import freshness, upstream_keys
from services.errors import Invalid, NotFound, UpstreamDown, UpstreamKeyMissing
from services.sealing import Box
from services.upstream.http import HttpUpstream
from services.upstream_keys import UpstreamKeys
from services.worker import Worker
from tests import factories
from tests.services.faulty_upstream import Fault, FaultyUpstream

BOX = Box("another-secret-of-the-tests-0123456789abcdef")
ADDRESS = "yes@example.com"


@pytest.fixture
async def other_db(db: Database, service_database_url: str) -> AsyncIterator[Database]:
    """The connections of another process."""
    other = await Database.open(service_database_url, pool_size=5)
    yield other
    await other.close()


def process(db: Database, upstream: HttpUpstream, service_key: str = "the-service") -> UpstreamKeys:
    """The keys as a process has them that has asked for none yet."""
    return UpstreamKeys(db, BOX, upstream, service_key)


async def enter(db: Database, account: Account, secret: str) -> None:
    await upstream_keys.enter(db, BOX, account.email.upper(), secret, account.created_at)


async def test_twenty_who_need_it_at_once_in_two_processes_get_one_key(
    db: Database, other_db: Database, account: Account, upstream: HttpUpstream, faulty: FaultyUpstream
) -> None:
    here, there = process(db, upstream), process(other_db, upstream)
    found = await asyncio.gather(*(keys.of(account.id) for keys in [here, there] * 10))
    assert set(found) == set(faulty.keys)
    assert faulty.keys == {found[0]: str(account.id)}


async def test_each_account_has_its_own(
    db: Database, account: Account, upstream: HttpUpstream, faulty: FaultyUpstream
) -> None:
    other, keys = await factories.account(db, "other@example.com"), process(db, upstream)
    first, second = await keys.of(account.id), await keys.of(other.id)
    assert faulty.keys == {first: str(account.id), second: str(other.id)}
    assert await process(db, upstream).of(account.id) == first
    assert faulty.calls["key"] == 2


async def test_it_is_sealed_for_its_row_and_named_by_what_it_is_sealed_with(
    db: Database, account: Account, upstream: HttpUpstream, faulty: FaultyUpstream, raw: Any
) -> None:
    secret = await process(db, upstream).of(account.id)
    ((row,),) = await raw("SELECT upstream_key::text FROM upstream_key")
    assert secret.encode().hex() not in row
    ((sealed, kid),) = await raw("SELECT sealed, kid FROM upstream_key")
    assert kid == BOX.kid
    assert BOX.open(sealed, f"upstream_key:{account.id}:sealed").decode() == secret
    other = await factories.account(db, "other@example.com")
    await raw("UPDATE upstream_key SET account_id = :other RETURNING 1", other=other.id)
    assert await process(db, upstream).of(other.id) != secret  # what was moved cannot be opened: a new one is made
    assert faulty.calls["key"] == 2


async def test_a_process_that_dies_while_it_is_made_leaves_nobody_stuck(
    db: Database, account: Account, upstream: HttpUpstream, faulty: FaultyUpstream, raw: Any, monkeypatch: Any
) -> None:
    def die(*_: object) -> bytes:
        raise SystemExit

    with monkeypatch.context() as dying:
        dying.setattr(Box, "seal", die)  # upstream has answered, nothing is stored
        with pytest.raises(SystemExit):
            await process(db, upstream).of(account.id)
    assert await raw("SELECT sealed, claimed_until > now() FROM upstream_key") == [(None, True)]
    waiting = asyncio.create_task(process(db, upstream).of(account.id))
    await asyncio.sleep(0.1)
    assert (waiting.done(), faulty.calls["key"]) == (False, 1)  # whoever holds the claim may be alive
    await raw("UPDATE upstream_key SET claimed_until = now() RETURNING 1")  # as time would
    assert await waiting in faulty.keys
    assert faulty.calls["key"] == 2


async def test_who_was_too_slow_drops_the_key_that_it_had_made(
    db: Database, account: Account, upstream: HttpUpstream, faulty: FaultyUpstream, raw: Any
) -> None:
    async def overtake() -> None:
        await raw("UPDATE upstream_key SET claimed_until = now() RETURNING 1")
        assert await process(db, upstream).of(account.id) in faulty.keys

    faulty.before["key"] = overtake
    found = await process(db, upstream).of(account.id)
    assert len(faulty.keys) == 2
    assert await process(db, upstream).of(account.id) == found


async def test_a_verifier_that_is_away_leaves_no_claim(
    db: Database, account: Account, upstream: HttpUpstream, faulty: FaultyUpstream, raw: Any
) -> None:
    faulty.err("key", Fault(503))
    keys = process(db, upstream)
    with pytest.raises(UpstreamDown):
        await keys.of(account.id)
    assert await raw("SELECT claimed_until FROM upstream_key") == [(None,)]
    assert await keys.of(account.id) in faulty.keys


@pytest.mark.parametrize("fault", [Fault(401), Fault(403), Fault(404), Fault(405)])
async def test_a_verifier_that_makes_no_keys_is_a_clear_error(
    db: Database, account: Account, upstream: HttpUpstream, faulty: FaultyUpstream, fault: Fault
) -> None:
    faulty.err_always("key", fault)
    with pytest.raises(UpstreamKeyMissing, match="has no key at the verifier"):
        await process(db, upstream).of(account.id)


async def test_a_refused_key_is_made_anew_and_the_call_done(
    db: Database, account: Account, upstream: HttpUpstream, faulty: FaultyUpstream, raw: Any
) -> None:
    keys = process(db, upstream)
    secret = await keys.of(account.id)
    faulty.refused.add(secret)
    await raw("UPDATE upstream_key SET made_at = now() - interval '2 minutes' RETURNING 1")

    async def call(secret: str) -> str:
        await upstream.verify(secret, ADDRESS, timeout_seconds=1)
        return secret

    found = await asyncio.gather(*(keys.asking(account.id, call) for _ in range(5)))
    assert len(set(found)) == 1
    assert set(faulty.keys) == {secret, found[0]}
    assert await process(db, upstream).of(account.id) == found[0]


async def test_a_verifier_that_refuses_every_key_is_not_asked_for_ever_more(
    db: Database, account: Account, upstream: HttpUpstream, faulty: FaultyUpstream
) -> None:
    faulty.err_always("verify", Fault(401))
    keys = process(db, upstream)
    for _ in range(4):
        with pytest.raises(UpstreamKeyMissing, match="refuses the key"):
            await keys.asking(account.id, lambda secret: upstream.verify(secret, ADDRESS, timeout_seconds=1))
    assert faulty.calls["key"] == 1


async def test_an_old_key_is_renewed_and_works_on_while_that_fails(
    db: Database, account: Account, upstream: HttpUpstream, faulty: FaultyUpstream, raw: Any
) -> None:
    secret = await process(db, upstream).of(account.id)
    await raw("UPDATE upstream_key SET made_at = now() - interval '91 days' RETURNING 1")
    faulty.err("key", Fault(503))
    assert await process(db, upstream).of(account.id) == secret
    assert await process(db, upstream).of(account.id) != secret
    assert faulty.calls["key"] == 3


async def test_a_key_that_was_entered_is_used_and_never_replaced_by_itself(
    db: Database, account: Account, upstream: HttpUpstream, faulty: FaultyUpstream, raw: Any
) -> None:
    assert await process(db, upstream).of(account.id) in faulty.keys
    await enter(db, account, " hosted-key\n")
    await raw("UPDATE upstream_key SET made_at = now() - interval '91 days' RETURNING 1")
    for service_key in ("the-service", ""):
        assert await process(db, upstream, service_key).of(account.id) == "hosted-key"
    faulty.refused.add("hosted-key")
    with pytest.raises(UpstreamKeyMissing):
        await process(db, upstream).asking(
            account.id, lambda secret: upstream.verify(secret, ADDRESS, timeout_seconds=1)
        )
    assert faulty.calls["key"] == 1


async def test_only_a_key_can_be_entered_and_only_for_an_account(db: Database, account: Account) -> None:
    for wrong in ("", " ", "two words", "käse", "a\nb", "x" * 513):
        with pytest.raises(Invalid):
            await enter(db, account, wrong)
    with pytest.raises(NotFound):
        await upstream_keys.enter(db, BOX, "nobody@example.com", "key", account.created_at)


async def test_without_a_key_of_the_service_each_account_reads_with_its_own_and_waits_for_it(
    parts: Parts, db: Database, account: Account, upstream: HttpUpstream, faulty: FaultyUpstream, raw: Any
) -> None:
    other = await factories.account(db, "other@example.com")
    await enter(db, account, "key-of-one")
    keys = process(db, upstream, "")
    worker = Worker(db, upstream, keys, parts.hub, parts.announcer, parts.usage)
    made = [await factories.task(parts, owner, [ADDRESS]) for owner in (account, other)]

    async def looked() -> dict[Any, TaskStatus]:
        await raw("UPDATE task_part SET due_at = now() WHERE state <> 'ENDED'  RETURNING 1")
        await worker.tick(parts.now() + timedelta(seconds=1))
        return {row.id: TaskStatus(row.status) for row in await raw("SELECT id, status FROM task")}

    await looked()
    assert await looked() == {made[0].id: TaskStatus.COMPLETED, made[1].id: TaskStatus.QUEUED}
    await enter(db, other, "key-of-the-other")
    await looked()
    assert set((await looked()).values()) == {TaskStatus.COMPLETED}
    assert faulty.credentials == {"Bearer key-of-one", "Bearer key-of-the-other"}
    await keys.require(account.id)
    with pytest.raises(UpstreamKeyMissing):
        await keys.require((await factories.account(db, "third@example.com")).id)


async def test_lists_are_posted_with_each_accounts_key_and_all_are_read_in_one_call_with_the_services(
    parts: Parts, account: Account, worker: Worker, faulty: FaultyUpstream, upstream_key: str
) -> None:
    owners = [account, *[await factories.account(parts.db, f"owner{n}@example.com") for n in range(4)]]
    faulty.settled_a_look = 0
    made = [await factories.task(parts, owner, [ADDRESS]) for owner in owners]
    await worker.tick(parts.now() + timedelta(seconds=1))
    assert faulty.credentials_of["create"] == {f"Bearer {secret}" for secret in faulty.keys}
    assert len(faulty.keys) == faulty.calls["create"] == 5
    await freshness.refresh(parts.db, parts.upstream, parts.upstream_keys, [task.id for task in made], parts.now())
    assert faulty.calls["list"] == 1
    faulty.settled_a_look = None
    await worker.tick(parts.now() + timedelta(seconds=2))
    assert faulty.calls["list"] == 2
    assert faulty.credentials_of["list"] == faulty.credentials_of["results"] == {f"Bearer {upstream_key}"}


async def test_no_log_line_holds_a_key(
    db: Database, account: Account, upstream: HttpUpstream, faulty: FaultyUpstream, raw: Any
) -> None:
    with structlog.testing.capture_logs() as lines:
        keys = process(db, upstream)
        secret = await keys.of(account.id)
        await raw("UPDATE upstream_key SET made_at = now() - interval '2 minutes', kid = 'older' RETURNING 1")
        faulty.err("verify", Fault(401))
        await keys.asking(account.id, lambda secret: upstream.verify(secret, ADDRESS, timeout_seconds=1))
    assert {line["event"] for line in lines} == {"upstream_key_made", "upstream_key_refused"}
    assert not [line for line in lines for key in (secret, *faulty.keys) if key in str(line)]
    assert secret not in repr(keys._kept)
