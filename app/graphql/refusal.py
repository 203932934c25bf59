"""What is refused before anything runs: a status, a code and a sentence, always as a GraphQL error in JSON."""

from collections.abc import Mapping

from starlette.responses import Response

from app.graphql import codec, negotiation

CODES: Mapping[int, str] = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    406: "NOT_ACCEPTABLE",
    408: "REQUEST_TIMEOUT",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "RATE_LIMITED",
    500: "INTERNAL_SERVER_ERROR",
    503: "SERVICE_UNAVAILABLE",
}


class Refused(Exception):
    """A request that is answered with an error status, without being executed. `code` is for programs."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code or CODES[status]
        self.headers = dict(headers or {})


def response(refused: Refused, *, accept: str | None, request_id: str) -> Response:
    """Write `refused` as an answer, in the JSON media type that the client prefers."""
    media_type = negotiation.preferred(accept, negotiation.ANSWERS_TO_UPLOADS) or negotiation.JSON
    return Response(
        codec.encode({"errors": [formatted(refused.message, refused.code, request_id)]}),
        refused.status,
        {"cache-control": "no-store", "vary": "Accept", **refused.headers},
        media_type=f"{media_type}; charset=utf-8",
    )


def formatted(message: str, code: str, request_id: str) -> dict[str, object]:
    """Give one error in the shape of the GraphQL specification (section 7.1.2)."""
    return {"message": message, "extensions": {"code": code, "requestId": request_id}}
