"""API keys: their shape, checksum and hash."""

import string

from db.models import ApiKeyScope
from db.queries import accounts as queries
from db.session import Database
from resolvers.context import utc_now
from services import keys
from tests import factories

PEPPER = "the-pepper-of-the-tests"


def test_a_key_has_a_prefix_forty_random_digits_and_a_checksum() -> None:
    made = {keys.generate() for _ in range(200)}
    assert len(made) == 200
    for secret in made:
        assert secret.startswith("mv_live_")
        assert len(secret) == 8 + 40 + 6
        assert set(secret[8:]) <= set(string.ascii_letters + string.digits)
        assert keys.is_well_formed(secret)


def test_a_typing_mistake_is_seen_without_a_look_up() -> None:
    secret = keys.generate()
    for at in range(8, len(secret)):
        other = "0" if secret[at] != "0" else "1"
        assert not keys.is_well_formed(secret[:at] + other + secret[at + 1 :])


def test_what_is_not_shaped_like_a_key_is_not_well_formed() -> None:
    secret = keys.generate()
    for text in (
        "",
        "mv_live_",
        secret[:-1],
        secret + "0",
        "x" + secret[1:],
        "mv_test_" + secret[8:],
        "mv_live_" + "é" * 46,
    ):
        assert not keys.is_well_formed(text)


def test_the_hash_depends_on_the_secret_and_the_pepper() -> None:
    first, second = keys.generate(), keys.generate()
    hashes = {keys.hashed(secret, pepper) for secret in (first, second) for pepper in (PEPPER, "other")}
    assert len(hashes) == 4
    assert all(len(h) == 32 for h in hashes)
    assert keys.hashed(first, PEPPER) == keys.hashed(first, PEPPER)


async def test_only_the_hash_and_the_first_characters_are_stored(db: Database) -> None:
    owner = await factories.account(db)
    scopes = [ApiKeyScope.TASKS_READ, ApiKeyScope.VERIFY]
    row, secret = await keys.create(db, PEPPER, account_id=owner.id, name="ci", scopes=scopes, now=utc_now())
    found = await queries.key_by_hash(db.hot, keys.hashed(secret, PEPPER), utc_now())
    assert await queries.key_by_hash(db.hot, keys.hashed(secret, "other pepper"), utc_now()) is None
    assert found is not None
    stored, account = found
    assert (stored.id, account.id, stored.scopes) == (row.id, owner.id, ["TASKS_READ", "VERIFY"])
    assert stored.prefix == secret[:14]
    assert secret not in {str(value) for value in vars(stored).values()}
