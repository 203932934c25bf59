"""From what the engine concluded to rows."""

from collections.abc import Iterable
from datetime import UTC, datetime

import orjson

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


def _evidence(item: Evidence) -> dict[str, object]:
    return {
        "stage": item.stage,
        "host": text.storable(item.host),
        "code": item.code,
        "enhanced_code": text.storable(item.enhanced_code),
        "text": text.storable(item.text[:200]) if item.text is not None else None,
        "occurred_at": item.occurred_at,
    }
