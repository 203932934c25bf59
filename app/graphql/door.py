"""Who is asking: reads credentials from headers or from connection_init, and notices when they stop being valid."""

import asyncio
import dataclasses
import datetime as dt
import typing
from collections.abc import Awaitable, Callable, Mapping

import structlog

from services import errors

log = structlog.get_logger(__name__)

CLOSING_LOOK_SECONDS = 0.25


class Caller(typing.Protocol):
    """What the edge must know of an actor."""

    @property
    def expires_at(self) -> dt.datetime | None:
        """When the credential that made this actor ends; None when it has no end."""


@dataclasses.dataclass(frozen=True, slots=True)
class Credentials:
    """What a caller shows of itself. Both may be absent: then it is anonymous."""

    authorization: str | None = dataclasses.field(default=None, repr=False)
    api_key: str | None = dataclasses.field(default=None, repr=False)

    def __bool__(self) -> bool:
        return self.authorization is not None or self.api_key is not None

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> typing.Self:
        """Read `Authorization` and `X-API-Key`; `headers` looks names up in lower case."""
        return cls(headers.get("authorization"), headers.get("x-api-key"))

    @classmethod
    def from_payload(cls, payload: Mapping[str, object]) -> typing.Self:
        """Read a connection_init payload: `authorization` or one of `x-api-key`, `apiKey`, in any case of letters."""
        texts = {key.lower(): value for key, value in payload.items() if isinstance(value, str)}
        return cls(texts.get("authorization"), texts.get("x-api-key", texts.get("apikey")))


async def _free(_caller: typing.Any, _points: int) -> None:  # noqa: ANN401 - an actor of any kind
    """Charge nothing."""


class Unavailable(Exception):
    """Nobody can be recognised now: what tells who is who does not answer."""


@dataclasses.dataclass(frozen=True, slots=True)
class Door:
    """Recognises callers and makes the context that their operations run in.

    `recognise` gives the actor of credentials, raising services.errors.AccessError for wrong ones; `context` takes
    the actor and the request id. `charge` takes the points of an operation from the actor before it runs, raising
    services.errors.RateLimited where they are not left. Credentials of open connections are looked at again every
    `recheck_seconds`. `is_closing` tells that the process is about to stop: event streams end then, so that it need
    not wait for them.
    """

    recognise: Callable[[Credentials], Awaitable[Caller | None]]
    context: Callable[[typing.Any, str], object]
    charge: Callable[[typing.Any, int], Awaitable[object]] = _free
    recheck_seconds: float = 8
    is_closing: Callable[[], bool] = bool  # which gives False

    async def admit(self, credentials: Credentials) -> Caller | None:
        """Give the actor of `credentials`, None without any. Raises AccessError, RateLimited, or Unavailable."""
        if not credentials:
            return None
        try:
            return await self.recognise(credentials)
        except errors.AccessError:
            await self.charge(None, 1)  # nobody is recognised: who tries many credentials pays with its network
            raise
        except Exception as error:
            log.warning("callers cannot be recognised", error=repr(error))
            raise Unavailable from error

    async def closing(self) -> None:
        """Wait until the process is about to stop."""
        while not self.is_closing():  # noqa: ASYNC110 - what it looks at belongs to others, and may be any kind of flag
            await asyncio.sleep(CLOSING_LOOK_SECONDS)

    async def dismissal(self, caller: Caller | None, credentials: Credentials) -> None:
        """Wait until the caller's credentials have expired, are refused, or let it do more or less than they did.

        For ever for an anonymous caller.
        """
        while caller is not None:
            pause = self.recheck_seconds
            if caller.expires_at is not None:
                pause = min(pause, (caller.expires_at - dt.datetime.now(dt.UTC)).total_seconds())
                if pause <= 0:
                    return
            await asyncio.sleep(pause)
            try:
                if await self.admit(credentials) != caller:  # a new role or scope: what is open was let in with the old
                    return
            except (errors.AccessError, errors.RateLimited):
                return
            except Unavailable:
                continue  # a database that is away for a while is no reason to hang up on anybody
        await asyncio.Event().wait()
