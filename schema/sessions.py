"""Signed-in devices, and the tokens of a session."""

import datetime as dt

import strawberry

from db import models
from resolvers import accounts
from resolvers import pages as rows
from schema import pages
from schema.field import edge, node, picture, plain
from schema.nodes import Node
from services.identity import port


@node(models.AuthSession, "One signed-in device.")
class Session(Node):
    global_id: strawberry.ID = plain("Global id.", name="id")
    device: str | None = plain("Client name taken from the user agent.")
    ip_address: str | None = plain("Network address at the last refresh.")
    is_current: bool = edge(accounts.is_current, "This is the session that asks.")
    created_at: dt.datetime = plain("When it was signed in.")
    last_used_at: dt.datetime = plain("When it was last used.")
    expires_at: dt.datetime = plain("When the refresh token runs out.")


@picture(rows.Edge, "One item of a SessionConnection.")
class SessionEdge:
    cursor: str = plain(pages.CURSOR)
    node: Session = plain(pages.NODE)


@picture(rows.Page, "One page of sessions.")
class SessionConnection:
    edges: list[SessionEdge] = plain(pages.EDGES)
    nodes: list[Session] = plain(pages.NODES)
    page_info: pages.PageInfo = plain(pages.PAGE_INFO)
    total_count: int = edge(rows.total_count, pages.TOTAL_COUNT)


@picture(port.AuthTokens, "Tokens of a session.")
class AuthTokens:
    access_token: str = plain("Short-lived bearer token for the Authorization header.")
    access_token_expires_at: dt.datetime = plain("When the access token runs out.")
    refresh_token: str = plain("For refreshSession; a new one comes with every use.")
