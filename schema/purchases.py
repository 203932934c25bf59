"""Credits on sale, and purchases of them."""

import datetime as dt

import strawberry

from db import models
from resolvers import pages as rows
from schema import pages
from schema.field import edge, node, picture, plain, words
from schema.nodes import Node
from schema.scalars import URL
from services.payments import packages

words(
    models.PurchaseStatus,
    "Where a purchase stands.",
    {
        "OPEN": "Waits for the payment.",
        "PAID": "Paid; the credits are there.",
        "CANCELED": "Given up or run out.",
        "REFUNDED": "Paid back.",
        "CHARGED_BACK": "Taken back by the payer's bank.",
    },
)


@picture(packages.Package, "Credits on sale.")
class CreditPackage:
    slug: str = plain("Slug.")
    credits: int = plain("How many credits.")
    price_minor: int = plain("Price in the smallest unit of the currency.")
    currency: str = plain("ISO 4217 code.")


@node(models.Purchase, "A purchase of credits.")
class Purchase(Node):
    global_id: strawberry.ID = plain("Global id.", name="id")
    credits: int = plain("What was bought.")
    price_minor: int = plain("Price in the smallest unit of the currency.")
    currency: str = plain("ISO 4217 code.")
    status: models.PurchaseStatus = plain("Where it stands.")
    checkout_url: URL | None = plain("Where the buyer pays; null once paid.")
    created_at: dt.datetime = plain("When it was begun.")
    paid_at: dt.datetime | None = plain("When the credits arrived.")


@picture(rows.Edge, "One item of a PurchaseConnection.")
class PurchaseEdge:
    cursor: str = plain(pages.CURSOR)
    node: Purchase = plain(pages.NODE)


@picture(rows.Page, "One page of purchases.")
class PurchaseConnection:
    edges: list[PurchaseEdge] = plain(pages.EDGES)
    nodes: list[Purchase] = plain(pages.NODES)
    page_info: pages.PageInfo = plain(pages.PAGE_INFO)
    total_count: int = edge(rows.total_count, pages.TOTAL_COUNT)
