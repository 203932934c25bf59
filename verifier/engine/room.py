"""How much may still be asked in a session without being refused too often, and when it is not needed any more."""

from verifier.engine.session import Session

WORTH_GOING_ON = 3
"""With room for fewer refusals than this a new connection asks more addresses in the same time."""
_REFUSALS_EXPECTED = 0.5


def of(session: Session) -> int:
    """Return how many more refusals a session bears; a fresh one bears at least one, or nothing would ever be asked."""
    memory = session.memory
    # Who has never taken a MAIL of ours may refuse it, and the recipients that came with it.
    risk = int(session.pipelines and not memory.takes_mail)
    room = memory.refusals_limit - session.errors - risk
    return room if session.recipients else max(room, 1)


def is_too_short(session: Session, room: int, waiting: int) -> bool:
    """Tell whether a new connection is worth more than the rest of this one."""
    is_begun = session.recipients > 0
    return is_begun and room < WORTH_GOING_ON and waiting > room and session.memory.refusals_limit > room + 2


def is_used_up_by(session: Session, size: int, room: int, *, is_more_waiting: bool) -> bool:
    """Tell whether a session is surely not needed after a batch of a size, so that QUIT may go along with it.

    Only of hosts that give reasons and take our MAIL: of others something is likely to be left to be asked.
    """
    if not (session.memory.takes_mail and session.memory.gives_reasons and session.pipelines):
        return False
    if not is_more_waiting:
        return True
    rate = session.errors / session.recipients if session.recipients else _REFUSALS_EXPECTED
    return room - size * rate < WORTH_GOING_ON
