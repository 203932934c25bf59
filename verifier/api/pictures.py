"""Rows and results as the contract shows them."""

from collections.abc import Mapping
from typing import Any

import orjson

from verifier.engine.evidence import Result
from verifier.store.queries import results
from verifier.store.queries.series import Day
from verifier.store.queries.tasks import Task


def created(task: Task) -> dict[str, object]:
    """Return TaskCreated."""
    return {
        "id": task.id,
        "user_id": task.user_id,
        "webhook_url": task.webhook_url,
        "created_at": task.created_at,
        "email_count": task.email_count,
        "domain_count": task.domain_count,
    }


def summary(task: Task) -> dict[str, object]:
    """Return TaskSummary."""
    return {
        "id": task.id,
        "user_id": task.user_id,
        "webhook_url": task.webhook_url,
        "created_at": task.created_at,
        "updated_at": task.updated_at,
        "metrics": _metrics(task),
    }


def detail(task: Task) -> dict[str, object]:
    """Return TaskDetail."""
    return {**summary(task), "started_at": task.started_at, "finished_at": task.finished_at}


def _metrics(task: Task) -> dict[str, object]:
    total, ended = task.email_count, task.completed + task.failed
    return {
        "total_email_addresses": total,
        "job_status": {
            "pending": total - ended - task.processing,
            "processing": task.processing,
            "completed": task.completed,
            "failed": task.failed,
        },
        "progress": ended / total,
        "progress_percent": ended * 100 // total,
        "verification_status": _verdicts(task),
        "last_verification_requested_at": task.last_requested_at,
        "last_verification_completed_at": task.last_completed_at,
    }


def day_metrics(day: Day | None) -> dict[str, object]:
    """Return TaskMetrics of what was settled on one day; None is a day on which nothing was."""
    completed, failed = (day.completed, day.failed) if day else (0, 0)
    return {
        "total_email_addresses": completed + failed,
        "job_status": {"pending": 0, "processing": 0, "completed": completed, "failed": failed},
        "progress": 1.0 if day else 0.0,
        "progress_percent": 100 if day else 0,
        "verification_status": _verdicts(day),
        "last_verification_requested_at": None,
        "last_verification_completed_at": day.last_checked_at if day else None,
    }


_COUNTERS = {
    "exists": "exists_count",
    "not_exists": "not_exists_count",
    "catchall": "catchall_count",
    "invalid_syntax": "invalid_syntax_count",
    "unknown": "unknown_count",
    "role_based": "role_based_count",
    "disposable_domain_emails": "disposable_count",
}


def _verdicts(counted: Task | Day | None) -> dict[str, int]:
    return {name: getattr(counted, column) if counted else 0 for name, column in _COUNTERS.items()}


def stored_result(row: Mapping[str, Any]) -> dict[str, object]:
    """Return a Result with its place in the sequence; `email` is the address as it was sent."""
    return {
        "seq": row["seq"],
        "email": results.email_of(row),
        "status": row["status"],
        "reason": row["reason"],
        "role_based": row["role_based"],
        "disposable": row["disposable"],
        "free_provider": row["free_provider"],
        "suggestion": row["suggestion"],
        "checked_at": row["checked_at"],
        "score": row["score"],
        "score_reasons": row["score_reasons"],
        "mail_host": row["mail_host"],
        "evidence": orjson.Fragment(row["evidence"]),
    }


def fresh_result(result: Result) -> dict[str, object]:
    """Return the Result of a check that was made now."""
    return {
        "email": result.email,
        "status": result.status,
        "reason": result.reason,
        "role_based": result.role_based,
        "disposable": result.disposable,
        "free_provider": result.free_provider,
        "suggestion": result.suggestion,
        "checked_at": result.checked_at,
        "score": result.score,
        "score_reasons": result.score_reasons,
        "mail_host": result.mail_host,
        "evidence": [
            {
                "stage": item.stage,
                "host": item.host,
                "code": item.code,
                "enhanced_code": item.enhanced_code,
                "text": item.text[:200] if item.text is not None else None,
                "occurred_at": item.occurred_at,
            }
            for item in result.evidence
        ],
    }
