"""Profiles: name, address and a document of the owner's own."""

import datetime as dt

import strawberry

from db import models
from resolvers import profiles
from schema.accounts import User
from schema.field import complete, edge, node, plain
from schema.nodes import Node
from schema.scalars import EmailAddress, JSONObject


@node(models.Profile, "Who an account is: its name, address and a JSON document of the owner's own (a CV, say).")
class Profile(Node):
    global_id: strawberry.ID = plain("Global id.", name="id")
    email: EmailAddress = edge(profiles.email, "Sign-in address.")
    display_name: str | None = plain("Display name.")
    document: JSONObject = plain("The owner's document, empty at first; at most 256 KiB and 32 levels.")
    version: int = plain("Counts up with every change; send it back as `expectedVersion`.")
    created_at: dt.datetime = plain("When it was first written.")
    updated_at: dt.datetime = plain("When it was last written.")


complete(
    User,
    "profile",
    Profile | None,
    edge(profiles.of_account, "Name, address and document. Visible to the owner and to administrators."),
)
