"""People with accounts."""

import datetime as dt

import strawberry

from db import models
from resolvers import accounts
from schema import pages
from schema.field import edge, node, plain, words
from schema.nodes import Node
from schema.scalars import EmailAddress
from schema.sessions import SessionConnection

words(
    models.UserRole,
    "What an account may do.",
    {"MEMBER": "Works with its own things.", "ADMIN": "Also reads and manages every account."},
)


@node(models.Account, "A person with an account.")
class User(Node):
    global_id: strawberry.ID = plain("Global id.", name="id")
    email: EmailAddress = plain("Sign-in address.")
    role: models.UserRole = plain("What the account may do.")
    is_email_confirmed: bool = plain("The address has been confirmed.")
    suspended_at: dt.datetime | None = plain("When an administrator suspended the account; null when active.")
    created_at: dt.datetime = plain("When the account was made.")
    sessions: SessionConnection | None = edge(
        accounts.sessions_page,
        "Signed-in devices, newest first. Visible to the owner and to administrators.",
        **pages.ARGUMENTS,
    )
