"""One URL for GraphQL: what comes by HTTP is negotiated, authenticated, executed and answered, step by step."""

import datetime as dt
import math
import typing
import uuid

import strawberry
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.http import GraphQLHTTPResponse, process_result
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from app.graphql import body, codec, ide, negotiation, refusal, stream
from app.graphql.door import Caller, Credentials, Door, Unavailable
from app.graphql.refusal import Refused
from app.graphql.websocket import StrictTransportWS, TextAdapter
from schema import limits, observe
from services import errors

log = structlog.get_logger(__name__)

INIT_SECONDS_MAX = 3
OPERATIONS_ON_A_SOCKET_MAX = 50
RETRY_AFTER_SECONDS = 2
FILE_POINTS = 100
"""What a request with files pays for being read, before what its operation costs."""

ALLOWED = {"GET": (OperationType.QUERY,), "POST": (OperationType.QUERY, OperationType.MUTATION)}

# Headers that a browser sends to another site only after asking it (a CORS preflight, granted to CORS_ORIGINS alone): a
# form that another site submits cannot have them.
PREFLIGHT_HEADERS = (
    "x-csrf-guard",
    "apollo-require-preflight",
    "graphql-require-preflight",
    "authorization",
    "x-api-key",
)


class GraphQLView(GraphQL[object, None]):
    """The ASGI application at /graphql, for HTTP and for WebSockets."""

    websocket_adapter_class = TextAdapter
    graphql_transport_ws_handler_class = StrictTransportWS

    def __init__(
        self, schema: strawberry.Schema, door: Door, *, has_ide: bool, allowed_origins: typing.Sequence[str] = ()
    ) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,),
            connection_init_wait_timeout=dt.timedelta(seconds=INIT_SECONDS_MAX),
            max_subscriptions_per_connection=OPERATIONS_ON_A_SOCKET_MAX,
            allowed_origins=allowed_origins,
        )
        self.door = door
        self._has_ide = has_ide

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hold one connection."""
        state = scope.setdefault("state", {})
        if "request_id" not in state:  # nobody made one at the edge
            state["request_id"] = uuid.uuid4().hex
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        request = Request(scope, receive)
        response = await self._response(request)
        await response(scope, receive, send)

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> object:
        """Give the context of a connection before connection_init, when nobody may do anything yet."""
        del response
        return self.door.context(None, request.state.request_id)

    def decode_json(self, data: str | bytes) -> object:
        """Read JSON by orjson."""
        return codec.decode(data)

    def encode_json(self, data: object) -> str | bytes:
        """Write JSON by orjson."""
        return codec.encode(data)

    async def process_result(self, request: Request, result: ExecutionResult) -> GraphQLHTTPResponse:
        """Give the answer of an executed operation; a request error has no `data` (specification, section 7.1)."""
        del request
        answer = process_result(result)
        if _is_request_error(result):
            answer.pop("data", None)
        return answer

    async def _response(self, request: Request) -> Response:
        try:
            if self._has_ide and ide.is_wanted(request):
                return ide.page()
            media_type = _negotiated(request)
            credentials = Credentials.from_headers(request.headers)
            caller = await self._admitted(credentials)
            if negotiation.content_type(request.headers.get("content-type"))[0] == negotiation.MULTIPART:
                await self._charge(caller, FILE_POINTS)
            async with body.reading(request) as operation:
                await self._charge(caller, limits.price(self.schema, operation.query))
                context = self.door.context(caller, request.state.request_id)
                if media_type == negotiation.EVENT_STREAM:
                    return await self._events(request, operation, context, caller, credentials)
                return await self._answer(request, operation, context, media_type)
        except Refused as refused:
            return self._refusal(request, refused)
        except ClientDisconnect:
            raise  # the edge knows what to do
        except Exception:
            log.exception("fault in a request")
            return self._refusal(request, Refused(500, "Internal server error."))

    async def _admitted(self, credentials: Credentials) -> Caller | None:
        try:
            return await self.door.admit(credentials)
        except errors.Unauthenticated as error:
            raise Refused(401, error.message, headers={"www-authenticate": "Bearer"}) from None
        except errors.AccessError as error:
            raise Refused(403, error.message, code=error.code) from None
        except errors.RateLimited as error:
            raise _too_many(error) from None
        except Unavailable:
            retry = {"retry-after": str(RETRY_AFTER_SECONDS)}
            raise Refused(503, "The service is not available just now.", headers=retry) from None

    async def _charge(self, caller: Caller | None, points: int) -> None:
        try:
            await self.door.charge(caller, points)
        except errors.RateLimited as error:
            raise _too_many(error) from None

    async def _answer(self, request: Request, operation: body.Operation, context: object, media_type: str) -> Response:
        try:
            result = await self.schema.execute(
                operation.query,
                variable_values=operation.variables,
                context_value=context,
                operation_name=operation.operation_name,
                allowed_operation_types=ALLOWED[request.method],
                operation_extensions=operation.extensions,
            )
        except InvalidOperationTypeError as error:
            if error.operation_type is OperationType.SUBSCRIPTION:
                text = "A subscription needs a WebSocket (graphql-transport-ws) or `Accept: text/event-stream`."
                raise Refused(400, text) from None
            raise _mutation_by_get() from None
        except CannotGetOperationTypeError as error:
            raise Refused(400, error.as_http_error_reason(), code="OPERATION_RESOLUTION_FAILURE") from None
        # Clients of the older media type take any other status for a failed transport, and read no errors.
        is_refused = media_type == negotiation.GRAPHQL_RESPONSE and _is_request_error(result)
        return Response(
            codec.encode(await self.process_result(request, result)),
            400 if is_refused else 200,
            {"cache-control": "no-store", "vary": "Accept"},
            media_type=f"{media_type}; charset=utf-8",
        )

    async def _events(
        self,
        request: Request,
        operation: body.Operation,
        context: object,
        caller: Caller | None,
        credentials: Credentials,
    ) -> Response:
        is_get = request.method == "GET"
        if is_get and limits.is_mutation(self.schema, operation.query, operation.operation_name):
            raise _mutation_by_get()  # by its status, before the stream has begun with a 200
        results = await self.schema.stream(
            operation.query,
            variable_values=operation.variables,
            context_value=context,
            operation_name=operation.operation_name,
            allowed_operation_types=OperationType.from_http("GET" if is_get else "POST"),
            operation_extensions=operation.extensions,
        )
        events = self._stream_result(request, results, stream.EventStream())()  # type: ignore[arg-type]  # it only iterates, and asks for more
        over = refusal.formatted(
            "The credentials have expired or were revoked.", "UNAUTHENTICATED", request.state.request_id
        )
        return StreamingResponse(
            stream.until(
                events,
                dismissal=self.door.dismissal(caller, credentials),
                farewell={"errors": [over]},
                closing=self.door.closing(),
            ),
            headers=stream.EventStream.headers,
        )

    @staticmethod
    def _refusal(request: Request, refused: Refused) -> Response:
        return refusal.response(refused, accept=request.headers.get("accept"), request_id=request.state.request_id)


def _mutation_by_get() -> Refused:
    return Refused(405, "A mutation needs the method POST.", headers={"allow": "POST"})


def _too_many(error: errors.RateLimited) -> Refused:
    return Refused(429, error.message, headers={"retry-after": str(math.ceil(error.retry_after_seconds))})


def _negotiated(request: Request) -> str:
    """Give the media type of the answer. Raises Refused for a method, a body or an Accept that cannot be served."""
    if request.method not in ("GET", "POST"):
        raise Refused(405, "GraphQL takes GET and POST.", headers={"allow": "GET, POST"})
    answers: tuple[str, ...] = negotiation.ANSWERS
    if request.method == "POST":
        sent, is_utf8 = negotiation.content_type(request.headers.get("content-type"))
        if sent not in (negotiation.JSON, negotiation.MULTIPART):
            raise Refused(415, f"The body must be {negotiation.JSON} or {negotiation.MULTIPART}.")
        if not is_utf8:
            raise Refused(415, "The body must be in UTF-8.")
        if sent == negotiation.MULTIPART:
            answers = negotiation.ANSWERS_TO_UPLOADS
            if not any(name in request.headers for name in PREFLIGHT_HEADERS):
                raise Refused(403, f"An upload needs the header `{PREFLIGHT_HEADERS[0]}: 1`.", code="CSRF_PREVENTED")
    media_type = negotiation.preferred(request.headers.get("accept"), answers)
    if media_type is None:
        raise Refused(406, f"The answer can be one of {', '.join(answers)}.")
    return media_type


def _is_request_error(result: ExecutionResult) -> bool:
    """True when nothing ran: parsing, validation or the variables failed. A fault and a time-out did run."""
    return (
        result.data is None
        and bool(result.errors)
        and all(
            error.path is None and (error.extensions or {}).get("code") not in (observe.FAULT, observe.TIMEOUT)
            for error in result.errors or ()
        )
    )
