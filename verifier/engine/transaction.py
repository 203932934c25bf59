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
    discarded: int = 0
    """Replies to RCPT that meant nothing, because MAIL had been refused; the host counts them as errors too."""


class Transactions:
    """The transactions of one session. None ever reaches DATA."""

    def __init__(self, session: Session, context: ssl.SSLContext) -> None:
        self._session = session
        self._context = context
        self._is_open = False
        self._has_smtputf8 = False
        self._recipients = 0
        self._tried_tls = session.is_encrypted
        self._sender = ""
        """The sender of the open transaction; another session may change the host's memory meanwhile."""
        self._sender_refusal: Reply | None = None

    async def ask(self, paths: list[str], *, with_smtputf8: bool) -> Heard:
        """Ask about every path; never raises but for cancellation."""
        heard = Heard()
        if with_smtputf8 and "SMTPUTF8" not in self._session.extensions:
            heard.failure = findings.failed(Stage.MAIL, Cause.EAI_UNSUPPORTED, self._session.host)
            return heard
        is_pipelined = heard.was_pipelined = self._session.pipelines
        try:
            if is_pipelined:
                await self._ask_at_once(paths, heard, with_smtputf8=with_smtputf8)
            else:
                await self._ask_in_turn(paths, heard, with_smtputf8=with_smtputf8)
        except Ended as ended:
            heard.failure = ended.failure
            if is_pipelined and not heard.replies and _may_be_the_pipelining(ended.failure):
                self._session.memory.drops_pipeliners = True
        heard.had_null_sender = not self._sender
        return heard

    def close(self) -> None:
        """Have the next batch begin a transaction of its own."""
        self._recipients = self._session.memory.recipients_limit

    async def _ask_at_once(self, paths: list[str], heard: Heard, *, with_smtputf8: bool) -> None:
        session = self._session
        for _ in range(_MAIL_TRIES):
            was_open, self._is_open = self._is_open, True
            self._choose_sender()
            await session.send_transaction(self._sender, paths, with_smtputf8=with_smtputf8, anew=was_open)
            if was_open:
                await session.reset_reply()
            mail = await session.mail_reply()
            is_begun = 200 <= mail.code < 300
            replies: list[Reply] = heard.replies if is_begun else []
            for _ in paths:
                replies.append(await session.rcpt_reply())
                if (
                    is_begun
                    and len(replies) == 1
                    and await self._must_encrypt(replies[0], still_to_come=len(paths) - 1)
                ):
                    break
            else:
                if is_begun:
                    self._recipients = len(paths)
                    return
                heard.discarded += len(replies)
                await self._recover(mail)
                continue
            heard.discarded += len(heard.replies)
            heard.replies.clear()
        raise Ended(findings.failed(Stage.MAIL, Cause.NOT_SMTP, session.host, detail="MAIL is never accepted"))

    async def _ask_in_turn(self, paths: list[str], heard: Heard, *, with_smtputf8: bool) -> None:
        for path in paths:
            reply = await self._ask_one(path, with_smtputf8=with_smtputf8)
            if await self._must_encrypt(reply, still_to_come=0):
                reply = await self._ask_one(path, with_smtputf8=with_smtputf8)
            heard.replies.append(reply)

    async def _ask_one(self, path: str, *, with_smtputf8: bool) -> Reply:
        await self._begin(with_smtputf8=with_smtputf8)
        await self._session.send_recipients([path])
        self._recipients += 1
        return await self._session.rcpt_reply()

    async def _begin(self, *, with_smtputf8: bool) -> None:
        """Open a transaction, unless the open one has room."""
        session = self._session
        has_room = self._recipients < session.memory.recipients_limit
        if self._is_open and has_room and self._has_smtputf8 == with_smtputf8:
            return
        for _ in range(_MAIL_TRIES):
            if self._is_open:
                await session.reset()
                self._is_open = False
            self._choose_sender()
            mail = await session.mail(self._sender, with_smtputf8=with_smtputf8)
            if 200 <= mail.code < 300:
                self._is_open, self._has_smtputf8, self._recipients = True, with_smtputf8, 0
                return
            await self._recover(mail)
        raise Ended(findings.failed(Stage.MAIL, Cause.NOT_SMTP, session.host, detail="MAIL is never accepted"))

    def _choose_sender(self) -> None:
        self._sender = "" if self._session.memory.wants_null_sender else self._session.config.mail_from

    async def _recover(self, mail: Reply) -> None:
        """Mend what made the server refuse MAIL, or raise Ended."""
        session = self._session
        meaning = meaning_before_rcpt(mail)
        if meaning is Meaning.TLS_DEMANDED and await self._encrypt():
            return
        if _OUT_OF_STEP.search(mail.text) and session.pipelines:
            session.memory.drops_pipeliners = True
        elif meaning is Meaning.SENDER_REJECTED and self._sender:
            session.memory.wants_null_sender = True
            self._sender_refusal = mail
            return
        # Where the null sender does no better, what was said of the configured one is the reason.
        raise Ended(findings.failed(Stage.MAIL, Cause.REPLY, session.host, reply=self._sender_refusal or mail))

    async def _must_encrypt(self, reply: Reply, *, still_to_come: int) -> bool:
        """Begin TLS where a reply to RCPT demands it, after the replies that are on their way; False if it does not."""
        if meaning_at_rcpt(reply) is not Meaning.TLS_DEMANDED or self._tried_tls:
            return False
        for _ in range(still_to_come):
            await self._session.rcpt_reply()
        return await self._encrypt()

    async def _encrypt(self) -> bool:
        if self._tried_tls:
            return False
        self._tried_tls = True
        self._is_open = False
        return await self._session.encrypt(self._context)


def _may_be_the_pipelining(failure: Failure) -> bool:
    """Tell whether a session that ended before the first reply to RCPT may have ended because we pipelined."""
    if failure.reply is None:
        return failure.cause in {Cause.CLOSED, Cause.EXPIRED, Cause.NOT_SMTP}
    return _OUT_OF_STEP.search(failure.reply.text) is not None
