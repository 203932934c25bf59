"""verifyEmail with an idempotency key: one answer and one payment, whatever happens in between."""

import asyncio
from typing import Any

import pytest

from db.models import Account, EmailVerification, Verdict
from resolvers.context import Parts
from services import credits, verification
from services.actor import Actor
from services.errors import IdempotencyConflict, InsufficientCredits, Invalid, UpstreamDown
from tests import factories
from tests.services import ledger
from tests.services.faulty_upstream import Fault, FaultyUpstream


async def verified(
    parts: Parts, owner: Account, email: str = "yes@example.com", key: str | None = "k", timeout_ms: int = 2_000
) -> EmailVerification:
    return await verification.verify(
        parts.db,
        parts.upstream,
        parts.upstream_keys,
        parts.usage,
        Actor(owner.id, owner.role),
        email=email,
        timeout_ms=timeout_ms,
        idempotency_key=key,
        now=parts.now(),
    )


async def paid(raw: Any) -> int:
    """How many credits were spent."""
    ((spent,),) = await raw("SELECT coalesce(-sum(amount), 0)::int FROM credit_transaction WHERE kind = 'SPENT'")
    count: int = spent
    return count


@pytest.mark.parametrize(("email", "cost"), [("yes@example.com", 1), ("grey-@example.com", 0), ("wrong", 0)])
async def test_the_same_key_gives_the_same_answer_and_is_paid_for_once(
    parts: Parts, account: Account, faulty: FaultyUpstream, raw: Any, email: str, cost: int
) -> None:
    first = await verified(parts, account, email)
    asked = faulty.calls["verify"]
    assert await verified(parts, account, email) == first
    assert (await paid(raw), faulty.calls["verify"]) == (cost, asked)
    assert await verified(parts, account, email, key="another") != first or cost == 0
    assert await paid(raw) == 2 * cost


async def test_the_same_key_with_other_input_is_refused(
    parts: Parts, account: Account, faulty: FaultyUpstream, raw: Any
) -> None:
    await verified(parts, account)
    with pytest.raises(IdempotencyConflict):
        await verified(parts, account, "no-@example.com")
    with pytest.raises(IdempotencyConflict):
        await verified(parts, account, timeout_ms=3_000)
    assert (await paid(raw), faulty.calls["verify"]) == (1, 1)
    for wrong in ("", "x" * 65, "a\0b"):
        with pytest.raises(Invalid):
            await verified(parts, account, key=wrong)


async def test_a_key_is_its_accounts_own(parts: Parts, account: Account, faulty: FaultyUpstream, raw: Any) -> None:
    other = await factories.account(parts.db, "other@example.com")
    await verified(parts, account)
    assert (await verified(parts, other, "no-@example.com")).verdict is Verdict.NOT_EXISTS
    assert (await paid(raw), faulty.calls["verify"]) == (2, 2)


async def test_one_key_twenty_times_at_once_is_one_payment_and_twenty_equal_answers(
    parts: Parts, account: Account, raw: Any
) -> None:
    found = await asyncio.gather(*(verified(parts, account) for _ in range(20)))
    assert found == [found[0]] * 20
    assert await paid(raw) == 1
    parts.usage.close()
    await parts.usage.run()
    assert await raw("SELECT verification_count, credits_spent FROM usage_day") == [(1, 1)]


async def test_a_kill_between_upstreams_answer_and_the_commit_is_paid_for_once(
    parts: Parts, account: Account, faulty: FaultyUpstream, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object, **__: object) -> None:
        raise SystemExit

    with monkeypatch.context() as dying:
        dying.setattr(credits, "deduct", die)
        with pytest.raises(SystemExit):
            await verified(parts, account)
    assert (await paid(raw), faulty.calls["verify"]) == (0, 1)
    first = await verified(parts, account)
    assert await verified(parts, account) == first
    assert (await paid(raw), faulty.calls["verify"]) == (1, 2)


async def test_what_failed_is_not_kept_and_may_be_asked_again(
    parts: Parts, account: Account, faulty: FaultyUpstream, raw: Any
) -> None:
    faulty.err("verify", Fault(503))
    with pytest.raises(UpstreamDown):
        await verified(parts, account)
    assert (await verified(parts, account)).verdict is Verdict.EXISTS
    assert await paid(raw) == 1


async def test_the_first_answer_is_given_again_when_the_credits_are_used_up(parts: Parts, raw: Any) -> None:
    poor = await factories.account(parts.db, "poor@example.com", balance=1)
    first = await verified(parts, poor)
    assert await verified(parts, poor) == first
    with pytest.raises(InsufficientCredits):
        await verified(parts, poor, key="another")
    assert await paid(raw) == 1


@pytest.mark.parametrize(
    "fault",
    [Fault(429, headers={"retry-after": "120"}), Fault(503), Fault(200, b"<html>")],
    ids=["429", "503", "garbage"],
)
async def test_security_15_an_upstream_that_gives_no_answer_costs_nothing(
    parts: Parts, account: Account, faulty: FaultyUpstream, fault: Fault
) -> None:
    faulty.err_always("verify", fault)
    with pytest.raises(UpstreamDown) as down:
        await verified(parts, account)
    assert down.value.retry_after_seconds == (120 if fault.status == 429 else None)
    assert await ledger.balance(parts.db, account.id) == (1_000_000, 0, 0)


async def test_security_15_an_upstream_that_hangs_costs_nothing_and_no_more_time_than_was_given(
    parts: Parts, account: Account, faulty: FaultyUpstream
) -> None:
    faulty.err_always("verify", Fault(hang_seconds=20))
    async with asyncio.timeout(5):
        assert (await verified(parts, account, timeout_ms=1_000)).verdict is Verdict.UNKNOWN
    assert await ledger.balance(parts.db, account.id) == (1_000_000, 0, 0)
