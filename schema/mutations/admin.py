"""Mutations of administrators."""

import strawberry

from db.models import UserRole
from resolvers import admin
from schema.accounts import User
from schema.errors import USER_ERRORS, UserError
from schema.field import SESSION, mutation, payload, plain

_USER_ID = "Global id of the account."
_USER = "The account."


@strawberry.input(description="Input of changeUserRole.")
class ChangeUserRoleInput:
    user_id: strawberry.ID = strawberry.field(description=_USER_ID)
    role: UserRole = strawberry.field(description="New role.")


@payload
class ChangeUserRolePayload:
    user: User | None = plain(_USER)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of suspendUser.")
class SuspendUserInput:
    user_id: strawberry.ID = strawberry.field(description=_USER_ID)
    reason: str = strawberry.field(description="Reason for the audit log.")


@payload
class SuspendUserPayload:
    user: User | None = plain(_USER)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of restoreUser.")
class RestoreUserInput:
    user_id: strawberry.ID = strawberry.field(description=_USER_ID)


@payload
class RestoreUserPayload:
    user: User | None = plain(_USER)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type
class AdminMutations:
    change_user_role: ChangeUserRolePayload | None = mutation(
        admin.change_user_role,
        ChangeUserRoleInput,
        SESSION,
        "Make an account a member or an administrator. Administrators only; never the last administrator.",
    )
    suspend_user: SuspendUserPayload | None = mutation(
        admin.suspend_user,
        SuspendUserInput,
        SESSION,
        "Suspend an account: its sessions end and its keys stop. Administrators only.",
    )
    restore_user: RestoreUserPayload | None = mutation(
        admin.restore_user, RestoreUserInput, SESSION, "Lift a suspension. Administrators only."
    )
