"""Products that connect to the service."""

from schema.field import picture, plain
from schema.scalars import URL
from services import integrations


@picture(integrations.Integration, "A product that connects to the service.")
class Integration:
    slug: str = plain('Stable name, e.g. "zapier"; the value for filters.')
    name: str = plain("Display name.")
    url: URL | None = plain("Home page.")
