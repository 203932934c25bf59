"""How a transaction acts on behalf of an account: the words that begin it, for sessions and for hot reads."""

from uuid import UUID

ROLE = "mailverdict_account"
"""What a transaction on behalf of an account may do in the database; made by the migrations."""


def begin(account_id: UUID, begin: str) -> str:
    """Give the message that begins a transaction (`begin` is BEGIN with its mode) as an account; both end with it.

    BEGIN, claims and role travel in one message, which the driver's simple protocol takes only without parameters.
    Names and form of the claims are Supabase's (`auth.uid()` reads them).
    """
    claims = f'{{"sub":"{UUID(int=account_id.int)}","role":"{ROLE}"}}'
    become = f"SELECT set_config('request.jwt.claims', '{claims}', true), set_config('role', '{ROLE}', true)"
    return f"{begin}; {become}"
