"""Products that connect to the service."""

from collections.abc import Sequence

from db import models
from resolvers.context import Info
from services import integrations
from services.integrations import Integration


async def every(info: Info) -> Sequence[Integration]:
    """All of them."""
    return integrations.CATALOGUE


async def of(info: Info, root: models.ApiKey | models.Task) -> Integration | None:
    """The one that a key or a task was made for."""
    return integrations.of(root.integration)
