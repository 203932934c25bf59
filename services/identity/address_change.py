"""A new address for an account: at once where there is no mail, else when the link sent to it is used."""

from datetime import datetime
from uuid import UUID

from db.models import Account, TokenPurpose
from db.queries import accounts, administration
from db.queries import identity as queries
from db.session import Database
from services.errors import InvalidCredentials, NotFound, Taken, WrongState
from services.identity.links import Links
from services.mail import Letter

_FIELD, _PASSWORD_FIELD = ("input", "newEmail"), ("input", "currentPassword")
_WORD_TO_OLD = (
    "Somebody, most likely you, asked to sign in to your account with another address from now on. It counts once the "
    "new address is confirmed. If it was not you, set a new password now: whoever asked knows the old one."
)
_WORD_TO_TAKEN = (
    "Somebody, most likely you, wants to sign in to another account with this address, which has an account already. "
    "Nothing was changed. Delete the account of this address first, or choose another."
)


async def begin(
    db: Database, links: Links | None, account_id: UUID, email: str, now: datetime, *, password_hash: str | None
) -> Account:
    """Change the address where `links` is None; else send the link. Whether the address is taken is told by mail alone.

    `password_hash` is that of the password which was proved to be known.

    Raises:
        NotFound: the account is gone.
        InvalidCredentials: the password was changed meanwhile, or the account deleted.
        Taken: without mail, the address has an account.
        WrongState: a link was sent less than a minute ago.

    """
    async with db.transaction() as session:
        if links is None:  # the account before its password, as whoever deletes it locks them
            account = await administration.lock_account(session, account_id)
        else:
            account = (await accounts.by_ids(session, [account_id])).get(account_id)
        if account is None:
            raise NotFound
        if not await queries.is_in_force(session, account_id, password_hash):
            raise InvalidCredentials("The password was changed meanwhile.", field=_PASSWORD_FIELD)
        is_taken = await accounts.by_email(session, email) is not None
        if account.email.lower() == email.lower():
            return account
        if links is None:
            changed = await queries.change_email(session, account_id, email, now)
            if changed is None:
                raise Taken("This address has an account already.", field=_FIELD)
            return changed
        letter = await links.prepare(session, account, TokenPurpose.CHANGE_EMAIL, email, now)
    if letter is None:
        raise WrongState("A link was sent less than a minute ago: wait a moment, then ask again.")
    links.post(Letter(email, "You have an account already", _WORD_TO_TAKEN) if is_taken else letter)
    links.post(Letter(account.email, "Your address is to be changed", _WORD_TO_OLD))
    return account
