"""Products that connect to the service: a key or a task may say which one it is for."""

from collections.abc import Iterable
from dataclasses import dataclass

from services.errors import BadRequest, Invalid


@dataclass(frozen=True, slots=True)
class Integration:
    """A product that connects to the service."""

    slug: str
    name: str
    url: str | None


CATALOGUE = (
    Integration("google-sheets", "Google Sheets", "https://workspace.google.com/products/sheets/"),
    Integration("make", "Make", "https://www.make.com"),
    Integration("n8n", "n8n", "https://n8n.io"),
    Integration("zapier", "Zapier", "https://zapier.com"),
)
"""Those that call an HTTP API with a key. A slug is never taken for another product: rows keep it."""
_BY_SLUG = {integration.slug: integration for integration in CATALOGUE}


def checked(slug: str | None) -> str | None:
    """The slug, when it is one of the catalogue's.

    Raises:
        Invalid: it is not.

    """
    if slug is not None and slug not in _BY_SLUG:
        raise Invalid(f"There is no such integration; there are {', '.join(_BY_SLUG)}.", field=("input", "integration"))
    return slug


def require_slugs(texts: Iterable[str]) -> None:
    """Refuse what no row can name. A slug that is not in the catalogue may stand in an old row.

    Raises:
        BadRequest: a text that is no slug.

    """
    if any("\0" in text for text in texts):
        raise BadRequest("The slug of an integration holds no NUL character.")


def of(slug: str | None) -> Integration | None:
    """The integration of a row. One that has left the catalogue is known by its slug alone."""
    return None if slug is None else _BY_SLUG.get(slug) or Integration(slug, slug, None)
