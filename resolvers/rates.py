"""What the caller has left to spend."""

from resolvers.context import Info
from services import rates


async def left(info: Info) -> rates.Allowance | None:
    """What was left when this operation had been paid for."""
    return rates.SPENT.get()
