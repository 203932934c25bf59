"""The verifier's JSON read into our words. An answer that breaks the contract is UpstreamDown, never a crash."""

import csv
import functools
import io
import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import IO, Any, ParamSpec, TypeVar
from uuid import UUID

from db.models import EmailVerification, EvidenceStage, EvidenceStep, Verdict, VerdictReason
from db.queries.parts import Snapshot
from services.addresses import ADDRESS_CHARACTERS_MAX
from services.decoded import Json
from services.errors import UpstreamDown
from services.intake import storable
from services.upstream.contract import ResultPage, UpstreamTask, is_key

P = ParamSpec("P")
T = TypeVar("T")

_TEXT_CHARACTERS_MAX = 200
_MESSAGE_CHARACTERS_MAX = 300
_SCORE_MAX = 100
_COUNT_MAX = 2**31 - 1
_CURSOR_MAX = 2**63 - 1


def _read(function: Callable[P, T]) -> Callable[P, T]:
    @functools.wraps(function)
    def reader(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, csv.Error) as error:
            raise UpstreamDown("The verifier's answer could not be read.") from error

    return reader


@_read
def task_id(answer: Json) -> UUID:
    """The id of a created task."""
    return UUID(answer["id"])


@_read
def key(answer: Json) -> str:
    """The secret of a new credential."""
    secret: str = answer["key"]
    if not is_key(secret):
        raise ValueError
    return secret


@_read
def tasks(answer: Json) -> list[UpstreamTask]:
    """The tasks of a list page."""
    return [_task(task) for task in answer["tasks"]]


@_read
def task(answer: Json) -> UpstreamTask:
    """One task."""
    return _task(answer)


@_read
def csv_results(file: IO[bytes], now: datetime, *, after: int, limit: int) -> ResultPage:
    """A page of the results in a file, which is closed, by the names of its columns; those that miss are not told."""
    file.seek(0)
    truths = ("role_based", "disposable", "free_provider")
    with io.TextIOWrapper(file, "utf-8-sig", errors="replace", newline="") as text:
        rows = csv.DictReader(text)
        if "email" not in (rows.fieldnames or ()):
            raise ValueError
        page = [
            verification(
                {name: value or None for name, value in row.items()} | {t: row.get(t) == "true" for t in truths}, now
            )
            for row in itertools.islice(rows, after, after + limit)
        ]
        return ResultPage(page, after + len(page), is_last=next(rows, None) is None)


@_read
def results(answer: Json) -> ResultPage:
    """A page of results."""
    now, next_after = datetime.now(UTC), _whole(answer["next_after"], _CURSOR_MAX)
    return ResultPage([verification(result, now) for result in answer["results"]], next_after)


@_read
def verification(result: Json, now: datetime) -> EmailVerification:
    """One result. A reason that we do not know is OTHER; a step of evidence at an unknown stage is left out.

    `email` is the address that was asked for, of whatever verdict: results are told apart by it. A text of a task made
    elsewhere may be too long for an address, and for the index of addresses: its beginning stands for it.
    """
    verdict = Verdict(result["status"].upper())
    steps = (_step(step, now) for step in result.get("evidence") or ())
    return EmailVerification(
        email=storable(result["email"][:ADDRESS_CHARACTERS_MAX]),
        verdict=verdict,
        reason=_reason(result.get("reason"), verdict),
        score=_whole(score, _SCORE_MAX) if (score := result.get("score")) is not None else None,
        score_reasons=[storable(reason) for reason in result.get("score_reasons") or ()],
        evidence=[step for step in steps if step is not None],
        is_role=bool(result.get("role_based")),
        is_disposable=bool(result.get("disposable")),
        is_free=bool(result.get("free_provider")),
        mx_host=_text(result.get("mail_host")),
        suggestion=_text(result.get("suggestion")),
        verified_at=_time(result.get("checked_at")) or now,
    )


def error_message(body: bytes) -> str | None:
    """The sentence of an error body, where it has one."""
    try:
        return storable(str(json.loads(body)["error"]["message"])[:_MESSAGE_CHARACTERS_MAX])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _task(task: dict[str, Any]) -> UpstreamTask:
    metrics = task["metrics"]
    states, verdicts = metrics["job_status"], metrics["verification_status"]
    return UpstreamTask(
        id=UUID(task["id"]),
        total=_whole(metrics["total_email_addresses"]),
        snapshot=Snapshot(
            processing=_whole(states["processing"]),
            completed=_whole(states["completed"]),
            failed=_whole(states["failed"]),
            verdicts={storable(name): _whole(n) for name, n in verdicts.items()},
            requested_at=_time(metrics.get("last_verification_requested_at")),
            completed_at=_time(metrics.get("last_verification_completed_at")),
        ),
        created_at=_time(task.get("created_at")),
        callback_url=_text(task.get("webhook_url")),
    )


def _reason(reason: str | None, verdict: Verdict) -> VerdictReason:
    try:
        return VerdictReason((reason or "").upper())
    except ValueError:
        return VerdictReason.SYNTAX if verdict is Verdict.INVALID_SYNTAX else VerdictReason.OTHER


def _step(step: dict[str, Any], now: datetime) -> EvidenceStep | None:
    try:
        stage = EvidenceStage(step["stage"].upper())
    except ValueError:
        return None
    text = _text(step.get("text"))
    return EvidenceStep(
        stage=stage,
        host=_text(step.get("host")),
        code=_whole(code) if (code := step.get("code")) is not None else None,
        enhanced_code=_text(step.get("enhanced_code")),
        text=text[:_TEXT_CHARACTERS_MAX] if text is not None else None,
        occurred_at=_time(step.get("occurred_at")) or now,
    )


def _text(value: str | None) -> str | None:
    return storable(value) if value is not None else None


def _whole(value: Json, most: int = _COUNT_MAX) -> int:
    number = int(value)
    if not 0 <= number <= most:
        raise ValueError(number)
    return number


def _time(value: str | None) -> datetime | None:
    if value is None:
        return None
    time = datetime.fromisoformat(value)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
