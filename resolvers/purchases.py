"""What is on sale, and the caller's purchases."""

from collections.abc import Sequence
from typing import Unpack
from uuid import UUID

from db import models
from db.models import ApiKeyScope
from db.queries import payments as queries
from resolvers import outcomes, pages
from resolvers.context import Context, Info
from services import purchases
from services.payments.packages import Package


async def on_sale(info: Info) -> Sequence[Package]:
    """The packages."""
    return list(info.context.parts.on_sale)


async def by_uuid(context: Context, purchase_id: UUID | None) -> models.Purchase | None:
    """One purchase that the caller may see."""
    return await context.reached(context.load.purchase, purchase_id, ApiKeyScope.CREDITS_READ)


async def purchases_page(info: Info, **at: Unpack[pages.Place]) -> pages.Page[models.Purchase]:
    """The caller's purchases."""
    actor, db = info.context.require(ApiKeyScope.CREDITS_READ), info.context.parts.db
    return await pages.by_time(db, queries.page, queries.count, actor.account_id, **at)


@outcomes.gives("purchase")
async def create_purchase(info: Info, *, package: str, idempotency_key: str) -> models.Purchase:
    """Begin to buy credits."""
    parts = info.context.parts
    return await purchases.create(
        parts.db,
        parts.payments,
        parts.on_sale,
        info.context.require(None),
        package=package,
        idempotency_key=idempotency_key,
        now=parts.now(),
    )
