"""Chooses media types: what the client prefers to get and what it has sent (RFC 9110 sections 8.3 and 12.5.1)."""

import dataclasses
import functools
from collections.abc import Iterator

JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"
EVENT_STREAM = "text/event-stream"
MULTIPART = "multipart/form-data"
HTML = "text/html"

# In the server's own order, which decides where the client leaves it open: `*/*` and no Accept at all mean JSON.
ANSWERS = (JSON, GRAPHQL_RESPONSE, EVENT_STREAM)
ANSWERS_TO_UPLOADS = (JSON, GRAPHQL_RESPONSE)  # a stream would outlive the files of the form

HEADERS_KEPT = 500
"""Of each kind: clients send the same few again and again, and none is longer than the server's limit of a head."""

_UTF8 = ("utf-8", "utf8")


@dataclasses.dataclass(frozen=True, slots=True)
class _Range:
    """One element of an Accept header."""

    name: str
    quality: float
    place: int

    def specificity(self, offer: str) -> int:
        """How closely this range names `offer`: 3 exactly, 2 by its type, 1 as `*/*`, 0 not at all."""
        if self.name == offer:
            return 3
        if self.name == offer.partition("/")[0] + "/*":
            return 2
        return 1 if self.name == "*/*" else 0


@functools.lru_cache(maxsize=HEADERS_KEPT)
def preferred(accept: str | None, offers: tuple[str, ...] = ANSWERS) -> str | None:
    """Give the offer that the client likes best; None when it accepts none of them.

    The highest quality wins, then what is named more closely, then what the client names first: urql lists an event
    stream last on every request and means JSON, graphql-sse lists it alone and means it.
    """
    if accept is None or not accept.strip():
        return offers[0]
    ranges = list(_ranges(accept))
    best: tuple[float, int, int] | None = None
    chosen = None
    for offer in offers:
        closest = max(ranges, key=lambda item: (item.specificity(offer), -item.place), default=None)
        if closest is None or not closest.specificity(offer) or closest.quality <= 0:
            continue
        rank = (closest.quality, closest.specificity(offer), -closest.place)
        if best is None or rank > best:
            best, chosen = rank, offer
    return chosen


@functools.lru_cache(maxsize=HEADERS_KEPT)
def content_type(header: str | None) -> tuple[str, bool]:
    """Split a Content-Type into its media type in lower case and whether its charset, if any, is UTF-8."""
    name, parameters = _parsed(header or "")
    return name, parameters.get("charset", "utf-8") in _UTF8


def _ranges(accept: str) -> Iterator[_Range]:
    for place, element in enumerate(accept.split(",")):
        name, parameters = _parsed(element)
        try:
            quality = float(parameters.get("q", "1"))
        except ValueError:
            quality = 0.0
        if name and parameters.get("charset", "utf-8") in _UTF8:
            yield _Range(name, quality, place)


def _parsed(text: str) -> tuple[str, dict[str, str]]:
    name, *rest = text.split(";")
    pairs = (item.partition("=") for item in rest)
    return name.strip().lower(), {key.strip().lower(): value.strip().strip('"').lower() for key, _, value in pairs}
