"""Anything with a global id."""

import strawberry

from schema.field import plain


@strawberry.interface(description="Anything with a global id that `node` can fetch again.")
class Node:
    global_id: strawberry.ID = plain("Globally unique, opaque id. Do not parse it.", name="id")
