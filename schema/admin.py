"""Views over every account, and the audit log."""

import datetime as dt

import strawberry

from db import models
from resolvers import admin, series
from resolvers import pages as rows
from schema import pages
from schema.accounts import User
from schema.field import argument, edge, node, picture, plain
from schema.nodes import Node
from schema.ranges import RANGE
from schema.series import TaskSeries
from schema.tasks import TaskConnection, TaskFilter


@picture(rows.Edge, "One item of a UserConnection.")
class UserEdge:
    cursor: str = plain(pages.CURSOR)
    node: User = plain(pages.NODE)


@picture(rows.Page, "One page of users.")
class UserConnection:
    edges: list[UserEdge] = plain(pages.EDGES)
    nodes: list[User] = plain(pages.NODES)
    page_info: pages.PageInfo = plain(pages.PAGE_INFO)
    total_count: int = edge(rows.total_count, pages.TOTAL_COUNT)


@node(models.AuditEvent, "One recorded action.")
class AuditEvent(Node):
    global_id: strawberry.ID = plain("Global id.", name="id")
    action: str = plain('Name of the action, e.g. "credits.add".')
    actor: User | None = edge(admin.actor, "Who did it; null for the service itself.")
    subject_id: strawberry.ID | None = plain("Global id of the thing acted on.")
    request_id: strawberry.ID | None = plain("Request id, to find the logs.")
    created_at: dt.datetime = plain("When it happened.")


@picture(rows.Edge, "One item of a AuditEventConnection.")
class AuditEventEdge:
    cursor: str = plain(pages.CURSOR)
    node: AuditEvent = plain(pages.NODE)


@picture(rows.Page, "One page of audit events.")
class AuditEventConnection:
    edges: list[AuditEventEdge] = plain(pages.EDGES)
    nodes: list[AuditEvent] = plain(pages.NODES)
    page_info: pages.PageInfo = plain(pages.PAGE_INFO)
    total_count: int = edge(rows.total_count, pages.TOTAL_COUNT)


@picture(admin.Views, "Views over every account. Reachable only by administrators.")
class Admin:
    users: UserConnection | None = edge(
        admin.users,
        "All users, newest first.",
        **pages.ARGUMENTS,
        search=argument(str | None, "Address or name contains this text."),
    )
    tasks: TaskConnection | None = edge(
        admin.tasks_page,
        "All tasks, newest first.",
        **pages.ARGUMENTS,
        filter=argument(TaskFilter | None, "Only tasks that match."),
        owner_id=argument(strawberry.ID | None, "Only tasks of this user."),
    )
    task_series: TaskSeries | None = edge(series.everybody, "Service-wide task numbers.", range=RANGE)
    audit_events: AuditEventConnection | None = edge(
        admin.audit_events,
        "Who did what, newest first.",
        **pages.ARGUMENTS,
        actor_id=argument(strawberry.ID | None, "Only events of this actor."),
    )
