"""What can go wrong in a use-case, as one tree. The reader's sentence is the class's docstring unless one is given.

ServiceError
├── BadRequest            an argument that programs write is wrong: a cursor, a page size
│   └── WebhookRefused    signed wrongly, too long ago, or not what its provider sends
├── Invalid               the value is not acceptable
│   ├── Required          a value is missing
│   ├── TooLarge          longer or larger than allowed
│   ├── UnreadableFile    the file cannot be read as the type it claims
│   ├── WeakPassword      shorter than a password must be
│   │   └── LeakedPassword  known from leaks
│   └── PasswordTooLong   longer than a password may be
├── Taken                 something with this value exists
├── InvalidCredentials    e-mail or password is wrong, or a token is spent
│   ├── RefreshTokenUnknown  never given out, or its session has ended
│   └── RefreshTokenSpent    used before: its session was ended
├── Suspended             the account is suspended; told only after a right password
├── NotFound              does not exist, or is not the caller's
├── LimitReached          as many as the account may have
├── WrongState            the thing is in a state that does not allow this
│   └── EmailUnconfirmed  the address must be confirmed first
├── VersionConflict       changed since the caller read it
├── IdempotencyConflict   the key was used before with other input
├── InsufficientCredits   the balance does not cover this
├── AccessError           about who asks; never a userError
│   ├── Unauthenticated
│   │   └── SessionEnded  the token is good, but its session was signed out
│   └── Forbidden
├── Busy                  too many at the same time; never a userError
│   └── IdentityDown      the identity provider does not answer
├── RateLimited           too often; never a userError
│   └── TooManyLetters    of mail
└── UpstreamError         about a service behind us, the verifier as a rule; never a userError
    ├── PaymentsDown      the payment provider cannot be reached: try again
    ├── PaymentsRefused   the payment provider refuses this for good
    ├── UpstreamDown      cannot be reached, or asks to wait: try again
    │   └── UpstreamKeyMissing   there is no key to ask with; somebody can enter one
    ├── UpstreamRefused   refuses this for good
    │   └── UpstreamKeyRefused   refuses the credential
    └── UpstreamMissing   does not know the task
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar


class UserErrorCode(StrEnum):
    """Why a mutation did nothing."""

    INVALID = "INVALID"
    REQUIRED = "REQUIRED"
    TOO_LARGE = "TOO_LARGE"
    NOT_FOUND = "NOT_FOUND"
    TAKEN = "TAKEN"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"
    VERSION_CONFLICT = "VERSION_CONFLICT"
    WRONG_STATE = "WRONG_STATE"
    INSUFFICIENT_CREDITS = "INSUFFICIENT_CREDITS"
    INVALID_CREDENTIALS = "INVALID_CREDENTIALS"
    SUSPENDED = "SUSPENDED"
    LIMIT_REACHED = "LIMIT_REACHED"
    UNREADABLE_FILE = "UNREADABLE_FILE"


class ServiceError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "INTERNAL_SERVER_ERROR"

    def __init__(self, message: str | None = None, *, field: Sequence[str] | None = None) -> None:
        """`field` is the path to the offending input, e.g. ("input", "emails")."""
        self.message = message or (type(self).__doc__ or "").strip()
        self.field = list(field) if field is not None else None
        super().__init__(self.message)


class BadRequest(ServiceError):
    """An argument is wrong."""

    code = "BAD_USER_INPUT"


class WebhookRefused(BadRequest):
    """The signature of this webhook is wrong, or older than five minutes."""


class Invalid(ServiceError):
    """The value is not acceptable."""

    code = UserErrorCode.INVALID


class Required(Invalid):
    """A value is required here."""

    code = UserErrorCode.REQUIRED


class TooLarge(Invalid):
    """The value is longer or larger than allowed."""

    code = UserErrorCode.TOO_LARGE


class UnreadableFile(Invalid):
    """The file cannot be read as the type it claims."""

    code = UserErrorCode.UNREADABLE_FILE


class WeakPassword(Invalid):
    """A password has at least 8 characters."""


class LeakedPassword(WeakPassword):
    """This password is known from leaks, and is among the first that anybody tries. Choose another."""


class PasswordTooLong(Invalid):
    """A password has at most 128 characters."""

    code = UserErrorCode.TOO_LARGE


class Taken(ServiceError):
    """This exists already."""

    code = UserErrorCode.TAKEN


class InvalidCredentials(ServiceError):
    """E-mail or password is wrong, or the token is spent."""

    code = UserErrorCode.INVALID_CREDENTIALS


class RefreshTokenUnknown(InvalidCredentials):
    """This refresh token is not known: sign in again."""


class RefreshTokenSpent(InvalidCredentials):
    """This refresh token was used before, so its session has been ended: sign in again."""


class Suspended(ServiceError):
    """The account is suspended."""

    code = UserErrorCode.SUSPENDED


class NotFound(ServiceError):
    """This does not exist, or is not yours."""

    code = UserErrorCode.NOT_FOUND


class LimitReached(ServiceError):
    """The account has as many of these as it may have."""

    code = UserErrorCode.LIMIT_REACHED


class WrongState(ServiceError):
    """This is in a state that does not allow that."""

    code = UserErrorCode.WRONG_STATE


class EmailUnconfirmed(WrongState):
    """Confirm the address first: use the link in the letter, or ask for a new one."""


class VersionConflict(ServiceError):
    """This was changed since you read it. Read it again and repeat your change."""

    code = UserErrorCode.VERSION_CONFLICT


class IdempotencyConflict(ServiceError):
    """This idempotency key was used before with other input. Choose a new key for a new request."""

    code = UserErrorCode.IDEMPOTENCY_CONFLICT


class InsufficientCredits(ServiceError):
    """The balance does not cover this."""

    code = UserErrorCode.INSUFFICIENT_CREDITS


class AccessError(ServiceError):
    """You may not do this."""

    code = "FORBIDDEN"


class Unauthenticated(AccessError):
    """Sign in first: send a valid, unexpired token or API key in the Authorization header."""

    code = "UNAUTHENTICATED"


class SessionEnded(Unauthenticated):
    """This session has ended: sign in again."""


class Forbidden(AccessError):
    """Your key or account may not do this."""


class Busy(ServiceError):
    """Too many are signing in at this moment. Try again in a few seconds."""

    code = "SERVICE_UNAVAILABLE"


class IdentityDown(Busy):
    """The identity provider cannot be reached just now. Try again in a moment."""


class RateLimited(ServiceError):
    """This was done too often. Wait a little, and try again."""

    code = "RATE_LIMITED"

    def __init__(self, message: str | None = None, *, retry_after_seconds: float) -> None:
        """`retry_after_seconds`: before that it is refused again."""
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class TooManyLetters(RateLimited):
    """Too many letters were asked for. Look into the mailbox, and try again later."""


class UpstreamError(ServiceError):
    """The verifier could not do this."""

    code = "UPSTREAM_ERROR"


class PaymentsDown(UpstreamError):
    """The payment provider cannot be reached just now. Try again in a moment, with the same idempotency key."""

    code = "UPSTREAM_UNAVAILABLE"


class PaymentsRefused(UpstreamError):
    """The payment provider refused this. Nothing was charged."""


class UpstreamDown(UpstreamError):
    """The verifier cannot be reached just now. Try again in a moment."""

    code = "UPSTREAM_UNAVAILABLE"

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after_seconds: float | None = None,
        is_timeout: bool = False,
        may_have_worked: bool = True,
    ) -> None:
        """`retry_after_seconds` is what upstream asked for, where it did; `is_timeout`: it did not answer in time.

        `may_have_worked`: it cannot be told whether upstream has done what was asked.
        """
        super().__init__(message)
        self.may_have_worked = may_have_worked
        self.retry_after_seconds = retry_after_seconds
        self.is_timeout = is_timeout


class UpstreamKeyMissing(UpstreamDown):
    """This account has no key at the verifier. Ask who runs this service to enter one."""

    code = "UPSTREAM_KEY_MISSING"


class UpstreamRefused(UpstreamError):
    """The verifier refused this."""


class UpstreamKeyRefused(UpstreamRefused):
    """The verifier refused the credential."""


class UpstreamMissing(UpstreamError):
    """The verifier does not know this task."""
