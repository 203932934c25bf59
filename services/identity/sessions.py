"""Sessions and their refresh tokens: each is used once, and a replay ends the session (RFC 9700, section 4.14).

A token is made from the session's salt, its number and the application's secret, so that the one in force can be
given again to a client that lost the answer, while the database holds nothing but hashes.
"""

import base64
import hashlib
import hmac
import os
from datetime import datetime, timedelta
from typing import Any

from db import ids
from db.models import Account, AuthSession
from db.queries import identity as queries
from db.session import Database, Session
from services.device import Device
from services.errors import RefreshTokenSpent, RefreshTokenUnknown, Suspended
from services.identity.port import REUSE_WINDOW, AuthTokens, Grant
from services.tokens import Subject, Tokens

ACCESS_TOKEN_LIFETIME = timedelta(hours=1)
IDLE_LIFETIME = timedelta(days=14)
"""A session ends when it is not refreshed for so long."""
LONGEST_LIFETIME = timedelta(days=90)
_SALT_BYTES = 16
_SPENT_TOKENS_KEPT = 100
"""Per session: a replay of an older one is refused too, but no longer ends the session."""
_TOKEN_CHARACTERS_MAX = 512


class Sessions:
    """Begins and refreshes sessions."""

    def __init__(self, db: Database, tokens: Tokens, secret: str) -> None:
        """`secret` is the application's."""
        self._db, self._tokens = db, tokens
        self._key = hashlib.sha256(b"refresh-token:" + secret.encode()).digest()

    async def begin(self, session: Session, account: Account, device: Device, now: datetime) -> tuple[AuthSession, str]:
        """Store a new session; gives it with its first refresh token."""
        row = AuthSession(
            id=ids.new_uuid(),
            account_id=account.id,
            counter=0,
            salt=os.urandom(_SALT_BYTES),
            user_agent=device.user_agent,
            ip_address=device.ip_address,
            created_at=now,
            last_used_at=now,
            expires_at=now + IDLE_LIFETIME,
        )
        token = self._token(row)
        await queries.add_session(session, row, hashed(token))
        return row, token

    async def grant(
        self, account: Account, metadata: dict[str, Any], session: AuthSession, refresh_token: str, now: datetime
    ) -> Grant:
        """What a client is given for a session."""
        lifetime = min(ACCESS_TOKEN_LIFETIME, session.expires_at - now)
        subject = Subject(account.id, account.email, session.id, metadata)
        access = await self._tokens.issue_session(subject, now=now, lifetime=lifetime)
        return Grant(account, metadata, session.id, AuthTokens(access, now + lifetime, refresh_token))

    async def refresh(self, refresh_token: str, device: Device, now: datetime) -> Grant:
        """Trade a refresh token; see the port."""
        if len(refresh_token) > _TOKEN_CHARACTERS_MAX or not refresh_token.isascii():
            raise RefreshTokenUnknown
        async with self._db.transaction() as session:
            outcome = await self._traded(session, hashed(refresh_token), device, now)
        if outcome is None:  # raised out here: what ended the session must be committed
            raise RefreshTokenSpent
        row, account, metadata, token = outcome
        return await self.grant(account, metadata, row, token, now)

    async def _traded(
        self, session: Session, token_hash: bytes, device: Device, now: datetime
    ) -> tuple[AuthSession, Account, dict[str, Any], str] | None:
        """The session with the refresh token to give; None where it was a replay, and the session has been ended."""
        found = await queries.locked_by_refresh_token(session, token_hash)
        if found is None or found[0].expires_at <= now:
            raise RefreshTokenUnknown
        row, account, counter = found
        if account.suspended_at is not None:
            raise Suspended
        credential = await queries.credential_of(session, account.id)
        metadata = credential.user_metadata if credential is not None else {}
        behind = row.counter - counter
        if behind > 1 or (behind == 1 and now - row.last_used_at > REUSE_WINDOW):
            await queries.end_sessions(session, account.id, only=row.id)
            return None
        if behind == 1:
            current = self._token(row)
            if await queries.is_refresh_token(session, hashed(current)):
                return row, account, metadata, current
            # SECRET_KEY has changed since it was given out, so it cannot be made again: a new one takes its place.
        row.counter += 1
        row.last_used_at = now
        row.expires_at = min(now + IDLE_LIFETIME, row.created_at + LONGEST_LIFETIME)
        row.user_agent, row.ip_address = device.user_agent or row.user_agent, device.ip_address or row.ip_address
        token = self._token(row)
        await queries.add_refresh_token(session, hashed(token), row)
        await queries.forget_refresh_tokens(session, row.id, row.counter - _SPENT_TOKENS_KEPT)
        return row, account, metadata, token

    def _token(self, row: AuthSession) -> str:
        """The refresh token in force: 256 bits, opaque to everybody else."""
        message = row.salt + row.id.bytes + row.counter.to_bytes(8, "big")
        return base64.urlsafe_b64encode(hmac.digest(self._key, message, "sha256")).decode().rstrip("=")


def hashed(token: str) -> bytes:
    """What is stored of a token. It has 256 bits of chance: a plain hash is enough."""
    return hashlib.sha256(token.encode()).digest()
