"""Verdicts: written by batch as they arrive, read by row in the order of the input."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import ARRAY, ColumnElement, Integer, Row, Select, Uuid, bindparam, func, select, text, true, tuple_

from db import hot
from db.models import (
    EmailVerification,
    EvidenceStep,
    TaskAddress,
    TaskResult,
    TaskRow,
    Verdict,
    VerdictReason,
)
from db.queries import pages
from db.session import ReadSession, Session


@dataclass(frozen=True, slots=True)
class ResultConditions:
    """Which results to list; all given conditions must hold."""

    verdict: tuple[Verdict, ...] | None = None
    reason: tuple[VerdictReason, ...] | None = None
    domain: str | None = None
    email_contains: str | None = None


# One statement a batch. Only addresses without a verdict are written, so that a replay changes nothing;
# what was really written comes back as the number that costs a credit.
_WRITE = text("""
WITH batch AS (
    SELECT * FROM jsonb_to_recordset(CAST(:batch AS jsonb)) AS b(
        email text, verdict text, reason text, score smallint, score_reasons text[], is_role boolean,
        is_disposable boolean, is_free boolean, mx_host text, suggestion text, evidence jsonb, verified_at timestamptz)
), written AS (
    UPDATE task_address a
    SET verdict = b.verdict, reason = b.reason, score = b.score, score_reasons = b.score_reasons, is_role = b.is_role,
        is_disposable = b.is_disposable, is_free = b.is_free, mx_host = b.mx_host, suggestion = b.suggestion,
        evidence = b.evidence, verified_at = b.verified_at
    FROM batch b
    WHERE a.task_id = :task_id AND a.email = b.email AND a.verdict IS NULL
    RETURNING a.verdict
)
UPDATE task
SET chargeable_count = chargeable_count + (SELECT count(*) FROM written WHERE verdict = ANY(:chargeable))
WHERE id = :task_id
RETURNING (SELECT count(*) FROM written), (SELECT count(*) FROM written WHERE verdict = ANY(:chargeable))
""")


async def write(
    session: Session, task_id: UUID, batch: Sequence[EmailVerification], chargeable: Collection[Verdict]
) -> tuple[int, int]:
    """Write verdicts to a task's addresses: how many were new, and how many of those are among the `chargeable`."""
    records = [_to_json(v) for v in batch]
    values = {
        "task_id": task_id,
        "batch": orjson.dumps(records).decode(),
        "chargeable": [v.value for v in chargeable],
    }
    row = (await session.execute(_WRITE, values)).one()
    return row[0], row[1]


def _to_json(v: EmailVerification) -> dict[str, Any]:
    return {
        "email": v.email,
        "verdict": v.verdict.value,
        "reason": v.reason.value,
        "score": v.score,
        "score_reasons": v.score_reasons,
        "is_role": v.is_role,
        "is_disposable": v.is_disposable,
        "is_free": v.is_free,
        "mx_host": v.mx_host,
        "suggestion": v.suggestion,
        "evidence": [step.to_json() for step in v.evidence],
        "verified_at": v.verified_at,
    }


# Parts of 10,000, in the order of the input.
_REOPEN = text("""
WITH chosen AS (
    SELECT n, :after_part + 1 + (row_number() OVER (ORDER BY n) - 1) / :part_size AS part
    FROM task_address
    WHERE task_id = :task_id AND email IS NOT NULL AND (verdict IS NULL OR verdict = 'UNKNOWN')
), reopened AS (
    UPDATE task_address a
    SET part = c.part, verdict = NULL, reason = NULL, score = NULL, score_reasons = NULL, is_role = NULL,
        is_disposable = NULL, is_free = NULL, mx_host = NULL, suggestion = NULL, evidence = NULL, verified_at = NULL
    FROM chosen c WHERE a.task_id = :task_id AND a.n = c.n
    RETURNING 1
)
SELECT count(*) FROM reopened
""")


async def reopen(session: Session, task_id: UUID, *, after_part: int, part_size: int) -> int:
    """Take UNKNOWN verdicts back and put these addresses, and those without one, into new parts; how many those are."""
    await session.execute(text("SET LOCAL statement_timeout = 0"))  # a list may be long
    values = {"task_id": task_id, "after_part": after_part, "part_size": part_size}
    return await session.scalar(_REOPEN, values) or 0


async def adopt(session: Session, task_id: UUID, part: int, batch: Sequence[EmailVerification]) -> None:
    """Make addresses and rows of results that came for a task whose list we never saw; what is there is left alone."""
    values = {"task_id": task_id, "part": part, "emails": [v.email for v in batch]}
    await session.execute(_ADOPT, values)


_ADOPT = text("""
WITH new AS (
    SELECT email, (SELECT coalesce(max(n), 0) FROM task_address WHERE task_id = :task_id)
        + row_number() OVER (ORDER BY min(place)) AS n
    FROM unnest(CAST(:emails AS text[])) WITH ORDINALITY AS told(email, place)
    WHERE NOT EXISTS (SELECT FROM task_address a WHERE a.task_id = :task_id AND a.email = told.email)
    GROUP BY email
), address AS (
    INSERT INTO task_address (task_id, n, part, email, domain)
    SELECT CAST(:task_id AS uuid), n, :part, email, lower(split_part(email, '@', -1)) FROM new
)
INSERT INTO task_row (task_id, row_number, address_n, input)
SELECT CAST(:task_id AS uuid), n, n, email FROM new
""")


_COLUMNS = (
    TaskRow.task_id,
    TaskRow.row_number,
    TaskRow.reference,
    TaskRow.input,
    TaskRow.cells,
    TaskAddress.email,
    TaskAddress.verdict,
    TaskAddress.reason,
    TaskAddress.score,
    TaskAddress.score_reasons,
    TaskAddress.evidence,
    TaskAddress.is_role,
    TaskAddress.is_disposable,
    TaskAddress.is_free,
    TaskAddress.mx_host,
    TaskAddress.suggestion,
    TaskAddress.verified_at,
)


class JoinedRow(NamedTuple):
    """A row with its address, as a hot read gives it. Without a verdict it has nothing of what comes with one."""

    parent_id: UUID
    task_id: UUID
    row_number: int
    reference: str | None
    input: str
    cells: list[str] | None
    email: str | None
    verdict: Verdict | None
    reason: VerdictReason
    score: int | None
    score_reasons: list[str] | None
    evidence: list[dict[str, Any]] | None
    is_role: bool | None
    is_disposable: bool | None
    is_free: bool | None
    mx_host: str | None
    suggestion: str | None
    verified_at: datetime


def _joined(*columns: Any) -> Select[Any]:  # noqa: ANN401 - columns to select
    on = (TaskAddress.task_id == TaskRow.task_id) & (TaskAddress.n == TaskRow.address_n)
    return select(*columns).select_from(TaskRow).join(TaskAddress, on)


def _matching(conditions: ResultConditions, statement: Select[Any]) -> Select[Any]:
    if conditions.verdict is not None:
        statement = statement.where(TaskAddress.verdict.in_(conditions.verdict))
    if conditions.reason is not None:
        statement = statement.where(TaskAddress.reason.in_(conditions.reason))
    if conditions.domain is not None:
        statement = statement.where(TaskAddress.domain == conditions.domain.lower())
    if conditions.email_contains is not None:
        part = conditions.email_contains.lower()
        statement = statement.where(func.lower(TaskRow.input).contains(part, autoescape=True))
    return statement


def to_result(row: Row[Any] | JoinedRow) -> TaskResult:
    """The picture of a joined row."""
    return TaskResult(row.task_id, row.row_number, row.reference, row.input, to_verification(row))


def to_verification(row: Row[Any] | JoinedRow) -> EmailVerification | None:
    """The verdict of a joined row; None before there is one."""
    if row.verdict is None:
        return None
    return EmailVerification(
        email=row.email if row.verdict is not Verdict.INVALID_SYNTAX else None,
        verdict=row.verdict,
        reason=row.reason,
        score=row.score,
        score_reasons=list(row.score_reasons or ()),
        evidence=[EvidenceStep.from_json(step) for step in row.evidence or ()],
        is_role=bool(row.is_role),
        is_disposable=bool(row.is_disposable),
        is_free=bool(row.is_free),
        mx_host=row.mx_host,
        suggestion=row.suggestion,
        verified_at=row.verified_at,
    )


async def by_tasks(
    session: ReadSession, task_ids: Sequence[UUID], conditions: ResultConditions, window: pages.Window
) -> dict[UUID, pages.Slice[Row[Any]]]:
    """The same window of each task's rows, in the order of the input. One statement."""
    statement, row = _matching(conditions, _joined(*_COLUMNS)), TaskRow.__table__.c
    return await pages.read_below(session, statement, [row.row_number], window, row.task_id, task_ids)


def _from(after: ColumnElement[Any] | None = None) -> hot.Read[tuple[Any, ...]]:
    size: Any = bindparam("size", type_=Integer())
    place: Any = after
    row = TaskRow.__table__.c
    return hot.Read(pages.below(_joined(*_COLUMNS), [row.row_number], pages.Window(size, after=place), row.task_id))


_FROM_START = _from()
_FROM_ROW = _from(tuple_(bindparam("row_number", type_=Integer())))


async def hot_by_tasks(
    reads: hot.Reads, task_ids: Sequence[UUID], window: pages.Window
) -> dict[UUID, pages.Slice[JoinedRow]]:
    """`by_tasks` without conditions, forwards: as a hot read."""
    values: dict[str, Any] = {"parent_ids": task_ids, "size": window.size}
    if window.after is None:
        found = await reads.fetch(_FROM_START, **values)
    else:
        found = await reads.fetch(_FROM_ROW, **values, row_number=window.after[0])
    return pages.slices_below([JoinedRow._make(row) for row in found], window, task_ids)


async def counts(session: ReadSession, task_ids: Sequence[UUID], conditions: ResultConditions) -> dict[UUID, int]:
    """How many rows of each task match. One statement."""
    return await pages.count_below(session, _matching(conditions, _joined()), TaskRow.__table__.c.task_id, task_ids)


async def by_number(session: ReadSession, keys: Sequence[tuple[UUID, int]]) -> dict[tuple[UUID, int], TaskResult]:
    """Results by task and row number; those not found are left out."""
    task_ids, numbers = [key[0] for key in keys], [key[1] for key in keys]
    asked = func.unnest(
        bindparam("task_ids", task_ids, type_=ARRAY(Uuid())), bindparam("numbers", numbers, type_=ARRAY(Integer()))
    )
    pairs = asked.table_valued("task_id", "row_number").render_derived("pairs")
    is_it = (TaskRow.task_id == pairs.c.task_id) & (TaskRow.row_number == pairs.c.row_number)
    # Each is looked up for itself, by LIMIT: the planner would rather read whole tables for so many pairs.
    one = _joined(*_COLUMNS).where(is_it).limit(1).lateral("one")
    rows = await session.execute(select(*one.c).join_from(pairs, one, true()))
    return {(row.task_id, row.row_number): to_result(row) for row in rows}
