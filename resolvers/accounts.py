"""Who is signed in, with which sessions, and the mutations of accounts."""

from typing import Unpack
from uuid import UUID

from db import ids, models
from db.queries import identity as queries
from resolvers import outcomes, pages
from resolvers.context import Context, Info
from services import deletion, device, profiles
from services.errors import Invalid, NotFound
from services.identity.port import AuthTokens, Changes, SignOutScope

Granted = tuple[models.Account, AuthTokens]


async def viewer(info: Info) -> models.Account | None:
    """The account of the caller; None when signed out."""
    actor = info.context.actor
    return await info.context.load.account.load(actor.account_id) if actor is not None else None


async def owner(info: Info, root: models.Task) -> models.Account | None:
    """The account that owns a task."""
    return await info.context.load.account.load(root.account_id)


async def sessions_page(
    info: Info,
    root: models.Account,
    **at: Unpack[pages.Place],
) -> pages.Page[models.AuthSession] | None:
    """The devices that an account is signed in at; None where they are not the caller's to see."""
    context = info.context
    if not context.require(None).reaches(root.id):
        return None
    load, now = context.load, context.parts.now
    window = pages.window(**at)
    found = await load.below(queries.sessions_by_accounts, now, window).load(root.id)
    edges = [pages.Edge((row.created_at, row.id), row) for _, row in found.rows]

    async def count() -> int:
        return await load.below(queries.count_sessions, now).load(root.id)

    return pages.Page(edges, found.has_next, found.has_previous, count)


async def session_by_uuid(context: Context, session_id: UUID | None) -> models.AuthSession | None:
    """One session that the caller may see."""
    row = await context.reached(context.load.auth_session, session_id, None)
    return row if row is not None and row.expires_at > context.parts.now() else None


async def is_current(info: Info, root: models.AuthSession) -> bool:
    """This is the session that asks."""
    actor = info.context.actor
    return actor is not None and actor.session_id == root.id


@outcomes.gives("user", "tokens")
async def sign_up(info: Info, *, email: str, password: str, name: str | None = None) -> Granted | tuple[None, None]:
    """Make an account."""
    display_name = profiles.usable_name(name)
    if name is not None and display_name is None:
        raise Invalid(f"A name has 1 to {profiles.NAME_CHARACTERS_MAX} characters.", field=("input", "name"))
    parts = info.context.parts
    granted = await parts.identity.sign_up(
        email,
        password,
        user_metadata={"name": display_name} if display_name is not None else {},
        device=device.HERE.get(),
        now=parts.now(),
    )
    return (granted.account, granted.tokens) if granted is not None else (None, None)


@outcomes.gives("user", "tokens")
async def sign_in(info: Info, *, email: str, password: str) -> Granted:
    """Begin a session."""
    parts = info.context.parts
    granted = await parts.identity.sign_in(email, password, device=device.HERE.get(), now=parts.now())
    return granted.account, granted.tokens


@outcomes.gives("user", "tokens")
async def refresh_session(info: Info, *, refresh_token: str) -> Granted:
    """Trade a refresh token."""
    parts = info.context.parts
    granted = await parts.identity.refresh(refresh_token, device=device.HERE.get(), now=parts.now())
    return granted.account, granted.tokens


@outcomes.gives("ended_session_count")
async def sign_out(info: Info, *, everywhere: bool = False) -> int:
    """End this session, or every one."""
    actor = info.context.require(None)
    scope = SignOutScope.GLOBAL if everywhere else SignOutScope.LOCAL
    return await info.context.parts.identity.sign_out(actor.account_id, actor.session_id, scope)


@outcomes.gives("revoked_session_id")
async def revoke_session(info: Info, *, session_id: str) -> str:
    """End one session of the caller's."""
    actor, uuid = info.context.require(None), ids.parse("session", session_id)
    identity = info.context.parts.identity
    ended = await identity.sign_out(actor.account_id, uuid, SignOutScope.LOCAL) if uuid is not None else 0
    if not ended:
        raise NotFound(field=("input", "sessionId"))
    return session_id


@outcomes.gives("user")
async def change_password(info: Info, *, new_password: str, current_password: str | None = None) -> models.Account:
    """Change the password."""
    actor, parts = info.context.require(None), info.context.parts
    changes = Changes(password=new_password)
    return await parts.identity.change(actor.account_id, actor.session_id, changes, current_password, parts.now())


@outcomes.gives("user")
async def change_email(info: Info, *, new_email: str, current_password: str | None = None) -> models.Account:
    """Change the address, or begin to."""
    actor, parts = info.context.require(None), info.context.parts
    changes = Changes(email=new_email)
    return await parts.identity.change(actor.account_id, actor.session_id, changes, current_password, parts.now())


@outcomes.gives("deleted_user_id")
async def delete_account(info: Info, *, confirm_email: str, current_password: str | None = None) -> str:
    """Delete the caller's account."""
    parts = info.context.parts
    account_id = await deletion.delete_account(
        parts.db,
        parts.identity,
        info.context.require(None),
        current_password=current_password,
        confirm_email=confirm_email,
        now=parts.now(),
    )
    return ids.global_id("user", account_id)


@outcomes.gives("email")
async def request_password_reset(info: Info, *, email: str) -> str:
    """Send a reset link."""
    await info.context.parts.identity.request_password_reset(email, info.context.parts.now())
    return email.strip()


@outcomes.gives("user")
async def reset_password(info: Info, *, token: str, new_password: str) -> models.Account:
    """Set a new password with the token of a link."""
    return await info.context.parts.identity.reset_password(token, new_password, info.context.parts.now())


@outcomes.gives("user", "tokens")
async def confirm_email(info: Info, *, token: str) -> Granted:
    """Confirm an address with the token of a link."""
    parts = info.context.parts
    granted = await parts.identity.confirm_email(token, device=device.HERE.get(), now=parts.now())
    return granted.account, granted.tokens


@outcomes.gives("email")
async def request_email_confirmation(info: Info, *, email: str) -> str:
    """Send the link of a confirmation again."""
    await info.context.parts.identity.request_confirmation(email, info.context.parts.now())
    return email.strip()
