"""Credentials for programs."""

import datetime as dt

import strawberry

from db import models
from resolvers import integrations
from resolvers import pages as rows
from schema import pages
from schema.field import edge, node, picture, plain, words
from schema.integrations import Integration
from schema.nodes import Node
from schema.scalars import JSONObject

words(
    models.ApiKeyScope,
    "What an API key may do. What no scope names, a key may not do.",
    {
        "PROFILE_READ": "Read the profile.",
        "PROFILE_WRITE": "Change the profile.",
        "USAGE_READ": "Read use and the overview.",
        "CREDITS_DEDUCT": "Deduct credits of the owner for another service.",
        "TASKS_READ": "Read tasks and results.",
        "TASKS_WRITE": "Make, change and cancel tasks.",
        "VERIFY": "Verify single addresses.",
        "CREDITS_READ": "Read the balance and the ledger.",
        "WEBHOOKS_WRITE": "Read and change webhooks.",
    },
)


@node(
    models.ApiKey,
    "A credential for programs. The service's own internal key is never listed and cannot be fetched, changed or "
    "revoked here.",
)
class ApiKey(Node):
    global_id: strawberry.ID = plain("Global id.", name="id")
    name: str = plain("Name given by the owner.")
    prefix: str = plain("First characters of the secret, to tell keys apart.")
    scopes: list[models.ApiKeyScope] = plain("What the key may do.")
    integration: Integration | None = edge(
        integrations.of, "The integration the key was made for; null for a general key."
    )
    notes: JSONObject | None = plain("Free-form notes of the integration.", name="metadata")
    created_at: dt.datetime = plain("When the key was made.")
    last_used_at: dt.datetime | None = plain("When the key was last used; up to a minute late.")
    expires_at: dt.datetime | None = plain("When the key stops working; null for never.")
    revoked_at: dt.datetime | None = plain("When the key was revoked; null while it works.")


@picture(rows.Edge, "One item of a ApiKeyConnection.")
class ApiKeyEdge:
    cursor: str = plain(pages.CURSOR)
    node: ApiKey = plain(pages.NODE)


@picture(rows.Page, "One page of API keys.")
class ApiKeyConnection:
    edges: list[ApiKeyEdge] = plain(pages.EDGES)
    nodes: list[ApiKey] = plain(pages.NODES)
    page_info: pages.PageInfo = plain(pages.PAGE_INFO)
    total_count: int = edge(rows.total_count, pages.TOTAL_COUNT)
