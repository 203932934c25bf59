"""Asks about recipients within a session: one transaction after the other, pipelined where the server offers it."""

import re
import ssl
from dataclasses import dataclass, field

from verifier.engine import findings
from verifier.engine.evidence import Stage
from verifier.engine.findings import Cause, Failure
from verifier.engine.replies import Meaning, Reply, meaning_at_rcpt, meaning_before_rcpt
from verifier.engine.session import Ended, Session

_OUT_OF_STEP = re.compile(r"synchroni[sz]ation|pipelin|out of (?:order|sequence)", re.IGNORECASE)
_MAIL_TRIES = 3


@dataclass(slots=True)
class Heard:
    """The replies to a batch, in its order, as far as they came, and what ended the session if it ended."""

    replies: list[Reply] = field(default_factory=list)
    failure: Failure | None = None
    was_pipelined: bool = False
    had_null_sender: bool = False
    is_cut_short: bool = False
    """We ended it ourselves, so as not to be refused too often: the rest is asked another time, no worse for it."""


class Transactions:
    """The transactions of one session. None ever reaches DATA."""

    def __init__(self, session: Session, context: ssl.SSLContext) -> None:
        self._session = session
        self._context = context
        self._is_open = False
        self._has_smtputf8 = False
        self._recipients = 0
        self._sender = ""
        """The sender of the open transaction; another session may change the host's memory meanwhile."""

    async def ask(self, paths: list[str], *, with_smtputf8: bool, is_last: bool = False) -> Heard:
        """Ask about every path, and say QUIT along with the last ones; never raises but for cancellation."""
        heard = Heard()
        if with_smtputf8 and "SMTPUTF8" not in self._session.extensions:
            heard.failure = findings.failed(Stage.MAIL, Cause.EAI_UNSUPPORTED, self._session.host)
            return heard
        heard.was_pipelined = self._session.pipelines
        try:
            if heard.was_pipelined:
                await self._ask_at_once(paths, heard, with_smtputf8=with_smtputf8, is_last=is_last)
            else:
                await self._ask_in_turn(paths, heard, with_smtputf8=with_smtputf8)
        except Ended as ended:
            heard.failure = ended.failure
            if heard.was_pipelined and not heard.replies and _may_be_the_pipelining(ended.failure):
                self._session.memory.drops_pipeliners = True
        heard.had_null_sender = not self._sender
        return heard

    def close(self) -> None:
        """Have the next batch begin a transaction of its own."""
        self._recipients = self._session.memory.recipients_limit

    async def _ask_at_once(self, paths: list[str], heard: Heard, *, with_smtputf8: bool, is_last: bool) -> None:
        session = self._session
        for _ in range(_MAIL_TRIES):
            was_open, self._is_open = self._is_open, True
            self._choose_sender()
            await session.send_transaction(
                self._sender, paths, with_smtputf8=with_smtputf8, anew=was_open, is_last=is_last
            )
            if was_open:
                await session.reset_reply()
            mail = await session.mail_reply()
            if _is_welcome(mail):
                session.memory.takes_mail = True
                for _ in paths:
                    heard.replies.append(await session.rcpt_reply())
                if not self._demands_tls(heard.replies[0]):
                    self._recipients = len(paths)
                    return
                refused = heard.replies[0]
                heard.replies.clear()
            else:
                refused = mail
                await self._discard(len(paths))
            if not await self._recover(refused, heard, len(paths)):
                return
        raise Ended(findings.failed(Stage.MAIL, Cause.NOT_SMTP, session.host, detail="MAIL is never accepted"))

    async def _discard(self, count: int) -> None:
        """Read the replies to recipients that followed a refused MAIL: they mean nothing."""
        try:
            for _ in range(count):
                await self._session.rcpt_reply()
        except Ended:
            if not self._session.is_over:
                raise
            # It hung up: the reason is what was said at MAIL.

    async def _ask_in_turn(self, paths: list[str], heard: Heard, *, with_smtputf8: bool) -> None:
        session = self._session
        for path in paths:
            # Refused MAILs count too, and may have used up the room that the batch was made for.
            if session.errors and not session.has_room_for(1):
                heard.is_cut_short = True
                return
            reply = await self._ask_one(path, heard, with_smtputf8=with_smtputf8)
            if reply is not None and self._demands_tls(reply):
                if not await self._recover(reply, heard, 1):
                    return
                reply = await self._ask_one(path, heard, with_smtputf8=with_smtputf8)
            if reply is None:
                return
            heard.replies.append(reply)

    async def _ask_one(self, path: str, heard: Heard, *, with_smtputf8: bool) -> Reply | None:
        if not await self._begin(heard, with_smtputf8=with_smtputf8):
            return None
        await self._session.send_recipients([path])
        self._recipients += 1
        return await self._session.rcpt_reply()

    async def _begin(self, heard: Heard, *, with_smtputf8: bool) -> bool:
        """Open a transaction, unless the open one has room; return False where it was cut short."""
        session = self._session
        has_room = self._recipients < session.memory.recipients_limit
        if self._is_open and has_room and self._has_smtputf8 == with_smtputf8:
            return True
        for _ in range(_MAIL_TRIES):
            if self._is_open:
                await session.reset()
                self._is_open = False
            self._choose_sender()
            mail = await session.mail(self._sender, with_smtputf8=with_smtputf8)
            if _is_welcome(mail):
                session.memory.takes_mail = True
                self._is_open, self._has_smtputf8, self._recipients = True, with_smtputf8, 0
                return True
            if not await self._recover(mail, heard, 1):
                return False
        raise Ended(findings.failed(Stage.MAIL, Cause.NOT_SMTP, session.host, detail="MAIL is never accepted"))

    def _choose_sender(self) -> None:
        session = self._session
        self._sender = session.config.mail_from if session.memory.sender_refusal is None else ""

    async def _recover(self, refused: Reply, heard: Heard, refusals: int) -> bool:
        """Mend what made the server refuse us; return whether to ask again now, with so many refusals to be feared.

        False cuts the session short: the next one begins with what was learned. Raises Ended where nothing helps.
        """
        session = self._session
        if not self._learns_from(refused):
            if not self._sender:
                # Where the null sender does no better, what was said of the configured one is the reason.
                refused = session.memory.sender_refusal or refused
                session.memory.sender_refusal = None
            raise Ended(findings.failed(Stage.MAIL, Cause.REPLY, session.host, reply=refused))
        is_out_of_step = heard.was_pipelined and session.memory.drops_pipeliners
        is_to_be_left = session.is_over or session.has_said_quit or is_out_of_step
        if is_to_be_left or not session.has_room_for(refusals):
            heard.is_cut_short = True
            return False
        if session.memory.wants_tls and not session.has_tried_tls:
            self._is_open = False
            if not await session.encrypt(self._context):
                raise Ended(findings.failed(Stage.MAIL, Cause.REPLY, session.host, reply=refused))
        return True

    def _learns_from(self, refused: Reply) -> bool:
        """Note what to do otherwise after a refused MAIL; False where nothing is left to be tried."""
        session, memory = self._session, self._session.memory
        meaning = meaning_before_rcpt(refused)
        if meaning is Meaning.TLS_DEMANDED and not (session.has_tried_tls or memory.breaks_tls):
            memory.wants_tls = True
            return True
        if _OUT_OF_STEP.search(refused.text) and session.pipelines:
            memory.drops_pipeliners = True
            return True
        if meaning is Meaning.SENDER_REJECTED and self._sender:
            memory.sender_refusal = refused
            return True
        return False

    def _demands_tls(self, reply: Reply) -> bool:
        """Tell whether a reply to RCPT demands STARTTLS, which was not tried yet."""
        is_open = not (self._session.has_tried_tls or self._session.memory.breaks_tls)
        return is_open and meaning_at_rcpt(reply) is Meaning.TLS_DEMANDED


def _is_welcome(reply: Reply) -> bool:
    return 200 <= reply.code < 300


def _may_be_the_pipelining(failure: Failure) -> bool:
    """Tell whether a session that ended before the first reply to RCPT may have ended because we pipelined."""
    if failure.reply is None:
        return failure.cause in {Cause.CLOSED, Cause.EXPIRED, Cause.NOT_SMTP}
    return _OUT_OF_STEP.search(failure.reply.text) is not None
