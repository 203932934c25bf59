"""A new address for an account: at once where there is no mail, else when the link sent to it is used."""

from collections.abc import Sequence
from datetime import datetime

from db.models import Account, TokenPurpose
from db.queries import accounts
from db.queries import identity as queries
from db.session import Session
from services.errors import Taken, WrongState
from services.identity.links import Links
from services.mail import Letter

_FIELD = ("input", "newEmail")
_WORD_TO_OLD = (
    "Somebody, most likely you, asked to sign in to your account with another address from now on. It counts once the "
    "new address is confirmed. If it was not you, set a new password now: whoever asked knows the old one."
)
_WORD_TO_TAKEN = (
    "Somebody, most likely you, wants to sign in to another account with this address, which has an account already. "
    "Nothing was changed. Delete the account of this address first, or choose another."
)


async def begin(
    session: Session, links: Links | None, account: Account, email: str, now: datetime
) -> tuple[Account, Sequence[Letter]]:
    """Change the address where `links` is None, of an account that is locked; else make the letters to be posted.

    Whether the address is taken is told by mail alone.

    Raises:
        Taken: without mail, the address has an account.
        WrongState: a link was sent less than a minute ago.

    """
    is_taken = await accounts.by_email(session, email) is not None
    if account.email.lower() == email.lower():
        return account, ()
    if links is None:
        changed = await queries.change_email(session, account.id, email, now)
        if changed is None:
            raise Taken("This address has an account already.", field=_FIELD)
        return changed, ()
    letter = await links.prepare(session, account, TokenPurpose.CHANGE_EMAIL, email, now)
    if letter is None:
        raise WrongState("A link was sent less than a minute ago: wait a moment, then ask again.")
    to_new = Letter(email, "You have an account already", _WORD_TO_TAKEN) if is_taken else letter
    return account, (to_new, Letter(account.email, "Your address is to be changed", _WORD_TO_OLD))
