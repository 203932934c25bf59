"""Sessions, links, revoked keys and deliveries go when their time is over."""

from datetime import UTC, datetime, timedelta

from db.models import Account, ApiKeyScope
from resolvers.context import Parts
from services import keys, retention, webhook_delivery
from services.device import Device
from tests.conftest import Raw

NOW = datetime.now(UTC)


async def test_what_is_past_its_time_is_counted_and_then_removed(parts: Parts, account: Account, raw: Raw) -> None:
    granted = await parts.identity.sign_up(
        "ann@example.com", "correct horse", user_metadata={}, device=Device(), now=NOW - timedelta(days=20)
    )
    assert granted is not None
    await parts.identity.sign_in("ann@example.com", "correct horse", device=Device(), now=NOW)
    await parts.identity.request_password_reset("ann@example.com", NOW - timedelta(hours=1))
    for name, revoked_at in (("old", NOW - timedelta(days=91)), ("new", NOW - timedelta(days=89)), ("works", None)):
        key, _ = await keys.create(
            parts.db,
            parts.credentials.pepper,
            account_id=account.id,
            name=name,
            scopes=[ApiKeyScope.VERIFY],
            now=NOW,
        )
        await raw("UPDATE api_key SET revoked_at = :at WHERE id = :id RETURNING id", at=revoked_at, id=key.id)
    assert await retention.count_credentials(parts.db, NOW) == 3
    assert await retention.remove_credentials(parts.db, NOW) == 3
    assert await retention.remove_credentials(parts.db, NOW) == 0
    assert [row.name for row in await raw("SELECT name FROM api_key ORDER BY name")] == ["new", "works"]
    assert len(await raw("SELECT 1 FROM auth_session")) == 1
    assert len(await raw("SELECT 1 FROM refresh_token")) == 1
    assert await raw("SELECT 1 FROM one_time_token") == []


async def test_much_goes_in_pieces(parts: Parts, account: Account, raw: Raw) -> None:
    await raw(
        "INSERT INTO one_time_token (token_hash, account_id, purpose, email, created_at, expires_at) "
        "SELECT sha256(n::text::bytea), :id, 'CONFIRM_EMAIL', 'a@example.com', :at, :at "
        "FROM generate_series(1, 2500) n RETURNING 1",
        id=account.id,
        at=NOW - timedelta(days=2),
    )
    calls = (retention.count_credentials, retention.remove_credentials) * 4
    counts = [await call(parts.db, NOW) for call in calls]
    assert counts == [1000, 1000, 1000, 1000, 500, 500, 0, 0]


async def test_deliveries_go_after_30_days_unless_they_wait_for_a_try(parts: Parts, account: Account, raw: Raw) -> None:
    for name, days, due_at in (("old", 31, None), ("waits", 31, NOW), ("young", 29, None)):
        await raw(
            "INSERT INTO webhook_delivery (id, account_id, url, event, data, attempts, due_at, created_at) "
            "VALUES (gen_random_uuid(), :id, :name, 'CREDITS_LOW', '{}', 1, :due_at, :at) RETURNING 1",
            id=account.id,
            name=name,
            due_at=due_at,
            at=NOW - timedelta(days=days),
        )
    assert await webhook_delivery.purge(parts.db, NOW) == 1
    assert [row.url for row in await raw("SELECT url FROM webhook_delivery ORDER BY url")] == ["waits", "young"]
