"""What every connection has: where a page sits, and the arguments that move it."""

from resolvers import pages
from schema.field import argument, picture, plain

ARGUMENTS = {
    "first": argument(int | None, "How many items from the start; at most 100. The default page is 20."),
    "after": argument(str | None, "Return the items after this cursor."),
    "last": argument(int | None, "How many items from the end; at most 100. Not together with `first`."),
    "before": argument(str | None, "Return the items before this cursor."),
}
"""The arguments of every connection."""

EDGES = "The items with their cursors."
NODES = "The items without their cursors: a shorthand for edges.node."
PAGE_INFO = "Where this page sits in the whole list."
TOTAL_COUNT = "How many items match in all. Counted only when selected."
CURSOR = "Opaque position of the item, for `after` and `before`."
NODE = "The item itself."


@picture(pages.PageInfo, "Where a page sits in its list.")
class PageInfo:
    has_next_page: bool = plain("More items follow this page.")
    has_previous_page: bool = plain("Items come before this page.")
    start_cursor: str | None = plain("Cursor of the first item; null on an empty page.")
    end_cursor: str | None = plain("Cursor of the last item; null on an empty page.")
