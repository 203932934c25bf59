"""What is told of an operation: errors with codes to the caller, faults and one line to the log; and its time limit.

Good queries and mutations are run by `schema.execution.direct`, by these functions; the hooks are for all others.
"""

import asyncio
import contextlib
import math
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Self

import structlog
from graphql import GraphQLError, GraphQLSyntaxError
from graphql.execution import SubsequentIncrementalExecutionResult
from strawberry.exceptions import MissingQueryError
from strawberry.extensions import SchemaExtension
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionContext, StreamExecutionResult

from db import away, ids
from resolvers.context import Context
from schema import limits
from services import errors as service_errors
from services.actor import Actor

log = structlog.get_logger(__name__)

ERRORS_MAX = 10
OPERATION_SECONDS_MAX = 35.0  # more than the longest wait that verifyEmail allows

FAULT = "INTERNAL_SERVER_ERROR"
TIMEOUT = "OPERATION_TIMEOUT"
AWAY = "SERVICE_UNAVAILABLE"
AWAY_SECONDS = 2

_SUGGESTION = re.compile(r"\s*Did you mean .*", re.DOTALL)

# Raised through the operation by the library; its HTTP view turns them into answers of its own.
_REQUEST_FAULTS = (MissingQueryError, CannotGetOperationTypeError, InvalidOperationTypeError)


class TellableError(GraphQLError):
    """An error as the caller may see it: it has a code, and nothing of the exception behind it."""


class Line:
    """The one line in the log that an operation has, written when the block ends: ids and codes, no document."""

    def __init__(self, context: ExecutionContext) -> None:
        """Be about an operation that is to run."""
        self.outcome = "done"
        self._context = context
        self._codes: list[str] = []

    def __enter__(self) -> Self:
        self._started = time.perf_counter()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        context = self._context
        if error is not None:
            self.outcome = "failed" if isinstance(error, Exception) else "cancelled"
        if isinstance(error, GraphQLError):
            self.note([error])
        self.note(getattr(context.result, "errors", None))
        actor, mutations = (getattr(context.context, name, None) for name in ("actor", "mutations"))
        log.info(
            "operation",
            operation_type=self._type(),
            operation_name=(context.operation_name or "")[:100] or None,
            outcome=self.outcome,
            duration_ms=round((time.perf_counter() - self._started) * 1000, 1),
            request_id=getattr(context.context, "request_id", None),
            account_id=ids.global_id("user", actor.account_id) if isinstance(actor, Actor) else None,
            error_codes=sorted(set(self._codes)),
            **({"mutations": mutations} if mutations else {}),
        )

    def note(self, errors: Sequence[GraphQLError] | None) -> None:
        """Remember the codes of errors."""
        self._codes += [str((error.extensions or {}).get("code")) for error in errors or ()]

    def _type(self) -> str | None:
        try:
            return self._context.operation_type.value
        except RuntimeError:
            return None  # the document did not parse, or holds no such operation


class OperationLog(SchemaExtension):
    """Writes the line of an operation; of a subscription, when it ends."""

    def on_operation(self) -> Iterator[None]:
        with Line(self.execution_context) as self._line:
            yield

    def on_stream_result(self, result: StreamExecutionResult) -> Iterator[None]:
        yield
        self._line.note(getattr(result, "errors", None))


class ErrorCodes(SchemaExtension):
    """Gives every error `extensions.code`; masks what is no business of the caller and logs it under an error id."""

    def on_operation(self) -> Iterator[None]:
        try:
            yield
        except _REQUEST_FAULTS:
            raise
        except Exception as error:  # what a hook raised would otherwise reach the caller in its own words
            raise tellable(error, self.execution_context) from error
        result = self.execution_context.result
        if result is not None and result.errors:
            result.errors = all_tellable(result.errors, self.execution_context)

    def on_stream_result(self, result: StreamExecutionResult) -> Iterator[None]:
        if not isinstance(result, SubsequentIncrementalExecutionResult) and result.errors:
            result.errors = all_tellable(result.errors, self.execution_context)
        yield


class TimeLimit(SchemaExtension):
    """Ends a query or mutation that runs too long. Subscriptions last as long as they are wanted."""

    async def on_execute(self) -> AsyncIterator[None]:
        if self.execution_context.operation_type.value == "subscription":
            yield
            return
        async with time_limit(self.execution_context.context):
            yield


@contextlib.asynccontextmanager
async def time_limit(context: object) -> AsyncIterator[None]:
    """End what runs longer than 35 s, or than it has asked for (`Context.take_longer`), with a GraphQLError."""
    try:
        async with asyncio.timeout(OPERATION_SECONDS_MAX) as limit:
            if isinstance(context, Context):
                context.time_limit = limit
            yield
    except TimeoutError:
        message = "The operation took too long and was stopped."
        raise GraphQLError(message, extensions={"code": TIMEOUT}) from None


def all_tellable(errors: Sequence[Exception], context: ExecutionContext) -> list[GraphQLError]:
    """Errors as the caller may see them, the first ten."""
    return [tellable(error, context) for error in errors[:ERRORS_MAX]]


def tellable(error: Exception, context: ExecutionContext) -> TellableError:
    """Write an error anew as the caller may see it; none is changed, for they may come out of the cache of documents.

    A fault is logged under an error id, which is all that the caller is told of it.
    """
    if isinstance(error, TellableError):
        return error
    code, message = _code_and_message(error)
    if context.schema.config.disable_field_suggestions:
        # The library takes them from fields only; arguments, types and enum values would still be guessed at.
        message = _SUGGESTION.sub("", message)
    request_id = getattr(context.context, "request_id", None)
    extensions: dict[str, object] = {}
    if isinstance(error, GraphQLError):
        extensions |= error.extensions or {}
    if code == FAULT:
        extensions = {"errorId": uuid.uuid4().hex}
        log.error(
            "fault in an operation",
            error_id=extensions["errorId"],
            operation_name=(context.operation_name or "")[:100] or None,
            path=getattr(error, "path", None),
            request_id=request_id,
            exc_info=getattr(error, "original_error", None) or error,
        )
    extensions["code"] = code
    if (seconds := AWAY_SECONDS if code == AWAY else _retry_after_seconds(error)) is not None:
        extensions["retryAfterSeconds"] = seconds
    if request_id is not None:
        extensions["requestId"] = request_id
    if not isinstance(error, GraphQLError):
        return TellableError(message, extensions=extensions)
    return TellableError(message, error.nodes, error.source, error.positions, error.path, extensions=extensions)


def _code_and_message(error: Exception) -> tuple[str, str]:
    """Give the code of an error and what may be said of it."""
    if not isinstance(error, GraphQLError):
        return _of_cause(error)
    given = (error.extensions or {}).get("code")
    if given is not None:
        return str(given), error.message
    cause = error.original_error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    if isinstance(error, GraphQLSyntaxError):
        return "GRAPHQL_PARSE_FAILED", error.message
    if cause is not None and not isinstance(cause, GraphQLError):
        # A variable that its scalar does not take comes with its place in the document, a broken stream without.
        is_variable = error.path is None and bool(error.nodes) and isinstance(cause, ValueError | TypeError)
        return ("BAD_USER_INPUT", error.message) if is_variable else _of_cause(cause)
    if error.path is not None and " cannot represent " in error.message:
        return FAULT, "Internal server error."  # a value of ours that its own type does not take
    return "BAD_USER_INPUT", error.message


def _retry_after_seconds(error: Exception) -> int | None:
    """When the caller may try again, where it was told to wait."""
    cause = error.original_error if isinstance(error, GraphQLError) else error
    return math.ceil(cause.retry_after_seconds) if isinstance(cause, service_errors.RateLimited) else None


def _of_cause(cause: Exception) -> tuple[str, str]:
    if isinstance(cause, service_errors.ServiceError) and cause.code != FAULT:
        return cause.code, cause.message
    if isinstance(cause, CannotGetOperationTypeError):
        return "OPERATION_RESOLUTION_FAILURE", cause.as_http_error_reason()
    if isinstance(cause, InvalidOperationTypeError):
        return "OPERATION_NOT_ALLOWED", f"A {cause.operation_type.value} is not allowed here."
    if isinstance(cause, MissingQueryError):
        return "BAD_REQUEST", "There is no document in the request."
    if isinstance(cause, RecursionError):
        return "GRAPHQL_PARSE_FAILED", "The document is nested too deeply."
    if away.is_told_by(cause):
        return AWAY, "The service was interrupted. Try again in a few seconds, a change with its idempotency key."
    return FAULT, "Internal server error."


class OwnContext(SchemaExtension):
    """Gives each operation a context of its own: all on a WebSocket share one."""

    def on_operation(self) -> Iterator[None]:
        context = self.execution_context.context
        count(context)
        if isinstance(context, Context):
            self.execution_context.context = context.for_operation()
        yield


def count(context: object) -> None:
    """Count an operation as use of who is signed in."""
    if isinstance(context, Context):
        context.count_request()


# In this order: the first is the outermost.
EXTENSIONS: tuple[Callable[[], SchemaExtension], ...] = (
    OwnContext,
    OperationLog,
    ErrorCodes,
    TimeLimit,
    limits.Documents,
)
