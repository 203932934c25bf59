"""The mutation that begins a purchase. A key cannot do it."""

import strawberry

from resolvers import purchases
from schema.errors import USER_ERRORS, UserError
from schema.field import SESSION, mutation, payload, plain
from schema.mutations.tasks import IDEMPOTENCY_KEY
from schema.purchases import Purchase


@strawberry.input(description="Input of createPurchase.")
class CreatePurchaseInput:
    package: str = strawberry.field(description="Slug of the package.")
    idempotency_key: str = strawberry.field(description=IDEMPOTENCY_KEY)


@payload
class CreatePurchasePayload:
    purchase: Purchase | None = plain("The purchase.")
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type
class PurchaseMutations:
    create_purchase: CreatePurchasePayload | None = mutation(
        purchases.create_purchase, CreatePurchaseInput, SESSION, "Begin to buy credits: gives the page to pay on."
    )
