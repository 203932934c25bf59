"""Mutations of the caller's profile."""

import strawberry

from db.models import ApiKeyScope
from resolvers import profiles
from schema.errors import USER_ERRORS, UserError
from schema.field import mutation, optional, payload, plain
from schema.profiles import Profile
from schema.scalars import JSONObject

_EXPECTED_VERSION = "Refuse with VERSION_CONFLICT unless the document has this version."
_PROFILE = "The document as it is now."


@strawberry.input(description="Input of upsertProfile.")
class UpsertProfileInput:
    display_name: str | None = optional("Display name; null removes it, left out leaves it.")
    document: JSONObject = strawberry.field(description="The whole document.")
    expected_version: int | None = optional(_EXPECTED_VERSION)


@payload
class UpsertProfilePayload:
    profile: Profile | None = plain(_PROFILE)
    was_created: bool | None = plain("True when the document is new: there was none, or an empty one.")
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of updateProfile.")
class UpdateProfileInput:
    display_name: str | None = optional("New display name; null removes it, left out leaves it.")
    patch: JSONObject | None = optional("The merge patch of the document.")
    expected_version: int | None = optional(_EXPECTED_VERSION)


@payload
class UpdateProfilePayload:
    profile: Profile | None = plain(_PROFILE)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of deleteProfile.")
class DeleteProfileInput:
    expected_version: int | None = optional(_EXPECTED_VERSION)


@payload
class DeleteProfilePayload:
    profile: Profile | None = plain(_PROFILE)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type
class ProfileMutations:
    upsert_profile: UpsertProfilePayload | None = mutation(
        profiles.upsert_profile,
        UpsertProfileInput,
        ApiKeyScope.PROFILE_WRITE,
        "Write the whole profile document, whether or not there is one.",
    )
    update_profile: UpdateProfilePayload | None = mutation(
        profiles.update_profile,
        UpdateProfileInput,
        ApiKeyScope.PROFILE_WRITE,
        "Change parts of the profile document by JSON merge patch (RFC 7396): null removes a member.",
    )
    delete_profile: DeleteProfilePayload | None = mutation(
        profiles.delete_profile,
        DeleteProfileInput,
        ApiKeyScope.PROFILE_WRITE,
        "Empty the profile: document and display name.",
    )
