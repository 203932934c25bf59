"""Passwords: argon2id (RFC 9106) in few threads: a burst of sign-ins takes neither all memory nor the event loop."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from services.errors import Busy, LeakedPassword, PasswordTooLong, WeakPassword
from services.identity import leaked

CHARACTERS_MIN = 8
CHARACTERS_MAX = 128
_MEMORY_KIB = 19456
_PASSES = 2
_LANES = 1
_THREADS = 2
_WAITING_MAX = 50
"""More sign-ins than this wait for a thread: the next are asked to try again."""


class Passwords:
    """Hashes and verifies. A password is taken exactly as it was sent (ASVS 6.2.8)."""

    def __init__(self) -> None:
        """Threads are started at need."""
        self._hasher = PasswordHasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="argon2")
        self._waiting = 0
        self._dummy: str | None = None

    async def hash(self, password: str) -> str:
        """What is stored of a password."""
        return str(await self._run(self._hasher.hash, password))

    async def is_right(self, password: str, stored: str | None) -> bool:
        """The password is the stored one. Takes as long where nothing is stored: that tells nobody who is unknown."""
        if self._dummy is None:
            self._dummy = await self.hash("no such account")
        # A password that cannot be one is not hashed at its full length: the work must not grow with what is sent.
        is_possible = len(password) <= CHARACTERS_MAX
        is_equal = bool(await self._run(self._verified, stored or self._dummy, password[:CHARACTERS_MAX]))
        return is_equal and is_possible and stored is not None

    def needs_rehash(self, stored: str) -> bool:
        """It was hashed with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verified(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False

    async def _run(self, work: Any, *arguments: str) -> Any:  # noqa: ANN401 - whatever the work gives
        if self._waiting >= _WAITING_MAX:
            raise Busy
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        finally:
            self._waiting -= 1


def check(password: str, field: tuple[str, ...]) -> None:
    """Refuse a new password that cannot be one.

    Raises:
        WeakPassword, PasswordTooLong: fewer than 8 or more than 128 characters.
        LeakedPassword: it is one of those that everybody tries.

    """
    if len(password) < CHARACTERS_MIN:
        raise WeakPassword(field=field)
    if len(password) > CHARACTERS_MAX:
        raise PasswordTooLong(field=field)
    try:
        password.encode()
    except UnicodeEncodeError as error:
        raise WeakPassword("This password cannot be written in UTF-8.", field=field) from error
    if leaked.is_leaked(password):
        raise LeakedPassword(field=field)
