"""The wire to Supabase Auth: one call a method, and its errors as ours, told apart by their codes alone."""

from collections.abc import Mapping
from typing import Any

import httpx
import structlog

from services import errors, retry_after, trust

_TIMEOUT_SECONDS = 10.0
_CONNECT_SECONDS = 3.0
_RETRY_SECONDS, _RETRY_SECONDS_MAX = 60.0, 86400.0
_VERSION = {"x-supabase-api-version": "2024-01-01"}
_LENGTH, _LEAKED = "length", "pwned"

_ERRORS: Mapping[str, type[errors.ServiceError]] = {
    "invalid_credentials": errors.InvalidCredentials,
    "otp_expired": errors.InvalidCredentials,
    "email_not_confirmed": errors.EmailUnconfirmed,
    "user_banned": errors.Suspended,
    "user_already_exists": errors.Taken,
    "email_exists": errors.Taken,
    "refresh_token_not_found": errors.RefreshTokenUnknown,
    "session_expired": errors.RefreshTokenUnknown,
    "refresh_token_already_used": errors.RefreshTokenSpent,
    "session_not_found": errors.SessionEnded,
    "user_not_found": errors.SessionEnded,
    "bad_jwt": errors.SessionEnded,
    "no_authorization": errors.SessionEnded,
}

log = structlog.get_logger(__name__)


class GoTrue:
    """Calls of one project's `/auth/v1`, for the whole process."""

    def __init__(self, url: str, key: str) -> None:
        """`url` is the project's; `key` is its publishable one, sent as `apikey`."""
        self._client = trust.client(
            base_url=f"{url}/auth/v1",
            headers={"apikey": key, **_VERSION},
            timeout=httpx.Timeout(_TIMEOUT_SECONDS, connect=_CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=50, max_keepalive_connections=20),
        )

    async def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, token: str | None = None
    ) -> dict[str, Any]:
        """The object that a call answers with; `token` is the access token of whom it is for.

        Raises:
            IdentityDown: no answer, or a fault there.
            ServiceError: whatever the code of its refusal stands for; Invalid for one that is not known.

        """
        headers = {"authorization": f"Bearer {token}"} if token is not None else {}
        try:
            response = await self._client.request(method, path, json=body, headers=headers)
        except (httpx.HTTPError, UnicodeEncodeError) as error:
            log.warning("the identity provider does not answer", problem=type(error).__name__)
            raise errors.IdentityDown from error
        answer = _object(response)
        if response.is_success and answer is not None:
            return answer
        if response.status_code >= 500 or answer is None:  # its faults need not be JSON
            log.warning("a fault of the identity provider", status=response.status_code)
            raise errors.IdentityDown
        raise _refusal(response, answer)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()


def _object(response: httpx.Response) -> dict[str, Any] | None:
    if response.status_code == 204:
        return {}
    try:
        answer = response.json()
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _refusal(response: httpx.Response, answer: Mapping[str, Any]) -> errors.ServiceError:
    code = str(answer.get("error_code") or answer.get("code"))
    if response.status_code == 429:
        asked = retry_after.seconds(response.headers, most=_RETRY_SECONDS_MAX)
        kind = errors.TooManyLetters if code == "over_email_send_rate_limit" else errors.RateLimited
        return kind(retry_after_seconds=_RETRY_SECONDS if asked is None else asked)
    if code == "weak_password":
        weak = answer.get("weak_password")
        reasons = weak.get("reasons") if isinstance(weak, dict) else None
        return errors.LeakedPassword() if _LEAKED in (reasons or ()) else errors.WeakPassword()
    if code in _ERRORS:
        return _ERRORS[code]()
    log.info("the identity provider refused", status=response.status_code, code=code[:60])
    return errors.Invalid(f"The identity provider refused this ({code[:60]}).")
