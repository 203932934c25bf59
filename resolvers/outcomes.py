"""What a mutation gives back: its results, or the problems that the caller can put right."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec

from services.errors import AccessError, BadRequest, Busy, RateLimited, ServiceError, UpstreamError, UserErrorCode

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class UserError:
    """A problem the caller can put right. Not the exception itself: one in a result would be an error of the field."""

    code: UserErrorCode
    message: str
    field: list[str] | None


class Outcome:
    """Results by name, and `user_errors`; with these, every result is None."""

    def __init__(self, results: Mapping[str, Any], user_errors: Sequence[UserError] = ()) -> None:
        """Each result becomes an attribute; there are no others."""
        self.user_errors = list(user_errors)
        vars(self).update(results)


def gives(*names: str) -> Callable[[Callable[P, Awaitable[Any]]], Callable[P, Awaitable[Outcome]]]:
    """Turn what a resolver gives into an outcome, and a caller's mistake into userErrors.

    One name is that of the row itself; several are those of the members of a tuple, in its order.

    What is about access, upstream or a program's bug stays an error of the operation.
    """

    def decorate(work: Callable[P, Awaitable[Any]]) -> Callable[P, Awaitable[Outcome]]:
        async def resolve(*args: P.args, **kwargs: P.kwargs) -> Outcome:
            try:
                found = await work(*args, **kwargs)
            except (AccessError, UpstreamError, BadRequest, Busy, RateLimited):
                raise
            except ServiceError as error:
                problem = UserError(UserErrorCode(error.code), error.message, error.field)
                return Outcome(dict.fromkeys(names), [problem])
            return Outcome(dict(zip(names, found if len(names) > 1 else (found,), strict=True)))

        return resolve

    return decorate
