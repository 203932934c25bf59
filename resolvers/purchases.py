"""What is on sale, and the caller's purchases."""

from collections.abc import Sequence
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
    actor = context.require(ApiKeyScope.CREDITS_READ)
    row = await context.load.purchase.load(purchase_id) if purchase_id is not None else None
    return row if row is not None and actor.reaches(row.account_id) else None


async def purchases_page(
    info: Info, first: int | None = None, after: str | None = None, last: int | None = None, before: str | None = None
) -> pages.Page[models.Purchase]:
    """The caller's purchases."""
    actor, db = info.context.require(ApiKeyScope.CREDITS_READ), info.context.parts.db
    window = pages.window(first, after, last, before, pages.time_and_id)
    return await pages.by_time(db, queries.page, queries.count, actor.account_id, window=window)


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
