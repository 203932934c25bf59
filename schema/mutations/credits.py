"""Mutations that move credits by hand."""

import strawberry

from db.models import ApiKeyScope
from resolvers import credits
from schema.credits import Credits, CreditTransaction
from schema.errors import USER_ERRORS, UserError
from schema.field import SESSION, edge, mutation, optional, payload, plain
from schema.mutations.tasks import IDEMPOTENCY_KEY

_USER_ID = "Global id of the account; one's own when left out."
_AMOUNT = "How many, 1 to 10,000,000."
_NOTE = "Reason for the ledger, 1 to 500 characters."
_CREDITS = "Balance after the change."
_TRANSACTION = "The new ledger entry."


@strawberry.input(description="Input of addTokens.")
class AddTokensInput:
    user_id: strawberry.ID | None = optional(_USER_ID)
    amount: int = strawberry.field(description=_AMOUNT)
    note: str = strawberry.field(description=_NOTE)
    idempotency_key: str = strawberry.field(description=IDEMPOTENCY_KEY)


@payload
class AddTokensPayload:
    credits: Credits | None = edge(credits.left, _CREDITS)
    transaction: CreditTransaction | None = plain(_TRANSACTION)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of deductTokens.")
class DeductTokensInput:
    user_id: strawberry.ID | None = optional(_USER_ID)
    amount: int = strawberry.field(description=_AMOUNT)
    note: str = strawberry.field(description=_NOTE)
    idempotency_key: str = strawberry.field(description=IDEMPOTENCY_KEY)


@payload
class DeductTokensPayload:
    credits: Credits | None = edge(credits.left, _CREDITS)
    transaction: CreditTransaction | None = plain(_TRANSACTION)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type
class CreditMutations:
    add_tokens: AddTokensPayload | None = mutation(
        credits.add_tokens,
        AddTokensInput,
        SESSION,
        "Add credits to an account: by an administrator, or by the owner in the mock billing of development.",
    )
    deduct_tokens: DeductTokensPayload | None = mutation(
        credits.deduct_tokens,
        DeductTokensInput,
        ApiKeyScope.CREDITS_DEDUCT,
        "Take credits from an account, never below zero: from one's own for a service used, from any by an "
        "administrator.",
    )
