"""The settings: read once, every problem named."""

import pytest

from verifier.engine.config import Nameserver, Zone
from verifier.settings import Need, Settings, SettingsError


def test_everything_has_a_default_but_what_a_command_needs() -> None:
    settings = Settings.from_env({"VERIFIER_HELO": "mx.example.com"})
    assert (settings.port, settings.smtp_port, settings.mail_from) == (8025, 25, "probe@mx.example.com")
    assert (settings.retry_seconds, settings.zone_retry_seconds) == ((60, 300, 900, 3600), (1, 2, 4))
    assert (settings.nameservers, settings.zones, settings.concurrency) == ((), (), 40)


def test_zones_and_name_servers_are_read() -> None:
    settings = Settings.from_env(
        {
            "VERIFIER_ZONES": "Example.Test.=127.0.0.1:5301/2501, other.test=[::1]:53/25",
            "VERIFIER_NAMESERVERS": "192.0.2.1, 192.0.2.2:5353, 2001:db8::1, [2001:db8::2]:54",
        }
    )
    assert settings.zones == (
        Zone("example.test", Nameserver("127.0.0.1", 5301), 2501),
        Zone("other.test", Nameserver("::1", 53), 25),
    )
    assert settings.nameservers == (
        Nameserver("192.0.2.1", 53),
        Nameserver("192.0.2.2", 5353),
        Nameserver("2001:db8::1", 53),
        Nameserver("2001:db8::2", 54),
    )


def test_ways_out_and_pauses_reach_the_engine_and_the_schedule() -> None:
    settings = Settings.from_env(
        {
            "VERIFIER_EGRESS": "google.com=192.0.2.1|192.0.2.2 *=socks5://u:hidden@proxy.example.com:1080",
            "VERIFIER_ACCEPT_THEN_BOUNCE": "Bounces.example.com.",
            "VERIFIER_PAUSE_SECONDS": "10, 20",
            "VERIFIER_EGRESS_NAME": "rack-1",
        }
    )
    config = settings.engine_config()
    assert [(entry.suffix, len(entry.ways)) for entry in config.egress] == [("google.com", 2), ("", 1)]
    assert config.accept_then_bounce == ("bounces.example.com",)
    assert (settings.pause_seconds, settings.zone_pause_seconds, settings.egress_name) == ((10, 20), (0.5,), "rack-1")
    assert "hidden" not in repr(settings)


def test_tokens_of_an_identity_provider_need_its_name() -> None:
    with pytest.raises(SettingsError, match="VERIFIER_JWT_ISSUER: must be set"):
        Settings.from_env({"VERIFIER_JWKS_URL": "https://id.example.com/keys"})
    assert "s" * 32 not in repr(
        Settings.from_env({"VERIFIER_JWT_SECRET": "s" * 32, "VERIFIER_JWT_ISSUER": "https://id"})
    )


def test_all_problems_are_told_at_once() -> None:
    bad = {
        "VERIFIER_DATABASE_URL": "postgresql+asyncpg://x",
        "VERIFIER_PORT": "70000",
        "VERIFIER_SERVICE_KEY": "short",
        "VERIFIER_NAMESERVERS": "dns.example.com",
        "VERIFIER_ZONES": "example.test",
        "VERIFIER_ALLOW_PRIVATE_NETWORKS": "10.0.0.1/8",
        "VERIFIER_CONCURRENCY": "0",
        "VERIFIER_RETRY_SECONDS": "60,soon",
        "VERIFIER_ZONE_RETRY_SECONDS": "inf",
        "VERIFIER_PAUSE_SECONDS": "-1",
        "VERIFIER_ZONE_PAUSE_SECONDS": "a while",
        "VERIFIER_EGRESS": "google.com",
        "VERIFIER_RESULT_DAYS": "one",
        "VERIFIER_UNREAD_RESULT_DAYS": "-1",
        "VERIFIER_JWKS_URL": "id.example.com",
        "VERIFIER_RATE_LIMIT": "many",
        "VERIFIER_SERVICE_RATE_LIMIT": "-1",
        "VERIFIER_UPLOAD_BYTES_MAX": "0",
        "VERIFIER_WEBHOOK_RETRY_SECONDS": "5;300",
        "VERIFIER_LOG_FORMAT": "xml",
    }
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(bad)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == list(bad)


def test_a_command_is_refused_without_what_it_needs() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({}, set(Need))
    assert len(caught.value.problems) == 2
