"""Every answer that is not a success, in the contract's one form.

ApiError
├── BadRequest         400  also JSON bodies that are too large: the contract knows 413 for files alone
├── Unauthenticated    401
├── Forbidden          403
├── NotFound           404
├── NotAcceptable      406
├── Conflict           409
├── TooLarge           413
├── UnsupportedMedia   415
└── TooMany            429
"""

from typing import ClassVar

import orjson
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

LOST_RETRY_SECONDS = 2

log = structlog.get_logger()


class ApiError(Exception):
    """An answer that is not a success."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    def __init__(self, message: str, *, field: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.specific_code = code or self.code
        self.headers: dict[str, str] = {}


class BadRequest(ApiError):
    """The request cannot be understood or asks for what is not allowed."""

    status = 400
    code = "bad_request"


class Unauthenticated(ApiError):
    """There is no credential, or it is wrong."""

    status = 401
    code = "unauthenticated"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.headers = {"WWW-Authenticate": "Bearer"}


class Forbidden(ApiError):
    """The credential is right but may not do this."""

    status = 403
    code = "forbidden"


class NotFound(ApiError):
    """There is no such thing, or it is another user's."""

    status = 404
    code = "not_found"


class NotAcceptable(ApiError):
    """The caller takes no form that this answer has."""

    status = 406
    code = "not_acceptable"


class Conflict(ApiError):
    """The request contradicts an earlier one."""

    status = 409
    code = "conflict"


class TooLarge(ApiError):
    """A file has more bytes than are taken."""

    status = 413
    code = "too_large"


class UnsupportedMedia(ApiError):
    """The body is in no form that is read here."""

    status = 415
    code = "unsupported_media_type"


class TooMany(ApiError):
    """The server has enough to do; Retry-After says when to come back, in seconds."""

    status = 429
    code = "rate_limited"

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.headers = {"Retry-After": str(retry_after_seconds)}


def _answer(status: int, code: str, message: str, field: str | None, headers: dict[str, str]) -> Response:
    error = {"code": code, "message": message}
    if field is not None:
        error["field"] = field
    return Response(orjson.dumps({"error": error}), status, headers, media_type="application/json")


async def answer_api_error(_: Request, error: Exception) -> Response:
    """Answer one of our own errors."""
    if not isinstance(error, ApiError):
        raise error
    return _answer(error.status, error.specific_code, error.message, error.field, error.headers)


async def answer_http_error(_: Request, error: Exception) -> Response:
    """Answer what the router refuses: unknown paths and methods."""
    if not isinstance(error, HTTPException):
        raise error
    code = {404: NotFound.code, 405: "method_not_allowed"}.get(error.status_code, BadRequest.code)
    return _answer(error.status_code, code, error.detail, None, dict(error.headers or {}))


async def answer_cut_off(_: Request, __: Exception) -> Response:
    """Answer a request whose body ended too early; most often nobody listens any more."""
    return _answer(400, "incomplete", "the body ended before its end", None, {})


async def answer_lost(request: Request, error: Exception) -> Response:
    """Answer while the database (or the disk) does not: it is expected back."""
    log.warning("cannot work", path=request.url.path, problem=repr(error))
    message = "the verifier cannot work at the moment; try again"
    return _answer(503, "unavailable", message, None, {"Retry-After": str(LOST_RETRY_SECONDS)})


async def answer_failure(request: Request, error: Exception) -> Response:
    """Answer a fault of ours without telling its inside; the log has it."""
    log.error("request failed", path=request.url.path, method=request.method, exc_info=error)
    return _answer(500, ApiError.code, "the verifier failed to answer; the fault is ours", None, {})
