"""The subset of Supabase Auth's REST contract, at /auth/v1, that its official clients need for passwords."""

import asyncio
import urllib.parse
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from app import auth_words
from app.auth_words import Refusal
from db import ids
from db.models import Account
from resolvers.context import Parts
from services import accounts, authentication, device, errors
from services.actor import Actor
from services.identity.port import Changes, Grant, Identity, SignOutScope
from services.rates import Meter

PATH = "/auth/v1"
BODY_BYTES_MAX = 64 * 1024
BODY_SECONDS_MAX = 15.0
KEY_SET_SECONDS = 600
REQUEST_POINTS = 5
_LINK_PAGES = dict.fromkeys(("signup", "email", "email_change"), "confirm-email") | {"recovery": "reset-password"}

Handler = Callable[[Request], Awaitable[Response]]

log = structlog.get_logger(__name__)


def routes(parts: Parts, public_url: str) -> list[BaseRoute]:
    """Give the routes under /auth/v1; `public_url` is where the web app is."""
    auth = _Auth(parts, public_url)
    table: list[tuple[str, list[str], Handler]] = [
        ("/signup", ["POST"], auth.sign_up),
        ("/token", ["POST"], auth.token),
        ("/user", ["GET"], auth.user),
        ("/user", ["PUT"], auth.change_user),
        ("/logout", ["POST"], auth.log_out),
        ("/recover", ["POST"], auth.recover),
        ("/resend", ["POST"], auth.resend),
        ("/verify", ["POST"], auth.verify),
        ("/verify", ["GET"], auth.follow_link),
        ("/settings", ["GET"], auth.settings),
        ("/health", ["GET"], auth.health),
        ("/.well-known/jwks.json", ["GET"], auth.key_set),
    ]
    return [
        Mount(PATH, routes=[Route(path, _answering(work, parts.meter), methods=ways) for path, ways, work in table])
    ]


def _answering(work: Handler, meter: Meter) -> Handler:
    """Give answers that nobody keeps, and refusals in Supabase's shape; each request costs the network points."""

    async def answer(request: Request) -> Response:
        try:
            await meter.charge(None, REQUEST_POINTS)
            response = await work(request)
        except Refusal as refusal:
            response = auth_words.response(request, refusal)
        except errors.ServiceError as error:
            response = auth_words.response(request, auth_words.refusal_of(error))
        except ClientDisconnect:
            raise  # the edge knows what to do
        except Exception:
            # 503, not 500: it makes the official clients keep their session and try again.
            log.exception("fault in a request about a session")
            response = auth_words.response(request, Refusal(503, "unexpected_failure", "Try again in a moment."))
        response.headers.setdefault("cache-control", "no-store")
        return response

    return answer


class _Auth:
    """One method a route."""

    def __init__(self, parts: Parts, public_url: str) -> None:
        self._parts, self._public_url = parts, public_url

    @property
    def _identity(self) -> Identity:
        return self._parts.identity

    async def sign_up(self, request: Request) -> Response:
        body = await _body(request)
        email, password = _text(body, "email"), _text(body, "password")
        if not email:
            raise Refusal(422, "anonymous_provider_disabled", "Anonymous sign-ins are disabled")
        metadata, now = _metadata(body), self._parts.now()
        granted = await self._identity.sign_up(
            email, password, user_metadata=metadata, device=device.HERE.get(), now=now
        )
        if granted is not None:
            return JSONResponse(auth_words.token(granted, now))
        # The same for a taken address and for a new one: an id that leads nowhere, and what was sent.
        unknown = Account(id=ids.new_uuid(), email=email.strip(), created_at=now)
        return JSONResponse(auth_words.user(unknown, metadata) | {"confirmation_sent_at": auth_words.moment(now)})

    async def token(self, request: Request) -> Response:
        body, now = await _body(request), self._parts.now()
        here = device.HERE.get()
        match request.query_params.get("grant_type"):
            case "password":
                email, password = _text(body, "email"), _text(body, "password")
                granted = await self._identity.sign_in(email, password, device=here, now=now)
            case "refresh_token":
                granted = await self._identity.refresh(_text(body, "refresh_token"), device=here, now=now)
            case _:
                raise Refusal(400, "invalid_credentials", "unsupported_grant_type")
        return JSONResponse(auth_words.token(granted, now))

    async def user(self, request: Request) -> Response:
        return await self._user_of(await self._signed_in(request))

    async def change_user(self, request: Request) -> Response:
        actor, body, now = await self._signed_in(request), await _body(request), self._parts.now()
        if "phone" in body:
            raise Refusal(422, "validation_failed", "There are no telephone numbers here")
        email, password = (_text(body, name) if name in body else None for name in ("email", "password"))
        changes = Changes(email, password, _metadata(body) or None)
        current = _text(body, "current_password") or None
        if email is not None and password is not None and self._identity.is_confirmation_on:
            text = (
                "Change the address and the password by a request each: a new password undoes the link to the address"
            )
            raise Refusal(422, "validation_failed", text)
        if changes != Changes():
            await self._identity.change(actor.account_id, actor.session_id, changes, current, now)
        return await self._user_of(actor)

    async def log_out(self, request: Request) -> Response:
        wanted = request.query_params.get("scope", SignOutScope.GLOBAL)
        try:
            scope = SignOutScope(wanted)
        except ValueError:
            raise Refusal(400, "validation_failed", "Unsupported logout scope") from None
        actor = await self._signed_in(request)
        await self._identity.sign_out(actor.account_id, actor.session_id, scope)
        return Response(status_code=204)

    async def recover(self, request: Request) -> Response:
        body = await _body(request)
        await self._identity.request_password_reset(_text(body, "email"), self._parts.now())
        return JSONResponse({})

    async def resend(self, request: Request) -> Response:
        body = await _body(request)
        if body.get("type") != "signup":
            raise Refusal(400, "validation_failed", "Only the confirmation of a sign-up can be sent again")
        await self._identity.request_confirmation(_text(body, "email"), self._parts.now())
        return JSONResponse({})

    async def verify(self, request: Request) -> Response:
        body, now = await _body(request), self._parts.now()
        token = _text(body, "token_hash") or _text(body, "token")
        redeem: Callable[..., Awaitable[Grant]]
        match body.get("type"):
            case "signup" | "email" | "email_change":
                redeem = self._identity.confirm_email
            case "recovery":
                redeem = self._identity.redeem_reset
            case _:
                raise Refusal(400, "validation_failed", "Verify requires a verification type")
        try:
            granted = await redeem(token, device=device.HERE.get(), now=now)
        except errors.InvalidCredentials as error:
            raise Refusal(403, "otp_expired", "Email link is invalid or has expired") from error
        return JSONResponse(auth_words.token(granted, now))

    async def follow_link(self, request: Request) -> Response:
        """Lead to the page that posts the token: programs that look into mail follow links, and would spend it."""
        page = _LINK_PAGES.get(request.query_params.get("type", ""))
        if page is None:
            raise Refusal(400, "validation_failed", "Verify requires a verification type")
        query = urllib.parse.urlencode({"token": request.query_params.get("token", "")[:512]})
        return RedirectResponse(f"{self._public_url}/{page}?{query}", status_code=303)

    async def settings(self, request: Request) -> Response:
        del request
        return JSONResponse(
            {
                "external": {"email": True, "phone": False, "anonymous_users": False},
                "disable_signup": False,
                "mailer_autoconfirm": not self._identity.is_confirmation_on,
                "phone_autoconfirm": False,
                "sms_provider": "",
                "saml_enabled": False,
            }
        )

    async def health(self, request: Request) -> Response:
        del request
        return JSONResponse(
            {"version": "1", "name": "Mailverdict", "description": "Accounts, in Supabase Auth's words"}
        )

    async def key_set(self, request: Request) -> Response:
        del request
        headers = {"cache-control": f"public, max-age={KEY_SET_SECONDS}"}
        return JSONResponse(await self._identity.key_set(), headers=headers)

    async def _user_of(self, actor: Actor) -> Response:
        account = await accounts.account_of(self._parts.db, actor)
        if account is None:
            raise Refusal(403, "user_not_found", "User from sub claim in JWT does not exist")
        return JSONResponse(auth_words.user(account, await self._identity.user_metadata(account.id)))

    async def _signed_in(self, request: Request) -> Actor:
        header = request.headers.get("authorization", "")
        if not header.lower().startswith("bearer "):
            raise Refusal(401, "no_authorization", "This endpoint requires a valid Bearer token")
        try:
            actor = await authentication.authenticate(self._parts.db, self._parts.credentials, authorization=header)
        except errors.SessionEnded:
            raise Refusal(403, "session_not_found", "Session from session_id claim in JWT does not exist") from None
        except errors.Unauthenticated:
            raise Refusal(403, "bad_jwt", "invalid JWT: unable to parse or verify signature") from None
        except errors.Forbidden:
            raise Refusal(403, "user_banned", "User is banned") from None
        if actor is None or actor.scopes is not None:
            raise Refusal(403, "bad_jwt", "invalid JWT: an API key is no session")
        return actor


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object of a request; an empty body is an empty one. Raises Refusal."""
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            async for chunk in request.stream():
                data += chunk
                if len(data) > BODY_BYTES_MAX:
                    raise Refusal(413, "bad_json", f"The body is longer than {BODY_BYTES_MAX} bytes")
    except TimeoutError:
        raise Refusal(408, "request_timeout", "The body did not arrive in time") from None
    try:
        body = orjson.loads(data or b"{}")
    except orjson.JSONDecodeError:
        raise Refusal(400, "bad_json", "Could not parse request body as JSON") from None
    if not isinstance(body, dict):
        raise Refusal(400, "bad_json", "Could not parse request body as JSON: not an object")
    return body


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name) or ""
    if not isinstance(value, str):
        raise Refusal(400, "bad_json", f"{name} must be a string")
    return value


def _metadata(body: dict[str, Any]) -> dict[str, Any]:
    data = body.get("data") or {}
    if not isinstance(data, dict):
        raise Refusal(400, "bad_json", "data must be an object")
    return data
