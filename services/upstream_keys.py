"""Which credential upstream is asked with: a hidden key of each account, or the service's own.

What is done for an account (a list posted, an address verified) is done with its own key, so upstream knows whose it is
and is fair between users. What is read is read with the service's key, which sees everybody's tasks: one call for the
tasks of many accounts. A hosted verifier may give no such key; then each account reads with its own.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

import structlog

from db import ids
from db.models import KeyOrigin, UpstreamKey
from db.queries import accounts as account_queries
from db.queries import upstream_keys as queries
from db.session import Database
from services.errors import Invalid, NotFound, UpstreamDown, UpstreamError, UpstreamKeyMissing, UpstreamKeyRefused
from services.sealing import Box, Unsealable
from services.upstream.contract import KEY_CHARACTERS_MAX, Upstream, is_key

ROTATED_AFTER = timedelta(days=90)
RENEWED_AFTER = timedelta(minutes=1)
"""A refused key is made anew, but not more often than this."""
_KEPT_MAX = 10_000
_KEPT_SECONDS = 60.0
"""How long it takes until every process uses a key that another has stored."""
_MAKE_SECONDS = 8.0
_CLAIM = timedelta(seconds=10)
"""More than making takes. When a process dies over it, the next one begins after this."""
_LOOK_SECONDS = 0.05
_WAIT_SECONDS = 15.0

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Kept:
    secret: str = field(repr=False)
    until: float

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() < self.until


class UpstreamKeys:
    """The credentials upstream, with those that were used of late in memory."""

    def __init__(self, db: Database, box: Box, upstream: Upstream, service_key: str) -> None:
        """`service_key` is the service's own credential; empty where the verifier gives none."""
        self._db, self._box, self._upstream, self._service_key = db, box, upstream, service_key
        self._kept: dict[UUID, _Kept] = {}
        self._locks: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    async def asking(self, account_id: UUID, call: Callable[[str], Awaitable[T]]) -> T:
        """Make a call with an account's key; where upstream refuses the key, once more with a new one.

        Raises:
            UpstreamKeyMissing: there is no key, and none can be made; or the new one is refused too.
            UpstreamError: as the call does.

        """
        secret = await self.of(account_id)
        try:
            return await call(secret)
        except UpstreamKeyRefused:
            log.warning("upstream_key_refused", account_id=ids.global_id("user", account_id))
        secret = await self._current(account_id, refused=secret)
        try:
            return await call(secret)
        except UpstreamKeyRefused as error:
            raise UpstreamKeyMissing("The verifier refuses the key of this account.") from error

    def reader_of(self, account_id: UUID) -> UUID | None:
        """Whose key reads an account's tasks: the service's (None), or its own."""
        return None if self._service_key else account_id

    async def reading(self, reader: UUID | None, call: Callable[[str], Awaitable[T]]) -> T:
        """Make a call that reads, for whom `reader_of` has named.

        Raises:
            UpstreamKeyMissing, UpstreamError: as `asking` does.

        """
        if reader is not None:
            return await self.asking(reader, call)
        try:
            return await call(self._service_key)
        except UpstreamKeyRefused as error:
            log.error("service_key_refused", hint="look at UPSTREAM_KEY")  # noqa: TRY400 - it says all
            raise UpstreamKeyMissing("The verifier refuses this service.") from error

    async def require(self, account_id: UUID) -> None:
        """Refuse what could never be sent upstream, before work is done for it. Asks nobody upstream.

        Raises:
            UpstreamKeyMissing: the account has no key, and none can be made.

        """
        if self._service_key or account_id in self._kept:
            return
        async with self._db.read() as session:
            row = await queries.by_account(session, account_id)
        if row is None or row.sealed is None:
            raise UpstreamKeyMissing

    async def of(self, account_id: UUID) -> str:
        """The key of an account, made at first need.

        Raises:
            UpstreamKeyMissing: there is none, and none can be made.
            UpstreamDown: the verifier, which would make it, does not answer.

        """
        kept = self._kept.get(account_id)
        return kept.secret if kept is not None and kept.is_fresh else await self._current(account_id)

    async def _current(self, account_id: UUID, refused: str | None = None) -> str:
        """The key as it is stored, or a new one; not the one that was `refused`. One at a time for an account."""
        lock = self._locks.setdefault(account_id, asyncio.Lock())
        async with lock:
            kept = self._kept.get(account_id)
            if kept is not None and kept.is_fresh and kept.secret != refused:
                return kept.secret
            self._kept.pop(account_id, None)
            try:
                async with asyncio.timeout(_WAIT_SECONDS):
                    secret = await self._found_or_made(account_id, refused)
            except TimeoutError as error:
                raise UpstreamDown from error
            if len(self._kept) >= _KEPT_MAX:
                del self._kept[next(iter(self._kept))]
            self._kept[account_id] = _Kept(secret, time.monotonic() + _KEPT_SECONDS)
            return secret

    async def _found_or_made(self, account_id: UUID, refused: str | None) -> str:
        while True:
            now = datetime.now(UTC)
            async with self._db.read() as session:
                row = await queries.by_account(session, account_id)
            stored = self._opened(row)
            usable = stored if stored != refused else None
            is_entered = row is not None and row.origin is KeyOrigin.ENTERED
            if usable is not None and (is_entered or not _is_older(row, now, ROTATED_AFTER)):
                return usable
            if is_entered or not self._service_key:
                raise UpstreamKeyMissing
            if usable is None and stored is not None and not _is_older(row, now, RENEWED_AFTER):
                raise UpstreamKeyMissing("The verifier refuses the key of this account.")
            try:
                made = await self._made(account_id, row.sealed if row is not None else None, now)
            except UpstreamError as error:
                if usable is None:
                    raise
                log.warning("upstream_key_not_rotated", account_id=ids.global_id("user", account_id), error=str(error))
                made = None
            if found := made or usable:  # while another renews an old key, it still works
                return found
            await asyncio.sleep(_LOOK_SECONDS)

    async def _made(self, account_id: UUID, replacing: bytes | None, now: datetime) -> str | None:
        """Have a key made and store it; None while another process does.

        A crash between the two leaves a claim, which runs out, and upstream a key that nobody knows.
        """
        until = now + _CLAIM
        async with self._db.transaction() as session:
            if not await queries.claim(session, account_id, replacing=replacing, now=now, until=until):
                return None
        secret = None
        try:
            async with asyncio.timeout(_MAKE_SECONDS):
                secret = await self._upstream.make_key(self._service_key, account_id)
        except UpstreamDown:
            raise
        except UpstreamError as error:
            # What is wrong is for whoever runs the service.
            log.error("upstream_key_not_made", error=str(error), hint="look at UPSTREAM_KEY")  # noqa: TRY400 - it says all
            raise UpstreamKeyMissing from error
        finally:
            if secret is None:
                async with self._db.transaction() as session:
                    await queries.let_go(session, account_id, claimed_until=until)
        sealed = self._box.seal(secret.encode(), _place(account_id))
        async with self._db.transaction() as session:
            is_stored = await queries.store(
                session, account_id, claimed_until=until, sealed=sealed, kid=self._box.kid, now=now
            )
        log.info("upstream_key_made", account_id=ids.global_id("user", account_id), is_stored=is_stored)
        return secret if is_stored else None

    def _opened(self, row: UpstreamKey | None) -> str | None:
        if row is None or row.sealed is None:
            return None
        try:
            return self._box.open(row.sealed, _place(row.account_id)).decode()
        except Unsealable:
            log.warning(
                "upstream_key_unreadable",
                account_id=ids.global_id("user", row.account_id),
                is_sealed_with_another_secret=row.kid != self._box.kid,
            )
            return None


async def enter(db: Database, box: Box, email: str, secret: str, now: datetime) -> None:
    """Store the key that an administrator has for an account at a hosted verifier, in place of any other.

    Raises:
        NotFound: no account has this address.
        Invalid: what was given cannot be a key.

    """
    secret = secret.strip()
    if not is_key(secret):
        raise Invalid(f"A key has 1 to {KEY_CHARACTERS_MAX} printable ASCII characters and no blank.")
    async with db.transaction() as session:
        account = await account_queries.by_email(session, email)
        if account is None:
            raise NotFound("No account has this address.")
        sealed = box.seal(secret.encode(), _place(account.id))
        await queries.enter(session, account.id, sealed=sealed, kid=box.kid, now=now)


def _is_older(row: UpstreamKey | None, now: datetime, age: timedelta) -> bool:
    return row is not None and row.made_at is not None and row.made_at < now - age


def _place(account_id: UUID) -> str:
    return f"upstream_key:{account_id}:sealed"
