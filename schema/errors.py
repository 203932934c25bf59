"""Problems that the caller can put right."""

from resolvers import outcomes
from schema.field import picture, plain, words
from services import errors

words(
    errors.UserErrorCode,
    "Why a mutation did nothing. New values may be added: treat an unknown one as INVALID.",
    {
        "INVALID": "The value is not acceptable.",
        "REQUIRED": "A value is required here.",
        "TOO_LARGE": "The value is longer or larger than allowed.",
        "NOT_FOUND": "The thing does not exist or is not yours.",
        "TAKEN": "Something with this value exists already.",
        "VERSION_CONFLICT": "The thing changed since you read it; read it again.",
        "IDEMPOTENCY_CONFLICT": "The key was used before with other input.",
        "WRONG_STATE": "The thing is in a state that does not allow this.",
        "INSUFFICIENT_CREDITS": "The balance does not cover this.",
        "INVALID_CREDENTIALS": "E-mail or password is wrong, or the token is spent. Which one is never told.",
        "SUSPENDED": "The account is suspended or inactive.",
        "LIMIT_REACHED": "The account has as many of these as it may have.",
        "UNREADABLE_FILE": "The file cannot be read as the type it claims.",
    },
)

USER_ERRORS = "Why nothing was done; empty on success."


@picture(outcomes.UserError, "A problem the caller can put right. Unexpected failures are top-level errors instead.")
class UserError:
    code: errors.UserErrorCode = plain("Stable machine-readable reason.")
    message: str = plain("Sentence that may be shown to a person.")
    field: list[str] | None = plain(
        'Path to the offending input field, e.g. ["input", "columnMapping", "email"]; null when no single field is at '
        "fault."
    )
