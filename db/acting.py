"""How statements act on behalf of an account: by role and claims, of a transaction or of a connection of hot reads."""

from uuid import UUID

ROLE = "mailverdict_account"
"""What a statement on behalf of an account may do in the database; made by the migrations."""

BECOME = "SELECT set_config('role', $1, false), set_config('request.jwt.claims', $2, false)"
"""The statement by which a connection acts for whom its parameters (`identity`) name, until it is told otherwise."""


def identity(account_id: UUID | None) -> tuple[str, str]:
    """Role and claims of an account; of nobody (None), who sees all.

    Names and form of the claims are Supabase's (`auth.uid()` reads them).
    """
    if account_id is None:
        return "none", ""
    return ROLE, f'{{"sub":"{UUID(int=account_id.int)}","role":"{ROLE}"}}'


def begin(account_id: UUID, begin: str) -> str:
    """Give the message that begins a transaction (`begin` is BEGIN with its mode) as an account; both end with it.

    BEGIN, claims and role travel in one message, which the driver's simple protocol takes only without parameters.
    """
    role, claims = identity(account_id)
    return f"{begin}; SELECT set_config('request.jwt.claims', '{claims}', true), set_config('role', '{role}', true)"
