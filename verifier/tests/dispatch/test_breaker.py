"""What verdicts say about the mail host that gave them."""

from datetime import UTC, datetime

import pytest

from verifier.dispatch import breaker
from verifier.engine.evidence import Evidence, Reason, Result, Stage, Status
from verifier.store.queries.leases import Word

NOW = datetime.now(UTC)
GOOD = (Status.EXISTS, Reason.ACCEPTED)
GONE = (Status.NOT_EXISTS, Reason.NO_SUCH_USER)
BLOCKED = (Status.UNKNOWN, Reason.BLOCKED)
SENDER = (Status.UNKNOWN, Reason.SENDER_REJECTED)
LATER = (Status.UNKNOWN, Reason.TEMPORARY)
GREY = (Status.UNKNOWN, Reason.GREYLISTED)
UNCLEAR = (Status.UNKNOWN, Reason.CANNOT_VERIFY)
SILENT = (Status.UNKNOWN, Reason.TIMEOUT)


def _results(*verdicts: tuple[Status, Reason], code: int = 250) -> list[Result]:
    seen = (Evidence(Stage.RCPT, NOW, "mx.example.com", code),)
    return [Result("a@b.c", "a@b.c", status, reason, NOW, evidence=seen) for status, reason in verdicts]


@pytest.mark.parametrize(
    ("verdicts", "word"),
    [
        ((), Word.NOTHING),
        ((GOOD, GONE), Word.FINE),
        ((UNCLEAR,), Word.NOTHING),
        ((GREY, GREY, GREY), Word.NOTHING),
        ((GOOD, GREY, GREY), Word.FINE),
        ((BLOCKED,), Word.BLOCKED),
        ((SENDER, LATER), Word.BLOCKED),
        ((GOOD, GONE, BLOCKED), Word.FINE),
        ((GOOD, GONE, BLOCKED, BLOCKED, BLOCKED), Word.BLOCKED),
        ((LATER,), Word.SLOWER),
        ((SILENT, GOOD), Word.SLOWER),
        ((LATER, *([GOOD] * 9)), Word.FINE),
    ],
)
def test_a_host_is_judged_by_all_its_answers(verdicts: tuple[tuple[Status, Reason], ...], word: Word) -> None:
    assert breaker.judge(_results(*verdicts)) is word


def test_a_host_that_is_closing_is_asked_more_slowly_whatever_else_it_said() -> None:
    assert breaker.judge(_results(GOOD, GOOD, code=421)) is Word.SLOWER
