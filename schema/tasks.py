"""Tasks: what they are, how far they have come, and how they are listed."""

import datetime as dt

import strawberry

from db import models
from resolvers import accounts, integrations
from resolvers import pages as rows
from resolvers import results as result_rows
from resolvers import tasks as task_rows
from schema import pages
from schema.accounts import User
from schema.field import argument, edge, node, optional, picture, plain, words
from schema.integrations import Integration
from schema.metrics import TaskMetrics
from schema.nodes import Node
from schema.results import DownloadLink, TaskResultConnection, TaskResultFilter
from schema.scalars import URL
from services import exports

words(
    models.TaskStatus,
    "Where a task stands. It moves down this list; FAILED and CANCELED are ends.",
    {
        "DRAFT": "Uploaded and quoted; waits for startTask.",
        "QUEUED": "Waits for a worker.",
        "RUNNING": "Addresses are being checked.",
        "COMPLETED": "Every address has a verdict.",
        "FAILED": "Stopped by a fault; unspent credits are released.",
        "CANCELED": "Stopped by the owner; unspent credits are released.",
    },
)

words(
    models.TaskSource,
    "How the addresses of a task came in.",
    {
        "INLINE": "Sent inline with createTask.",
        "FILE": "Sent as a file.",
        "INTEGRATION": "Sent by an integration through an API key.",
        "UPSTREAM": "Made elsewhere with the upstream key, and found there; not charged.",
    },
)

words(
    models.ColumnRole,
    "What a column is used for.",
    {
        "EMAIL": "The address to verify.",
        "FIRST_NAME": "Given name.",
        "LAST_NAME": "Family name.",
        "REFERENCE": "The caller's own row id; comes back in the results.",
    },
)


@picture(models.TaskFileColumn, "One column of an uploaded list.")
class TaskFileColumn:
    index: int = plain("Position from 0.")
    name: str | None = plain("Header text; null when the file has no header.")
    role: models.ColumnRole | None = plain("What the column is used for; null when it is carried through unread.")


@picture(models.TaskFile, "An uploaded list.")
class TaskFile:
    name: str = plain("Name as uploaded, without any path.")
    size_bytes: int = plain("Bytes received.")
    row_count: int = plain("Data rows, without the header.")
    columns: list[TaskFileColumn] = plain("The columns found, in order.")
    sha256: str = plain("SHA-256 of the bytes, in hexadecimal.")


@picture(models.TaskQuote, "What a list holds and what checking it costs.")
class TaskQuote:
    row_count: int = plain("Rows read.")
    unique_count: int = plain("Distinct addresses: the cost in credits, unknown ones given back.")
    duplicate_count: int = plain("Rows that repeat an address.")
    invalid_count: int = plain("Rows that hold no address.")
    cost: int = plain("Credits that starting holds.")
    sample: list[list[str]] = plain("The first rows as read.")


@node(models.Task, "One verification job over a list of addresses.")
class Task(Node):
    global_id: strawberry.ID = plain("Global id.", name="id")
    name: str = plain("Name given by the owner.")
    status: models.TaskStatus = plain("Where the task stands.")
    source: models.TaskSource = plain("How the addresses came in.")
    integration: Integration | None = edge(
        integrations.of, "The integration that made the task; null when made in the app."
    )
    file: TaskFile | None = plain("The uploaded file; null when addresses were sent inline.")
    email_count: int = plain("Rows that were sent in, duplicates included.")
    domain_count: int = plain("Different domains among the well-formed addresses.")
    is_awaiting_upstream: bool = plain("Sent upstream, and not yet found there.")
    quote: TaskQuote | None = edge(
        task_rows.quote,
        "What was found in an uploaded list and what it costs; null for a list sent inline.",
    )
    metrics: TaskMetrics = plain("Counts so far; final once the task is COMPLETED.")
    webhook_url: URL | None = plain("Told by a signed POST when the task ends.")
    failure_reason: str | None = plain("Why the task failed; null unless FAILED.")
    credits_reserved: int = plain("Credits held for addresses not yet checked.")
    credits_spent: int = plain("Credits spent on addresses already checked.")
    results: TaskResultConnection | None = edge(
        result_rows.results,
        "Verdicts per address, in the order of the input.",
        **pages.ARGUMENTS,
        filter=argument(TaskResultFilter | None, "Only results that match."),
    )
    download: DownloadLink | None = edge(
        result_rows.download,
        "A signed link to the results so far; null before the first.",
        format=argument(exports.DownloadFormat, "File format.", exports.DownloadFormat.CSV),
        filter=argument(TaskResultFilter | None, "Only results that match."),
    )
    owner: User | None = edge(accounts.owner, "The account that owns the task.")
    created_at: dt.datetime = plain("When the task was made.")
    started_at: dt.datetime | None = plain("When the first address was checked.")
    updated_at: dt.datetime = plain("When it last changed.")
    finished_at: dt.datetime | None = plain("When it reached COMPLETED, FAILED or CANCELED.")


@picture(rows.Edge, "One item of a TaskConnection.")
class TaskEdge:
    cursor: str = plain(pages.CURSOR)
    node: Task = plain(pages.NODE)


@picture(rows.Page, "One page of tasks.")
class TaskConnection:
    edges: list[TaskEdge] = plain(pages.EDGES)
    nodes: list[Task] = plain(pages.NODES)
    page_info: pages.PageInfo = plain(pages.PAGE_INFO)
    total_count: int = edge(rows.total_count, pages.TOTAL_COUNT)


@strawberry.input(description="Which tasks to list. All given conditions must hold.")
class TaskFilter:
    created_after: dt.datetime | None = optional("Made at or after this moment.")
    created_before: dt.datetime | None = optional("Made before this moment.")
    status: list[models.TaskStatus] | None = optional("In one of these states; 1 to 6 values.")
    integration: list[str] | None = optional("Made by one of these integrations, by slug; 1 to 20 values.")
    name_contains: str | None = optional("Name contains this text, in any case; 1 to 100 characters.")


words(
    models.OrderDirection,
    "Sort direction.",
    {"ASC": "Smallest, oldest or A first.", "DESC": "Largest, newest or Z first."},
)

words(
    models.TaskOrderField,
    "What tasks can be sorted by.",
    {"CREATED_AT": "Time of creation.", "NAME": "Name, in any case.", "TOTAL": "Number of addresses."},
)


@strawberry.input(description="Order of tasks. Ties are broken by id.")
class TaskOrder:
    field: models.TaskOrderField = strawberry.field(description="Sort key.", default=models.TaskOrderField.CREATED_AT)
    direction: models.OrderDirection = strawberry.field(description="Direction.", default=models.OrderDirection.DESC)
