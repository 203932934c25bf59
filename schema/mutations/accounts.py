"""Mutations of accounts: signing up, in and out, passwords and links."""

import strawberry

from resolvers import accounts
from schema.accounts import User
from schema.errors import USER_ERRORS, UserError
from schema.field import PUBLIC, SESSION, mutation, optional, payload, plain
from schema.scalars import EmailAddress
from schema.sessions import AuthTokens

_EMAIL = "Sign-in address."
_NEW_PASSWORD = "8 to 128 characters; checked against known leaked passwords."  # noqa: S105 - a description
_CURRENT_PASSWORD = "The password in force."  # noqa: S105 - a description
_ACCOUNT = "The account."
_TOKENS = "Tokens of the new session."
_ADDRESSEE = "The address the link goes to if it has an account."


@strawberry.input(description="Input of signUp.")
class SignUpInput:
    email: str = strawberry.field(description=_EMAIL)
    password: str = strawberry.field(description=_NEW_PASSWORD)
    name: str | None = optional("Display name.")


@payload
class SignUpPayload:
    user: User | None = plain(_ACCOUNT)
    tokens: AuthTokens | None = plain(_TOKENS)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of signIn.")
class SignInInput:
    email: str = strawberry.field(description=_EMAIL)
    password: str = strawberry.field(description="The password.")


@payload
class SignInPayload:
    user: User | None = plain(_ACCOUNT)
    tokens: AuthTokens | None = plain(_TOKENS)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of refreshSession.")
class RefreshSessionInput:
    refresh_token: str = strawberry.field(description="The refresh token in hand.")


@payload
class RefreshSessionPayload:
    user: User | None = plain(_ACCOUNT)
    tokens: AuthTokens | None = plain("New tokens of the same session.")
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of signOut.")
class SignOutInput:
    everywhere: bool = strawberry.field(description="End every session of the account.", default=False)


@payload
class SignOutPayload:
    ended_session_count: int | None = plain("How many sessions were ended.")
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of revokeSession.")
class RevokeSessionInput:
    session_id: strawberry.ID = strawberry.field(description="Global id of the session.")


@payload
class RevokeSessionPayload:
    revoked_session_id: strawberry.ID | None = plain("Global id of the ended session.")
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of changePassword.")
class ChangePasswordInput:
    current_password: str | None = optional("The password in force; left out by an account that has none yet.")
    new_password: str = strawberry.field(description=_NEW_PASSWORD)


@payload
class ChangePasswordPayload:
    user: User | None = plain(_ACCOUNT)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of requestPasswordReset.")
class RequestPasswordResetInput:
    email: str = strawberry.field(description=_EMAIL)


@payload
class RequestPasswordResetPayload:
    email: EmailAddress | None = plain(_ADDRESSEE)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of resetPassword.")
class ResetPasswordInput:
    token: str = strawberry.field(description="Token of the link; works once, for 30 minutes.")
    new_password: str = strawberry.field(description=_NEW_PASSWORD)


@payload
class ResetPasswordPayload:
    user: User | None = plain(_ACCOUNT)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of confirmEmail.")
class ConfirmEmailInput:
    token: str = strawberry.field(description="Token of the link; works once, for 24 hours.")


@payload
class ConfirmEmailPayload:
    user: User | None = plain(_ACCOUNT)
    tokens: AuthTokens | None = plain(_TOKENS)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of requestEmailConfirmation.")
class RequestEmailConfirmationInput:
    email: str = strawberry.field(description=_EMAIL)


@payload
class RequestEmailConfirmationPayload:
    email: EmailAddress | None = plain(_ADDRESSEE)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of changeEmail.")
class ChangeEmailInput:
    new_email: str = strawberry.field(description="New address.")
    current_password: str | None = optional(_CURRENT_PASSWORD)


@payload
class ChangeEmailPayload:
    user: User | None = plain(_ACCOUNT)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of deleteAccount.")
class DeleteAccountInput:
    current_password: str | None = optional(_CURRENT_PASSWORD)
    confirm_email: str = strawberry.field(description="The account's address, typed once more.")


@payload
class DeleteAccountPayload:
    deleted_user_id: strawberry.ID | None = plain("Global id of the deleted account.")
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type
class AccountMutations:
    sign_up: SignUpPayload | None = mutation(
        accounts.sign_up,
        SignUpInput,
        PUBLIC,
        "Make an account. Signs in at once where no confirmation of the address is asked for; else `tokens` is null "
        "and the answer is the same whether or not the account existed.",
    )
    sign_in: SignInPayload | None = mutation(
        accounts.sign_in,
        SignInInput,
        PUBLIC,
        "Sign in. Tries are limited by address and network together; an address alone is only slowed.",
    )
    refresh_session: RefreshSessionPayload | None = mutation(
        accounts.refresh_session,
        RefreshSessionInput,
        PUBLIC,
        "Trade a refresh token for new tokens. The one before may be used again for 30 seconds; an older one ends its "
        "session.",
    )
    sign_out: SignOutPayload | None = mutation(
        accounts.sign_out, SignOutInput, SESSION, "End this session, or every session."
    )
    revoke_session: RevokeSessionPayload | None = mutation(
        accounts.revoke_session, RevokeSessionInput, SESSION, "End one session."
    )
    change_password: ChangePasswordPayload | None = mutation(
        accounts.change_password, ChangePasswordInput, SESSION, "Change the password and end all other sessions."
    )
    request_password_reset: RequestPasswordResetPayload | None = mutation(
        accounts.request_password_reset,
        RequestPasswordResetInput,
        PUBLIC,
        "Send a reset link. The answer is the same whether or not the account exists.",
    )
    reset_password: ResetPasswordPayload | None = mutation(
        accounts.reset_password, ResetPasswordInput, PUBLIC, "Set a new password with the token of a reset link."
    )
    confirm_email: ConfirmEmailPayload | None = mutation(
        accounts.confirm_email, ConfirmEmailInput, PUBLIC, "Confirm an address with the token of a link."
    )
    request_email_confirmation: RequestEmailConfirmationPayload | None = mutation(
        accounts.request_email_confirmation,
        RequestEmailConfirmationInput,
        PUBLIC,
        "Send the link again. The answer is the same whether or not the account exists.",
    )
    change_email: ChangeEmailPayload | None = mutation(
        accounts.change_email,
        ChangeEmailInput,
        SESSION,
        "Change the sign-in address; it counts once the new address is confirmed.",
    )
    delete_account: DeleteAccountPayload | None = mutation(
        accounts.delete_account,
        DeleteAccountInput,
        SESSION,
        "Delete the account with its tasks, files, keys and profile. Its ledger stays, without the person.",
    )
