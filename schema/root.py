"""The schema: Query, Mutation, Subscription, and how operations run."""

from collections.abc import Iterator

import strawberry
from strawberry.extensions import SchemaExtension
from strawberry.schema.config import StrawberryConfig

from db.models import ApiKeyScope
from resolvers import accounts, credits, keys, nodes, tasks, webhooks
from resolvers.context import Context
from schema import observe, pages
from schema.accounts import User
from schema.credits import Credits, CreditTransaction
from schema.execution.executor import CompiledExecutor
from schema.field import PUBLIC, REQUIRED, SESSION, argument, root
from schema.keys import ApiKey, ApiKeyConnection
from schema.mutations.accounts import AccountMutations
from schema.mutations.credits import CreditMutations
from schema.mutations.keys import ApiKeyMutations
from schema.mutations.tasks import TaskMutations
from schema.mutations.webhooks import WebhookMutations
from schema.nodes import Node
from schema.results import TaskResult
from schema.scalars import SCALARS
from schema.sessions import Session
from schema.subscriptions import Subscription
from schema.tasks import Task, TaskConnection, TaskFilter, TaskOrder
from schema.webhooks import Webhook, WebhookConnection, WebhookDelivery


@strawberry.type(
    description="Everything that can be read. Root fields are nullable so that one failure leaves the others standing."
)
class Query:
    node: Node | None = root(
        nodes.node,
        PUBLIC,
        "Any object by its global id; null when it does not exist or is not yours (an administrator reaches all).",
        id=argument(strawberry.ID, "Global id.", REQUIRED),
    )
    nodes: list[Node | None] | None = root(
        nodes.nodes,
        PUBLIC,
        "Several objects by their global ids, in the order asked, with null for those not found. At most 100.",
        ids=argument(list[strawberry.ID], "Global ids.", REQUIRED),
    )
    viewer: User | None = root(accounts.viewer, PUBLIC, "The signed-in user; null when signed out.")
    task: Task | None = root(
        tasks.task,
        ApiKeyScope.TASKS_READ,
        "One task of yours; any task for an administrator.",
        id=argument(strawberry.ID, "Global id.", REQUIRED),
    )
    tasks: TaskConnection | None = root(
        tasks.tasks_page,
        ApiKeyScope.TASKS_READ,
        "Your tasks.",
        **pages.ARGUMENTS,
        filter=argument(TaskFilter | None, "Only tasks that match."),
        order_by=argument(TaskOrder | None, "Sort order."),
    )
    credits: Credits | None = root(credits.own, ApiKeyScope.CREDITS_READ, "Your balance and ledger.")
    api_keys: ApiKeyConnection | None = root(
        keys.keys_page,
        SESSION,
        "Your API keys, newest first. Revoked keys are kept for 90 days.",
        **pages.ARGUMENTS,
        include_revoked=argument(bool, "Also keys that were revoked.", default=False),
    )
    webhooks: WebhookConnection | None = root(
        webhooks.webhooks_page, ApiKeyScope.WEBHOOKS_WRITE, "Your webhooks, newest first.", **pages.ARGUMENTS
    )


@strawberry.type(
    description="Everything that can be changed. One input, one payload each; problems the caller can mend are in "
    "`userErrors`."
)
class Mutation(AccountMutations, ApiKeyMutations, TaskMutations, CreditMutations, WebhookMutations):
    pass


class OwnLoaders(SchemaExtension):
    """Gives every operation loaders of its own: a WebSocket's context is shared by all that run on it."""

    def on_operation(self) -> Iterator[None]:
        """Before anything of the operation runs."""
        context = self.execution_context.context
        if isinstance(context, Context):
            self.execution_context.context = context.for_operation()
        yield


schema = observe.ObservedSchema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[ApiKey, CreditTransaction, Session, TaskResult, User, Webhook, WebhookDelivery],
    extensions=[OwnLoaders, *observe.EXTENSIONS],
    execution_context_class=CompiledExecutor,
    config=StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=True),
)
