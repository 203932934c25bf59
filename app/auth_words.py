"""What /auth/v1 says: users, tokens and errors in the shapes of Supabase Auth."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from db.models import Account
from services import errors
from services.identity.port import Grant

VERSION_HEADER = "x-supabase-api-version"
VERSION = "2024-01-01"
"""From this version on, clients read the code of an error from `code` instead of `error_code`."""
RETRY_AFTER_SECONDS = 5


class Refusal(Exception):
    """A request that is answered with an error. `code` is for programs, one of Supabase's where it has one."""

    def __init__(self, status: int, code: str, message: str, **extra: object) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.extra = status, code, message, extra
        self.retry_after_seconds = RETRY_AFTER_SECONDS


# The first that fits: those below a class come before it.
_REFUSALS: tuple[tuple[type[errors.ServiceError], int, str, str | None], ...] = (
    (errors.RefreshTokenUnknown, 400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found"),
    (errors.RefreshTokenSpent, 400, "refresh_token_already_used", "Invalid Refresh Token: Already Used"),
    (errors.InvalidCredentials, 400, "invalid_credentials", "Invalid login credentials"),
    (errors.Suspended, 400, "user_banned", "User is banned"),
    (errors.EmailUnconfirmed, 400, "email_not_confirmed", "Email not confirmed"),
    (errors.Taken, 422, "user_already_exists", "User already registered"),
    (errors.Busy, 503, "over_request_rate_limit", None),
    (errors.Required, 400, "validation_failed", None),
    (errors.Invalid, 422, "validation_failed", None),
    (errors.NotFound, 404, "user_not_found", None),
)


def refusal_of(error: errors.ServiceError) -> Refusal:
    """Give the refusal for what went wrong in a use-case."""
    if isinstance(error, errors.WeakPassword | errors.PasswordTooLong):
        reason = "pwned" if isinstance(error, errors.LeakedPassword) else "length"
        return Refusal(422, "weak_password", error.message, weak_password={"reasons": [reason]})
    if isinstance(error, errors.RateLimited):
        is_mail = isinstance(error, errors.TooManyLetters)
        refusal = Refusal(429, f"over_{'email_send' if is_mail else 'request'}_rate_limit", error.message)
        refusal.retry_after_seconds = math.ceil(error.retry_after_seconds)
        return refusal
    for kind, status, code, message in _REFUSALS:
        if isinstance(error, kind):
            return Refusal(status, code, message or error.message)
    return Refusal(503, "unexpected_failure", "Try again in a moment.")


def response(request: Request, refusal: Refusal) -> Response:
    """Give an error in the shape that the client's version reads."""
    headers = {"x-sb-error-code": refusal.code}
    if refusal.status in (429, 503):
        headers["retry-after"] = str(refusal.retry_after_seconds)
    if request.headers.get(VERSION_HEADER, "") >= VERSION:
        headers[VERSION_HEADER] = VERSION
        body: dict[str, object] = {"code": refusal.code, "message": refusal.message}
    else:
        body = {"code": refusal.status, "error_code": refusal.code, "msg": refusal.message}
    return JSONResponse(body | refusal.extra, refusal.status, headers=headers)


def token(granted: Grant, now: datetime) -> dict[str, Any]:
    """Give Supabase's AccessTokenResponse."""
    ends = granted.tokens.access_token_expires_at
    return {
        "access_token": granted.tokens.access_token,
        "token_type": "bearer",
        "expires_in": int((ends - now).total_seconds()),
        "expires_at": int(ends.timestamp()),
        "refresh_token": granted.tokens.refresh_token,
        "user": user(granted.account, granted.user_metadata),
    }


def user(account: Account, user_metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Give Supabase's User, with the one identity that a password is."""
    uuid, made = str(account.id), moment(account.created_at)
    confirmed = moment(account.email_confirmed_at) if account.email_confirmed_at else None
    identity = {
        "identity_id": uuid,
        "id": uuid,
        "user_id": uuid,
        "identity_data": {
            "email": account.email,
            "email_verified": confirmed is not None,
            "phone_verified": False,
            "sub": uuid,
        },
        "provider": "email",
        "email": account.email,
        "created_at": made,
        "updated_at": made,
        "last_sign_in_at": made,
    }
    return {
        "id": uuid,
        "aud": "authenticated",
        "role": "authenticated",
        "email": account.email,
        "phone": "",
        "app_metadata": {"provider": "email", "providers": ["email"]},
        "user_metadata": dict(user_metadata),
        "identities": [identity],
        "created_at": made,
        "updated_at": made,
        "is_anonymous": False,
    } | ({"email_confirmed_at": confirmed, "confirmed_at": confirmed} if confirmed else {})


def moment(at: datetime) -> str:
    """Give a time as Supabase writes it (RFC 3339, UTC)."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
