"""What the verdicts of one mail host say about the host itself. Pure functions; they decide on pace and pauses."""

from collections.abc import Sequence

from verifier.engine.evidence import Reason, Result, Status
from verifier.store.queries.leases import Word

BLOCKS = frozenset({Reason.BLOCKED, Reason.SENDER_REJECTED})
TROUBLES = frozenset({Reason.TEMPORARY, Reason.SERVER_ERROR, Reason.TIMEOUT, Reason.NO_CONNECTION})
BLOCKS_OF_A_HOST = 3
TROUBLE_SHARE = 0.2
CLOSING = 421


def judge(results: Sequence[Result]) -> Word:
    """Return how it went with a mail host that all these results are from.

    A block of a host is one that nobody escapes, or that met several addresses; a lone one among good answers is
    about its address. A host asks for less by 421, or by putting off more than a few addresses, greylisting aside.
    """
    if not results:
        return Word.NOTHING
    blocks = sum(is_block(result) for result in results)
    answered = sum(result.status is not Status.UNKNOWN for result in results)
    if blocks >= BLOCKS_OF_A_HOST or (blocks and not answered):
        return Word.BLOCKED
    troubles = sum(result.reason in TROUBLES for result in results)
    if troubles > TROUBLE_SHARE * len(results) or any(is_closing(result) for result in results):
        return Word.SLOWER
    return Word.FINE if answered else Word.NOTHING


def is_block(result: Result) -> bool:
    """Tell whether an answer is against us and says nothing of the mailbox."""
    return result.status is Status.UNKNOWN and result.reason in BLOCKS


def is_closing(result: Result) -> bool:
    """Tell whether the host said 421 on the way: service not available, closing (RFC 5321 section 3.8)."""
    return any(item.code == CLOSING for item in result.evidence)
