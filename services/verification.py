"""One address, verified while the caller waits."""

from dataclasses import replace
from datetime import datetime
from functools import partial

from db import ids
from db.models import (
    ApiKeyScope,
    CreditTransactionKind,
    EmailVerification,
    EvidenceStep,
    IdempotencyKey,
    Verdict,
    VerdictReason,
)
from db.queries import tasks as task_queries
from db.session import Database, Session
from services import addresses, credits, idempotency
from services.actor import Actor
from services.addresses import Address
from services.changes import Request
from services.errors import Invalid, Required, UpstreamDown
from services.intake import INPUT_CHARACTERS_MAX, storable
from services.upstream.contract import Upstream
from services.upstream_keys import UpstreamKeys
from services.usage import Usage

TIMEOUT_MS_MIN, TIMEOUT_MS_MAX = 1_000, 30_000
_OPERATION = "verifyEmail"


async def verify(
    db: Database,
    upstream: Upstream,
    keys: UpstreamKeys,
    usage: Usage,
    actor: Actor,
    *,
    email: str,
    timeout_ms: int,
    idempotency_key: str | None = None,
    now: datetime,
) -> EmailVerification:
    """The verdict on one address within a time limit; when the time runs out, UNKNOWN with TIMEOUT.

    A verdict that costs is paid for before it is told; there must be a credit for it before upstream is asked. With an
    idempotency key the first answer is kept in the transaction that pays for it, and given again.

    Raises:
        Required, Invalid: nothing to verify, a time limit out of range, or a key that is none.
        IdempotencyConflict: the key was used with other input.
        InsufficientCredits: there is no credit for it.
        UpstreamDown: the verifier cannot be reached.
        UpstreamKeyMissing: the account has no key there.

    """
    actor.require(ApiKeyScope.VERIFY)
    _check(email, timeout_ms)
    key = idempotency.key(actor, _OPERATION, idempotency_key, (email, str(timeout_ms)), ids.new_uuid(), now)
    if key is not None:
        async with db.read() as reading:
            first = await task_queries.remembered(reading, key)
        if first is not None:
            return _same_again(first, key)
    address, cost = addresses.read(email), 0
    if isinstance(address, str):
        seen = EvidenceStep.of_syntax(storable(address), now)
        found = _without_answer(None, Verdict.INVALID_SYNTAX, VerdictReason.SYNTAX, now, seen)
    else:
        await credits.require(db, actor, 1, now)
        found = await _found(upstream, keys, actor, address, timeout_ms, now)
        cost = 1 if found.verdict in credits.chargeable(credits.POLICY) else 0
    if key is not None or cost:
        # Before this is committed nothing is paid, whatever upstream has answered: who asks again pays once.
        async with db.transaction() as session:
            if key is not None:
                key.answer = found.to_json()
                first = await task_queries.remember(session, key)
                if first is not None:  # the same request came twice at one time
                    return _same_again(first, key)
            if cost:
                await _pay(session, actor, found, key, now)
    if isinstance(address, Address):
        usage.count(actor.account_id, actor.api_key_id, verifications=1, credits=cost)
    return found


def _check(email: str, timeout_ms: int) -> None:
    if not email.strip():
        raise Required("Send an address.", field=("input", "email"))
    if len(email) > INPUT_CHARACTERS_MAX:
        raise Invalid(f"An address has at most {INPUT_CHARACTERS_MAX} characters here.", field=("input", "email"))
    if not TIMEOUT_MS_MIN <= timeout_ms <= TIMEOUT_MS_MAX:
        raise Invalid(
            f"The time limit is {TIMEOUT_MS_MIN} to {TIMEOUT_MS_MAX} milliseconds.", field=("input", "timeoutMs")
        )


def _same_again(first: IdempotencyKey, key: IdempotencyKey) -> EmailVerification:
    idempotency.hold_same(first, key)
    return EmailVerification.from_json(first.answer or {})


async def _found(
    upstream: Upstream, keys: UpstreamKeys, actor: Actor, address: Address, timeout_ms: int, now: datetime
) -> EmailVerification:
    ask = partial(upstream.verify, email=address.email, timeout_seconds=timeout_ms / 1000)
    try:
        found = await keys.asking(actor.account_id, ask)
    except UpstreamDown as error:
        if error.is_timeout:
            return _without_answer(address.email, Verdict.UNKNOWN, VerdictReason.TIMEOUT, now)
        raise
    # An address that upstream does not take for one has no normal form.
    return replace(found, email=None) if found.verdict is Verdict.INVALID_SYNTAX else found


async def _pay(
    session: Session, actor: Actor, found: EmailVerification, key: IdempotencyKey | None, now: datetime
) -> None:
    scope = f"{_OPERATION}:{actor.account_id}:{key.key}" if key is not None else f"verify:{ids.new_uuid()}"
    request = Request(scope, (found.email,), actor_id=actor.account_id)
    await credits.deduct(session, actor.account_id, 1, request, now, kind=CreditTransactionKind.SPENT)


def _without_answer(
    email: str | None, verdict: Verdict, reason: VerdictReason, now: datetime, *evidence: EvidenceStep
) -> EmailVerification:
    return EmailVerification(
        email=email,
        verdict=verdict,
        reason=reason,
        score=None,
        score_reasons=[],
        evidence=list(evidence),
        is_role=False,
        is_disposable=False,
        is_free=False,
        mx_host=None,
        suggestion=None,
        verified_at=now,
    )
