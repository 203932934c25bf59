"""Results of a task: a row with its verdict, as a connection, and as a file."""

import datetime as dt

import strawberry

from db import models
from resolvers import pages as rows
from schema import pages
from schema.field import edge, node, optional, picture, plain, words
from schema.nodes import Node
from schema.scalars import URL
from schema.verdicts import EmailVerification
from services import exports, links


@node(models.TaskResult, "The outcome for one input row.")
class TaskResult(Node):
    global_id: strawberry.ID = plain("Global id.", name="id")
    row_number: int = plain("Row in the input, from 1.")
    reference: str | None = plain("The caller's own row id.")
    input: str = plain("The address as sent; it may be malformed.")
    verification: EmailVerification | None = plain("The verdict; null until the address is processed.")


@picture(rows.Edge, "One item of a TaskResultConnection.")
class TaskResultEdge:
    cursor: str = plain(pages.CURSOR)
    node: TaskResult = plain(pages.NODE)


@picture(rows.Page, "One page of results.")
class TaskResultConnection:
    edges: list[TaskResultEdge] = plain(pages.EDGES)
    nodes: list[TaskResult] = plain(pages.NODES)
    page_info: pages.PageInfo = plain(pages.PAGE_INFO)
    total_count: int = edge(rows.total_count, pages.TOTAL_COUNT)


@strawberry.input(description="Which results to list. All given conditions must hold.")
class TaskResultFilter:
    verdict: list[models.Verdict] | None = optional("With one of these verdicts; 1 to 5 values.")
    reason: list[models.VerdictReason] | None = optional("With one of these reasons.")
    domain: str | None = optional("At this domain, exactly.")
    email_contains: str | None = optional("Address contains this text; 1 to 100 characters.")


words(
    exports.DownloadFormat,
    "Format of a results file.",
    {
        "CSV": "Comma-separated values, UTF-8 with a header.",
        "TXT": "One address a line, plain text.",
        "XLSX": "Office Open XML workbook.",
        "NDJSON": "One JSON object per line.",
    },
)


@picture(links.DownloadLink, "A time-limited link.")
class DownloadLink:
    url: URL = plain("Signed address; anyone who has it can read the file.")
    expires_at: dt.datetime = plain("When the link stops working; 15 minutes after it was made.")
    format: exports.DownloadFormat = plain("File format behind the link.")
