"""From what the engine concluded to rows."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson

from verifier.engine import score, signals, syntax
from verifier.engine.evidence import Evidence, Reason, Result, Status
from verifier.store import text
from verifier.store.queries.results import Verdict


def of(result: Result, ns: Iterable[int]) -> list[Verdict]:
    """Return a row for each number that the address has in its task."""
    evidence = orjson.dumps([_evidence(item) for item in result.evidence], option=orjson.OPT_UTC_Z).decode()
    return [
        Verdict(
            n=n,
            status=result.status,
            reason=result.reason,
            role_based=result.role_based,
            disposable=result.disposable,
            free_provider=result.free_provider,
            suggestion=text.storable(result.suggestion),
            score=result.score,
            score_reasons=result.score_reasons,
            mail_host=text.storable(result.mail_host),
            evidence=evidence,
            checked_at=result.checked_at,
        )
        for n in ns
    ]


def given_up(ns: Iterable[int]) -> list[Verdict]:
    """Return rows for addresses that we failed to check, through no fault of theirs."""
    return [
        Verdict(
            n=n,
            status=Status.UNKNOWN,
            reason=Reason.OTHER,
            role_based=False,
            disposable=False,
            free_provider=False,
            suggestion=None,
            score=None,
            score_reasons=(),
            mail_host=None,
            evidence="[]",
            checked_at=datetime.now(UTC),
            is_failure=True,
        )
        for n in ns
    ]


def refusal(found: Iterable[Result]) -> str | None:
    """Return what a mail host said when it blocked us, as JSON: the reason, and the evidence of one address."""
    for result in found:
        if result.status is Status.UNKNOWN and result.reason in {Reason.BLOCKED, Reason.SENDER_REJECTED}:
            return orjson.dumps(
                {"reason": result.reason, "evidence": [_evidence(item) for item in result.evidence[-1:]]},
                option=orjson.OPT_UTC_Z,
            ).decode()
    return None


def blocked(email: str, ns: Iterable[int], mail_host: str, told: str | None) -> list[Verdict]:
    """Return rows for an address that was not asked about, because its mail host blocks us and `told` us so."""
    refused: dict[str, Any] = orjson.loads(told) if told else {"reason": Reason.BLOCKED, "evidence": []}
    reason = Reason(refused["reason"])
    parsed = syntax.parse(email)
    seen = signals.read(parsed) if isinstance(parsed, syntax.Address) else signals.Signals()
    points, reasons = score.rate(Status.UNKNOWN, reason, seen, has_suggestion=False)
    result = Result(
        input=email,
        email=email,
        status=Status.UNKNOWN,
        reason=reason,
        checked_at=datetime.now(UTC),
        role_based=seen.role_based,
        disposable=seen.disposable,
        free_provider=seen.free_provider,
        score=points,
        score_reasons=reasons,
        mail_host=mail_host.partition(",")[0],
    )
    evidence = orjson.dumps(refused["evidence"]).decode()
    return [replace(row, evidence=evidence) for row in of(result, ns)]


def _evidence(item: Evidence) -> dict[str, object]:
    return {
        "stage": item.stage,
        "host": text.storable(item.host),
        "code": item.code,
        "enhanced_code": text.storable(item.enhanced_code),
        "text": text.storable(item.text[:200]) if item.text is not None else None,
        "occurred_at": item.occurred_at,
    }
