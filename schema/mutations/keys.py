"""Mutations of API keys. A key cannot do any of them."""

import datetime as dt

import strawberry

from db.models import ApiKeyScope
from resolvers import keys
from schema.errors import USER_ERRORS, UserError
from schema.field import SESSION, mutation, optional, payload, plain
from schema.keys import ApiKey
from schema.scalars import JSONObject

_KEY_ID = "Global id of the key."
_KEY = "The key."
_SECRET = "The secret; shown this once only."  # noqa: S105 - a description


@strawberry.input(description="Input of createApiKey.")
class CreateApiKeyInput:
    name: str = strawberry.field(description="1 to 100 characters.")
    scopes: list[ApiKeyScope] = strawberry.field(description="What the key may do; at least one.")
    integration: str | None = optional("Slug of the integration it is for.")
    metadata: JSONObject | None = optional("Free-form notes of the integration, at most 4 KiB.")
    expires_at: dt.datetime | None = optional("When the key stops working.")


@payload
class CreateApiKeyPayload:
    api_key: ApiKey | None = plain(_KEY)
    secret: str | None = plain(_SECRET)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of updateApiKey.")
class UpdateApiKeyInput:
    api_key_id: strawberry.ID = strawberry.field(description=_KEY_ID)
    name: str | None = optional("New name.")
    scopes: list[ApiKeyScope] | None = optional("New scopes, in place of the old.")
    metadata: JSONObject | None = optional("New notes, in place of the old; null removes them.")


@payload
class UpdateApiKeyPayload:
    api_key: ApiKey | None = plain(_KEY)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of rotateApiKey.")
class RotateApiKeyInput:
    api_key_id: strawberry.ID = strawberry.field(description=_KEY_ID)


@payload
class RotateApiKeyPayload:
    api_key: ApiKey | None = plain(_KEY)
    secret: str | None = plain(_SECRET)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of revokeApiKey.")
class RevokeApiKeyInput:
    api_key_id: strawberry.ID = strawberry.field(description=_KEY_ID)


@payload
class RevokeApiKeyPayload:
    api_key: ApiKey | None = plain(_KEY)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type
class ApiKeyMutations:
    create_api_key: CreateApiKeyPayload | None = mutation(
        keys.create_api_key, CreateApiKeyInput, SESSION, "Make an API key."
    )
    update_api_key: UpdateApiKeyPayload | None = mutation(
        keys.update_api_key, UpdateApiKeyInput, SESSION, "Change an API key. Fields left out stay as they are."
    )
    rotate_api_key: RotateApiKeyPayload | None = mutation(
        keys.rotate_api_key, RotateApiKeyInput, SESSION, "Give a key a new secret. The old one works for one more hour."
    )
    revoke_api_key: RevokeApiKeyPayload | None = mutation(
        keys.revoke_api_key, RevokeApiKeyInput, SESSION, "Stop a key at once and for good."
    )
