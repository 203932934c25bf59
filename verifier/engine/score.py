"""The score of an address, 0 to 100, with its reasons: how sure one may be that mail to it reaches somebody.

The verdict gives the ground, each signal takes a little off. A role account is not bad, only less sure.
"""

from functools import lru_cache

from verifier.engine.evidence import Reason, Status
from verifier.engine.signals import Signals

_GROUND = {
    Status.EXISTS: 95,
    Status.CATCHALL: 60,
    Status.UNKNOWN: 40,
    Status.NOT_EXISTS: 0,
    Status.INVALID_SYNTAX: 0,
}
_BY_REASON = {Reason.MAILBOX_FULL: -35, Reason.RATE_LIMITED_MAILBOX: -5, Reason.EAI_UNSUPPORTED: -20}
_ROLE = -10
_DISPOSABLE = -40
_FREE = -2
_TYPO = -30


@lru_cache(maxsize=1024)
def rate(status: Status, reason: Reason, signals: Signals, *, has_suggestion: bool) -> tuple[int, tuple[str, ...]]:
    """Return the score and what made it, as "name:points" in the order of weight given above."""
    parts = [(str(status), _GROUND[status])]
    if _GROUND[status] > 0:
        if reason in _BY_REASON:
            parts.append((str(reason), _BY_REASON[reason]))
        parts += [("role_based", _ROLE)] * signals.role_based
        parts += [("disposable", _DISPOSABLE)] * signals.disposable
        parts += [("free_provider", _FREE)] * signals.free_provider
        parts += [("suggestion", _TYPO)] * has_suggestion
    total = min(100, max(0, sum(points for _, points in parts)))
    return total, tuple(f"{name}:{points:+d}" for name, points in parts)
