"""The schema: Query, Mutation, Subscription, and how operations run."""

import strawberry
from strawberry.schema.config import StrawberryConfig

from db.models import ApiKeyScope
from resolvers import (
    accounts,
    admin,
    credits,
    integrations,
    keys,
    nodes,
    overview,
    profiles,
    purchases,
    rates,
    series,
    tasks,
    usage,
    webhooks,
)
from schema import observe, pages
from schema.accounts import User
from schema.admin import Admin, AuditEvent
from schema.credits import Credits, CreditTransaction
from schema.execution.direct import DirectSchema
from schema.execution.executor import CompiledExecutor
from schema.field import PUBLIC, REQUIRED, SESSION, argument, root
from schema.integrations import Integration
from schema.keys import ApiKey, ApiKeyConnection
from schema.mutations.accounts import AccountMutations
from schema.mutations.admin import AdminMutations
from schema.mutations.credits import CreditMutations
from schema.mutations.keys import ApiKeyMutations
from schema.mutations.profiles import ProfileMutations
from schema.mutations.purchases import PurchaseMutations
from schema.mutations.retention import RetentionMutations
from schema.mutations.tasks import TaskMutations
from schema.mutations.webhooks import WebhookMutations
from schema.nodes import Node
from schema.overview import Overview
from schema.profiles import Profile
from schema.purchases import CreditPackage, Purchase, PurchaseConnection
from schema.ranges import OPTIONAL_RANGE, RANGE
from schema.rates import RateLimit
from schema.results import TaskResult
from schema.scalars import SCALARS
from schema.series import TaskSeries
from schema.sessions import Session
from schema.subscriptions import Subscription
from schema.tasks import Task, TaskConnection, TaskFilter, TaskOrder, TaskQuote
from schema.usage import UsageSeries
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
    overview: Overview | None = root(
        overview.own,
        ApiKeyScope.USAGE_READ,
        "The numbers of the front page. Without a span: the last 30 days.",
        range=OPTIONAL_RANGE,
    )
    task: Task | None = root(
        tasks.task,
        ApiKeyScope.TASKS_READ,
        "One task of yours; any task for an administrator.",
        id=argument(strawberry.ID, "Global id.", REQUIRED),
    )
    task_quote: TaskQuote | None = root(
        tasks.task_quote,
        ApiKeyScope.TASKS_READ,
        "What a list would cost, before a task is made of it. At most 10,000 addresses.",
        emails=argument(list[str], "The addresses.", REQUIRED),
    )
    tasks: TaskConnection | None = root(
        tasks.tasks_page,
        ApiKeyScope.TASKS_READ,
        "Your tasks.",
        **pages.ARGUMENTS,
        filter=argument(TaskFilter | None, "Only tasks that match."),
        order_by=argument(TaskOrder | None, "Sort order."),
    )
    profile: Profile | None = root(profiles.own, ApiKeyScope.PROFILE_READ, "Your profile.")
    task_series: TaskSeries | None = root(
        series.own,
        ApiKeyScope.TASKS_READ,
        "Your tasks over time.",
        range=RANGE,
        filter=argument(TaskFilter | None, "Only tasks that match."),
    )
    credits: Credits | None = root(credits.own, ApiKeyScope.CREDITS_READ, "Your balance and ledger.")
    usage_series: UsageSeries | None = root(
        usage.own,
        ApiKeyScope.USAGE_READ,
        "Your use over time.",
        range=RANGE,
        api_key_id=argument(strawberry.ID | None, "Only through this API key."),
    )
    api_keys: ApiKeyConnection | None = root(
        keys.keys_page,
        SESSION,
        "Your API keys, newest first. Revoked keys are kept for 90 days.",
        **pages.ARGUMENTS,
        integration=argument(str | None, "Only keys of this integration, by slug."),
        include_revoked=argument(bool, "Also keys that were revoked.", default=False),
    )
    credit_packages: list[CreditPackage] | None = root(purchases.on_sale, PUBLIC, "Credits on sale.")
    purchases: PurchaseConnection | None = root(
        purchases.purchases_page, ApiKeyScope.CREDITS_READ, "Your purchases, newest first.", **pages.ARGUMENTS
    )
    rate_limit: RateLimit | None = root(rates.left, PUBLIC, "What is left of the rate limit.")
    integrations: list[Integration] | None = root(integrations.every, PUBLIC, "Products that connect to the service.")
    admin: Admin | None = root(admin.admin, SESSION, "Views for administrators; null for everyone else.")
    webhooks: WebhookConnection | None = root(
        webhooks.webhooks_page, ApiKeyScope.WEBHOOKS_WRITE, "Your webhooks, newest first.", **pages.ARGUMENTS
    )


@strawberry.type(
    description="Everything that can be changed. One input, one payload each; problems the caller can mend are in "
    "`userErrors`."
)
class Mutation(
    AccountMutations,
    ApiKeyMutations,
    TaskMutations,
    ProfileMutations,
    CreditMutations,
    PurchaseMutations,
    AdminMutations,
    WebhookMutations,
    RetentionMutations,
):
    pass


schema = DirectSchema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[
        ApiKey,
        AuditEvent,
        CreditTransaction,
        Profile,
        Purchase,
        Session,
        TaskResult,
        User,
        Webhook,
        WebhookDelivery,
    ],
    extensions=observe.EXTENSIONS,
    execution_context_class=CompiledExecutor,
    config=StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=True),
)
