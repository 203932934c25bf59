"""What a mutation gives back: its results, or the problems that the caller can put right."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from services.errors import AccessError, BadRequest, Busy, RateLimited, ServiceError, UpstreamError, UserErrorCode

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class UserError:
    """A problem the caller can put right. Not the exception itself: one in a result would be an error of the field."""

    code: UserErrorCode
    message: str
    field: list[str] | None


class Outcome:
    """Results by name, or `user_errors`; a result that is not there is None."""

    def __init__(self, results: Mapping[str, Any] | None = None, user_errors: Sequence[UserError] = ()) -> None:
        """Either results or errors."""
        self.user_errors = list(user_errors)
        self._results = results or {}

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - rows of any table
        """A result; None when there is none."""
        if name.startswith("_"):
            raise AttributeError(name)
        return self._results.get(name)


def gives(result: str) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[Outcome]]]:
    """Turn a resolver's row into an outcome with this result, and a caller's mistake into userErrors.

    What is about access, upstream or a program's bug stays an error of the operation.
    """

    def decorate(work: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[Outcome]]:
        async def named(*args: P.args, **kwargs: P.kwargs) -> Mapping[str, Any]:
            return {result: await work(*args, **kwargs)}

        return gives_all(named)

    return decorate


def gives_all(work: Callable[P, Awaitable[Mapping[str, Any]]]) -> Callable[P, Awaitable[Outcome]]:
    """The same for a resolver that gives several results by name."""

    async def resolve(*args: P.args, **kwargs: P.kwargs) -> Outcome:
        try:
            return Outcome(await work(*args, **kwargs))
        except (AccessError, UpstreamError, BadRequest, Busy, RateLimited):
            raise
        except ServiceError as error:
            return Outcome(user_errors=[UserError(UserErrorCode(error.code), error.message, error.field)])

    return resolve
