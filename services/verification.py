"""One address, verified while the caller waits."""

from dataclasses import replace
from datetime import datetime

from db import ids
from db.models import ApiKeyScope, CreditTransactionKind, EmailVerification, Verdict, VerdictReason
from db.session import Database
from services import addresses, credits
from services.actor import Actor
from services.errors import Invalid, Required, UpstreamDown
from services.intake import INPUT_CHARACTERS_MAX
from services.upstream.contract import Upstream
from services.upstream_keys import UpstreamKeys

TIMEOUT_MS_MIN, TIMEOUT_MS_MAX = 1_000, 30_000


async def verify(
    db: Database,
    upstream: Upstream,
    keys: UpstreamKeys,
    actor: Actor,
    *,
    email: str,
    timeout_ms: int,
    now: datetime,
) -> EmailVerification:
    """The verdict on one address within a time limit; when the time runs out, UNKNOWN with TIMEOUT.

    A verdict that costs is paid for before it is told; there must be a credit for it before upstream is asked.

    Raises:
        Required, Invalid: nothing to verify, or a time limit out of range.
        InsufficientCredits: there is no credit for it.
        UpstreamDown: the verifier cannot be reached.

    """
    actor.require(ApiKeyScope.VERIFY)
    if not email.strip():
        message = "Send an address."
        raise Required(message, field=("input", "email"))
    if len(email) > INPUT_CHARACTERS_MAX:
        message = f"An address has at most {INPUT_CHARACTERS_MAX} characters here."
        raise Invalid(message, field=("input", "email"))
    if not TIMEOUT_MS_MIN <= timeout_ms <= TIMEOUT_MS_MAX:
        message = f"The time limit is {TIMEOUT_MS_MIN} to {TIMEOUT_MS_MAX} milliseconds."
        raise Invalid(message, field=("input", "timeoutMs"))
    address = addresses.parse(email)
    if address is None:
        return _without_evidence(None, Verdict.INVALID_SYNTAX, VerdictReason.SYNTAX, now)
    await credits.require(db, actor, 1, now)
    try:
        key = await keys.of(actor.account_id)
        found = await upstream.verify(key, address.email, timeout_seconds=timeout_ms / 1000)
    except UpstreamDown as error:
        if error.is_timeout:
            return _without_evidence(address.email, Verdict.UNKNOWN, VerdictReason.TIMEOUT, now)
        raise
    if found.verdict in credits.chargeable(credits.POLICY):
        request = credits.Request(f"verify:{ids.new_uuid()}", (address.email,), actor_id=actor.account_id)
        async with db.transaction(actor.acting_for) as session:
            await credits.deduct(session, actor.account_id, 1, request, now, kind=CreditTransactionKind.SPENT)
    # An address that upstream does not take for one has no normal form.
    return replace(found, email=None) if found.verdict is Verdict.INVALID_SYNTAX else found


def _without_evidence(email: str | None, verdict: Verdict, reason: VerdictReason, now: datetime) -> EmailVerification:
    return EmailVerification(
        email=email,
        verdict=verdict,
        reason=reason,
        score=None,
        score_reasons=[],
        evidence=[],
        is_role=False,
        is_disposable=False,
        is_free=False,
        mx_host=None,
        suggestion=None,
        verified_at=now,
    )
