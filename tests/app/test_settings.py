"""Settings: every problem told at once, no secret shown, and `.env.example` complete both ways."""

import ast
import itertools
from pathlib import Path

import pytest

from app import settings
from app.settings import Settings, SettingsError

ROOT = Path(__file__).resolve().parents[2]
SECRET = "s" * 32
PRODUCTION = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": SECRET,
    "DATABASE_URL": "postgresql://u:hidden@db/mailverdict",
    "UPSTREAM_URL": "https://verifier.test/api/v1/",
    "UPSTREAM_KEY": "hidden-too",
}


def example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def verifier_names() -> set[str]:
    tree = ast.parse((ROOT / "verifier" / "settings.py").read_text())
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return {text for text in texts if text.startswith("VERIFIER_") and text.isupper()}


def test_the_example_holds_every_setting_of_both_programs_and_no_other() -> None:
    assert set(example()) == set(settings.DEFAULTS) | verifier_names()


def test_the_example_holds_the_defaults() -> None:
    own = {name: value for name, value in example().items() if not name.startswith("VERIFIER_")}
    assert own == settings.DEFAULTS
    assert Settings.from_env(own) == Settings.from_env({})


def test_every_setting_of_the_example_is_explained() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    given = {f"{name}={value}" for name, value in example().items()}
    settings_with_line_before = [(before, line) for before, line in itertools.pairwise(lines) if line in given]
    assert len(settings_with_line_before) == len(given)
    assert [line for before, line in settings_with_line_before if not before.startswith("# ")] == []


def test_every_wrong_value_is_told_at_once() -> None:
    wrong = {
        "ENVIRONMENT": "staging",
        "DATABASE_URL": "mysql://u:hidden@db/x",
        "PORT": "80000",
        "PUBLIC_URL": "mailverdict.test",
        "SECRET_KEY": "short",
        "UPSTREAM_URL": "verifier",
        "LOG_FORMAT": "xml",
        "LOG_LEVEL": "loud",
        "GRAPHIQL": "maybe",
        "DATABASE_POOL_SIZE": "many",
        "UPLOAD_BYTES_MAX": "1",
        "WORKER_CONCURRENCY": "0",
        "PAYMENTS": "cash",
        "CREDIT_PACKAGES": "starter=1000:9.00:USD",
        "STRIPE_URL": "stripe",
    }
    with pytest.raises(SettingsError) as raised:
        Settings.from_env(wrong)
    assert {problem.split(" ")[0] for problem in raised.value.problems} == set(wrong)
    assert "hidden" not in str(raised.value)


@pytest.mark.parametrize("name", settings.REQUIRED_IN_PRODUCTION)
def test_production_has_no_default_for_a_secret_or_an_address(name: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} is required in production$"):
        Settings.from_env({key: value for key, value in PRODUCTION.items() if key != name})


STRIPE = {
    "PAYMENTS": "stripe",
    "STRIPE_SECRET_KEY": "hidden",
    "STRIPE_WEBHOOK_SECRET": "hidden",
    "CREDIT_PACKAGES": "small=500:600:EUR, large=90000:45000:EUR",
}


def test_in_production_payments_are_off_or_real_and_never_the_mock() -> None:
    assert Settings.from_env(PRODUCTION).payments == "none"
    with pytest.raises(SettingsError, match=r"^PAYMENTS must not be mock in production"):
        Settings.from_env(PRODUCTION | {"PAYMENTS": "mock"})
    real = Settings.from_env(PRODUCTION | STRIPE)
    assert [
        (package.slug, package.credits, package.price_minor, package.currency) for package in real.credit_packages
    ] == [
        ("small", 500, 600, "EUR"),
        ("large", 90_000, 45_000, "EUR"),
    ]
    with pytest.raises(SettingsError, match=r"^CREDIT_PACKAGES is required in production$"):
        Settings.from_env(PRODUCTION | STRIPE | {"CREDIT_PACKAGES": ""})
    with pytest.raises(SettingsError, match=r"^STRIPE_URL must begin with https"):
        Settings.from_env(PRODUCTION | STRIPE | {"STRIPE_URL": "http://stripe.test"})
    with pytest.raises(SettingsError, match=r"^STRIPE_SECRET_KEY is required with PAYMENTS=stripe$"):
        Settings.from_env({"PAYMENTS": "stripe"})


@pytest.mark.parametrize(
    "text",
    ["a", "a=1", "A=1:1:USD", "a=0:1:USD", "a=1:0:USD", "a=1:1:usd", "a=10000001:1:USD", "a=1:1:USD,a=2:2:USD"],
)
def test_packages_are_told_in_full(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^CREDIT_PACKAGES must be packages like starter=1000:900:USD"):
        Settings.from_env({"CREDIT_PACKAGES": text})


def test_a_secret_is_not_shown() -> None:
    shown = repr(Settings.from_env(PRODUCTION | STRIPE))
    assert "hidden" not in shown
    assert SECRET not in shown


def test_graphiql_is_on_in_development_and_off_in_production_unless_asked_for() -> None:
    assert Settings.from_env({}).is_graphiql_on
    assert not Settings.from_env({"GRAPHIQL": "no"}).is_graphiql_on
    assert not Settings.from_env(PRODUCTION).is_graphiql_on
    assert Settings.from_env(PRODUCTION | {"GRAPHIQL": "true"}).is_graphiql_on


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [
        ("127.0.0.1", "8000", "http://127.0.0.1:8000"),
        ("0.0.0.0", "80", "http://127.0.0.1:80"),  # noqa: S104 - nothing is bound
        ("::", "8000", "http://[::1]:8000"),
        ("fd00::1", "8000", "http://[fd00::1]:8000"),
    ],
)
def test_the_public_url_follows_the_address_that_is_listened_on(host: str, port: str, url: str) -> None:
    assert Settings.from_env({"HOST": host, "PORT": port}).public_url == url


def test_a_given_public_url_loses_its_last_slash() -> None:
    assert Settings.from_env({"PUBLIC_URL": "https://mail.test/"}).public_url == "https://mail.test"


def test_a_child_inherits_the_verifiers_settings_and_no_secret_of_the_service() -> None:
    env = {**PRODUCTION, "PATH": "/bin", "VERIFIER_LAB_DELAY_MS": "30", "LC_ALL": "C", "OTHER": "x"}
    assert settings.child_environment(env) == {"PATH": "/bin", "VERIFIER_LAB_DELAY_MS": "30", "LC_ALL": "C"}


def test_limits_bind_in_production_and_are_out_of_the_way_in_development() -> None:
    bound, free = Settings.from_env(PRODUCTION), Settings.from_env({})
    assert (bound.rate_limit, bound.rate_limit_signed_out, bound.sign_ups_per_hour) == (60_000, 10_000, 20)
    assert (free.rate_limit, free.rate_limit_signed_out, free.sign_ups_per_hour) == (settings.UNLIMITED,) * 3
    assert Settings.from_env(PRODUCTION | {"RATE_LIMIT": "7"}).rate_limit == 7
    with pytest.raises(SettingsError, match="RATE_LIMIT"):
        Settings.from_env({"RATE_LIMIT": "0"})


def test_a_supabase_project_needs_its_key_and_in_production_https() -> None:
    with pytest.raises(SettingsError, match="SUPABASE_KEY"):
        Settings.from_env({"SUPABASE_URL": "http://127.0.0.1:9"})
    project = {"SUPABASE_URL": "http://project.test/", "SUPABASE_KEY": "sb_publishable_x"}
    assert Settings.from_env(project).supabase_url == "http://project.test"
    with pytest.raises(SettingsError, match="https"):
        Settings.from_env(PRODUCTION | project)
    secret = {"SUPABASE_JWT_SECRET": SECRET, "REDIS_URL": "redis://:hidden@cache:6379/1"}
    shown = repr(Settings.from_env(project | secret))
    assert [word for word in ("sb_publishable", SECRET, "hidden") if word in shown] == []


@pytest.mark.parametrize("value", ["balancer", "10.0.0.1/24", "10.0.0.1, *", "10.0.0.0/8 10.1.0.0/16"])
def test_a_proxy_that_would_never_be_met_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match="TRUSTED_PROXIES must be"):
        Settings.from_env({"TRUSTED_PROXIES": value})


@pytest.mark.parametrize("value", ["*", "10.0.0.1", "10.0.0.0/8, ::1,fd00::/8"])
def test_proxies_are_addresses_networks_or_all(value: str) -> None:
    assert Settings.from_env({"TRUSTED_PROXIES": value}).trusted_proxies == value
