"""Receivers that are told about events."""

import datetime as dt

import strawberry

from db import models
from resolvers import pages as rows
from resolvers import webhooks
from schema import pages
from schema.field import edge, node, picture, plain, words
from schema.nodes import Node
from schema.scalars import URL

words(
    models.WebhookEvent,
    "Events a webhook can ask for.",
    {
        "TASK_COMPLETED": "A task reached COMPLETED.",
        "TASK_FAILED": "A task reached FAILED.",
        "TASK_CANCELED": "A task was cancelled.",
        "CREDITS_LOW": "Available credits fell below the warning level.",
    },
)


@node(models.WebhookDelivery, "One event for one receiver, and what came of it.")
class WebhookDelivery(Node):
    global_id: strawberry.ID = plain("Global id; also the Webhook-Id header, the same on every retry.", name="id")
    event: models.WebhookEvent = plain("The event.")
    response_status: int | None = plain("HTTP status of the last answer; null when there was none.")
    is_delivered: bool = plain("The receiver answered with 2xx.")
    attempts: int = plain("Tries so far, at most 8.")
    next_attempt_at: dt.datetime | None = plain("When the next try is due; null when there is none.")
    created_at: dt.datetime = plain("When the event happened.")


@picture(rows.Edge, "One item of a WebhookDeliveryConnection.")
class WebhookDeliveryEdge:
    cursor: str = plain(pages.CURSOR)
    node: WebhookDelivery = plain(pages.NODE)


@picture(rows.Page, "One page of deliveries.")
class WebhookDeliveryConnection:
    edges: list[WebhookDeliveryEdge] = plain(pages.EDGES)
    nodes: list[WebhookDelivery] = plain(pages.NODES)
    page_info: pages.PageInfo = plain(pages.PAGE_INFO)
    total_count: int = edge(rows.total_count, pages.TOTAL_COUNT)


@node(models.Webhook, "An address that is told about events with a signed POST.")
class Webhook(Node):
    global_id: strawberry.ID = plain("Global id.", name="id")
    url: URL = plain("Receiver.")
    events: list[models.WebhookEvent] = plain("Events sent.")
    is_enabled: bool = plain("False stops deliveries; set by itself after 5 days of failures.")
    deliveries: WebhookDeliveryConnection | None = edge(
        webhooks.deliveries, "Recent deliveries, newest first; kept for 30 days.", **pages.ARGUMENTS
    )
    created_at: dt.datetime = plain("When it was made.")


@picture(rows.Edge, "One item of a WebhookConnection.")
class WebhookEdge:
    cursor: str = plain(pages.CURSOR)
    node: Webhook = plain(pages.NODE)


@picture(rows.Page, "One page of webhooks.")
class WebhookConnection:
    edges: list[WebhookEdge] = plain(pages.EDGES)
    nodes: list[Webhook] = plain(pages.NODES)
    page_info: pages.PageInfo = plain(pages.PAGE_INFO)
    total_count: int = edge(rows.total_count, pages.TOTAL_COUNT)
