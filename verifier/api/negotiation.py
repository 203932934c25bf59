"""Which media type a caller takes (RFC 9110 section 12.5.1) and which one a body has."""

from starlette.requests import Request

from verifier.api import errors

JSON = "application/json"


def require_accepted(request: Request, media_type: str) -> None:
    """Raise NotAcceptable where the Accept header leaves no room for the media type of the answer."""
    accept = ",".join(request.headers.getlist("accept"))
    if accept and not _accepts(accept, media_type):
        raise errors.NotAcceptable(f"the answer is {media_type}, which the Accept header does not take")


def _accepts(accept: str, media_type: str) -> bool:
    """Tell whether the most specific range that covers a media type has a weight over 0."""
    weights: dict[int, float] = {}
    for place in accept.lower().split(","):
        range_, *parameters = (part.strip() for part in place.split(";"))
        covering = (media_type, media_type.partition("/")[0] + "/*", "*/*")
        if range_ in covering:
            weights[covering.index(range_)] = _weight(parameters)
    return bool(weights) and weights[min(weights)] > 0


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 1.0
    return 1.0


def require_content_type(request: Request, media_type: str, *, is_required: bool = False) -> None:
    """Raise UnsupportedMedia where the body says that it is something else; one that says nothing may pass."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != media_type and (content_type or is_required):
        raise errors.UnsupportedMedia(f"the body must be {media_type}", field="Content-Type")
