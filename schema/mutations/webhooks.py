"""Mutations of webhooks."""

import strawberry

from db.models import ApiKeyScope, WebhookEvent
from resolvers import webhooks
from schema.errors import USER_ERRORS, UserError
from schema.field import mutation, optional, payload, plain
from schema.webhooks import Webhook, WebhookDelivery

_WEBHOOK = "The webhook."
_WEBHOOK_ID = "Global id of the webhook."
_DELIVERY = "The delivery."
_SECRET = "Key of the HMAC-SHA256 signature; shown this once only."  # noqa: S105 - a description


@strawberry.input(description="Input of createWebhook.")
class CreateWebhookInput:
    url: str = strawberry.field(description="Receiver: an https URL, at most 2,048 characters.")
    events: list[WebhookEvent] = strawberry.field(description="Events to send; at least one.")


@payload
class CreateWebhookPayload:
    webhook: Webhook | None = plain(_WEBHOOK)
    signing_secret: str | None = plain(_SECRET)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of updateWebhook.")
class UpdateWebhookInput:
    webhook_id: strawberry.ID = strawberry.field(description=_WEBHOOK_ID)
    url: str | None = optional("New receiver.")
    events: list[WebhookEvent] | None = optional("New events, in place of the old.")
    is_enabled: bool | None = optional("Switch deliveries on or off.")


@payload
class UpdateWebhookPayload:
    webhook: Webhook | None = plain(_WEBHOOK)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of deleteWebhook.")
class DeleteWebhookInput:
    webhook_id: strawberry.ID = strawberry.field(description=_WEBHOOK_ID)


@payload
class DeleteWebhookPayload:
    deleted_webhook_id: strawberry.ID | None = plain("Global id of the deleted webhook.")
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of rotateWebhookSecret.")
class RotateWebhookSecretInput:
    webhook_id: strawberry.ID | None = optional(
        "Global id of the webhook; left out: the account's own secret, which signs for `Task.webhookUrl`."
    )


@payload
class RotateWebhookSecretPayload:
    webhook: Webhook | None = plain("The webhook; null for the account's own secret.")
    signing_secret: str | None = plain(_SECRET)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of testWebhook.")
class TestWebhookInput:
    webhook_id: strawberry.ID = strawberry.field(description=_WEBHOOK_ID)
    event: WebhookEvent = strawberry.field(
        description="Event to send.",
        default=WebhookEvent.TASK_COMPLETED,
    )


@payload
class TestWebhookPayload:
    delivery: WebhookDelivery | None = plain(_DELIVERY)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of retryWebhookDelivery.")
class RetryWebhookDeliveryInput:
    delivery_id: strawberry.ID = strawberry.field(description="Global id of the delivery.")


@payload
class RetryWebhookDeliveryPayload:
    delivery: WebhookDelivery | None = plain(_DELIVERY)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type
class WebhookMutations:
    create_webhook: CreateWebhookPayload | None = mutation(
        webhooks.create_webhook,
        CreateWebhookInput,
        ApiKeyScope.WEBHOOKS_WRITE,
        "Make a webhook. Addresses in private networks are refused.",
    )
    update_webhook: UpdateWebhookPayload | None = mutation(
        webhooks.update_webhook,
        UpdateWebhookInput,
        ApiKeyScope.WEBHOOKS_WRITE,
        "Change a webhook. Fields left out stay as they are.",
    )
    delete_webhook: DeleteWebhookPayload | None = mutation(
        webhooks.delete_webhook, DeleteWebhookInput, ApiKeyScope.WEBHOOKS_WRITE, "Delete a webhook."
    )
    rotate_webhook_secret: RotateWebhookSecretPayload | None = mutation(
        webhooks.rotate_webhook_secret,
        RotateWebhookSecretInput,
        ApiKeyScope.WEBHOOKS_WRITE,
        "Give a webhook, or the account, a new secret. The old one signs too for 24 hours more.",
    )
    test_webhook: TestWebhookPayload | None = mutation(
        webhooks.test_webhook,
        TestWebhookInput,
        ApiKeyScope.WEBHOOKS_WRITE,
        "Send a sample event and report the answer.",
    )
    retry_webhook_delivery: RetryWebhookDeliveryPayload | None = mutation(
        webhooks.retry_webhook_delivery, RetryWebhookDeliveryInput, ApiKeyScope.WEBHOOKS_WRITE, "Send a delivery again."
    )
