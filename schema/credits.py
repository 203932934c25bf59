"""Credits: the balance, and the ledger as a connection."""

import datetime as dt

import strawberry

from db import models
from resolvers import credits
from resolvers import pages as rows
from schema import pages
from schema.accounts import User
from schema.field import argument, complete, edge, node, optional, picture, plain, words
from schema.nodes import Node
from schema.purchases import Purchase
from schema.tasks import Task

words(
    models.CreditTransactionKind,
    "Kind of a ledger entry.",
    {
        "PURCHASED": "Bought.",
        "GRANTED": "Given: at sign-up, or by an administrator.",
        "RESERVED": "Set aside for a task.",
        "SPENT": "Paid for verdicts.",
        "RELEASED": "Set aside and not needed: unknown, malformed, stopped.",
        "DEDUCTED": "Taken for another service, or by an administrator.",
        "REFUNDED": "Given back by the service.",
        "CHARGED_BACK": "Taken back with the payment.",
        "EXPIRED": "Past the date up to which it was good.",
    },
)


@node(models.CreditTransaction, "One entry of the ledger.")
class CreditTransaction(Node):
    global_id: strawberry.ID = plain("Global id.", name="id")
    kind: models.CreditTransactionKind = plain("What happened.")
    amount: int = plain("Signed change of the balance.")
    reserved_amount: int = plain("Signed change of what is reserved.")
    balance_after: int = plain("The balance after this entry.")
    note: str | None = plain("Note given with the change.")
    actor: User | None = edge(
        credits.actor, "Who did it; null for the service itself, and for an administrator where a member asks."
    )
    purchase: Purchase | None = edge(credits.purchase, "The purchase behind it.")
    task: Task | None = edge(credits.task, "The task that was paid for.")
    created_at: dt.datetime = plain("When it happened.")


@picture(rows.Edge, "One item of a CreditTransactionConnection.")
class CreditTransactionEdge:
    cursor: str = plain(pages.CURSOR)
    node: CreditTransaction = plain(pages.NODE)


@picture(rows.Page, "One page of ledger entries.")
class CreditTransactionConnection:
    edges: list[CreditTransactionEdge] = plain(pages.EDGES)
    nodes: list[CreditTransaction] = plain(pages.NODES)
    page_info: pages.PageInfo = plain(pages.PAGE_INFO)
    total_count: int = edge(rows.total_count, pages.TOTAL_COUNT)


@strawberry.input(description="Which ledger entries to list. All given conditions must hold.")
class CreditTransactionFilter:
    kind: list[models.CreditTransactionKind] | None = optional("Of one of these kinds.")
    created_after: dt.datetime | None = optional("Made at or after this moment.")
    created_before: dt.datetime | None = optional("Made before this moment.")


@picture(
    models.CreditAccount,
    "Balance and ledger of an account. One credit pays for one address; UNKNOWN verdicts are free.",
)
class Credits:
    balance: int = plain("Credits owned, reserved ones included.")
    reserved: int = plain("Credits held by running tasks.")
    available: int = plain("Credits free to use: balance less reserved.")
    updated_at: dt.datetime = plain("When the balance or a hold last changed.")
    transactions: CreditTransactionConnection | None = edge(
        credits.transactions,
        "Every change of the balance or of what is reserved, newest first. Entries never change.",
        **pages.ARGUMENTS,
        filter=argument(CreditTransactionFilter | None, "Only entries that match."),
    )


complete(
    User,
    "credits",
    Credits | None,
    edge(credits.of_account, "Balance and ledger. Visible to the owner and to administrators."),
)
