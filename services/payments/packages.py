"""What is on sale: credits in packages, each with its price."""

import re
from dataclasses import dataclass

CREDITS_MAX = 10_000_000
PRICE_MINOR_MAX = 99_999_999
"""Stripe takes eight digits of the smallest unit."""
_PACKAGE = re.compile(r"([a-z0-9][a-z0-9-]{0,39})=(\d{1,8}):(\d{1,8}):([A-Z]{3})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Package:
    """Credits on sale. `price_minor` is in the smallest unit of the currency, e.g. cents; `currency` is ISO 4217."""

    slug: str
    credits: int
    price_minor: int
    currency: str


IN_DEVELOPMENT = (
    Package("starter", 1_000, 900, "USD"),
    Package("team", 10_000, 4_900, "USD"),
    Package("scale", 100_000, 24_900, "USD"),
)
"""On sale where nothing else is said."""


def parse(text: str) -> tuple[Package, ...]:
    """Packages written as `slug=credits:price:currency`, separated by commas.

    Raises:
        ValueError: not of this form, out of range, or one slug twice.

    """
    packages = tuple(_package(part.strip()) for part in text.split(",") if part.strip())
    if len({package.slug for package in packages}) < len(packages):
        raise ValueError("one slug twice")
    return packages


def _package(text: str) -> Package:
    match = _PACKAGE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    slug, count, price, currency = match.groups()
    package = Package(slug, int(count), int(price), currency)
    if not (1 <= package.credits <= CREDITS_MAX and 1 <= package.price_minor <= PRICE_MINOR_MAX):
        raise ValueError(text)
    return package
