"""What the service is told from outside: one frozen object, made once; nobody else reads the environment."""

import dataclasses
import os
import re
import typing
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path

from services.networks import Network
from services.payments import packages
from services.payments.packages import Package

T = typing.TypeVar("T")
Environment = typing.Literal["development", "production"]
LogFormat = typing.Literal["console", "json"]
UpstreamTakes = typing.Literal["lists", "files"]
Payments = typing.Literal["none", "mock", "stripe"]
LogLevel = typing.Literal["debug", "info", "warning", "error"]

SECRET_CHARACTERS_MIN = 32
ONE_MEBIBYTE = 1024 * 1024
CREDITS_MAX = 10_000_000
WELCOME_CREDITS_IN_DEVELOPMENT = 1_000_000
POINTS, POINTS_SIGNED_OUT, SIGN_UPS = 60_000, 10_000, 20
UNLIMITED = 10_000_000

# Every variable of the service with the value it has when it is not set. `.env.example` lists the same: a test holds
# them together.
DEFAULTS: Mapping[str, str] = {
    "ENVIRONMENT": "development",
    "DATABASE_URL": "",
    "HOST": "127.0.0.1",
    "PORT": "8000",
    "PUBLIC_URL": "",
    "DATA_DIR": "./.data",
    "SECRET_KEY": "",
    "UPSTREAM_URL": "",
    "UPSTREAM_KEY": "",
    "UPSTREAM_TAKES": "lists",
    "MAIL_URL": "",
    "MAIL_FROM": "",
    "LOG_FORMAT": "console",
    "LOG_LEVEL": "info",
    "GRAPHIQL": "",
    "DATABASE_POOL_SIZE": "10",
    "UPLOAD_BYTES_MAX": str(100 * ONE_MEBIBYTE),
    "WORKER_CONCURRENCY": "8",
    "PAYMENTS": "",
    "CREDIT_PACKAGES": "",
    "STRIPE_SECRET_KEY": "",
    "STRIPE_WEBHOOK_SECRET": "",
    "STRIPE_URL": "https://api.stripe.com",
    "WELCOME_CREDITS": "",
    "SUPABASE_URL": "",
    "SUPABASE_KEY": "",
    "SUPABASE_JWT_SECRET": "",
    "REDIS_URL": "",
    "RATE_LIMIT": "",
    "RATE_LIMIT_SIGNED_OUT": "",
    "SIGN_UPS_PER_HOUR": "",
    "TRUSTED_PROXIES": "127.0.0.1,::1",
    "CORS_ORIGINS": "",
    "ALLOW_PRIVATE_NETWORKS": "",
}

REQUIRED_IN_PRODUCTION = ("SECRET_KEY", "DATABASE_URL", "UPSTREAM_URL")

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?")

# What a child process may inherit besides what it is told by name. No secret of the service is among them.
_INHERITED = ("PATH", "HOME", "TMPDIR", "LANG", "TZ", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR")
_INHERITED_PREFIXES = ("VERIFIER_", "LC_", "PYTHON")


class SettingsError(Exception):
    """The environment holds values that cannot be used; `problems` has one sentence for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


def process_environment() -> Mapping[str, str]:
    """Give the environment of this process, with blank values dropped: `NAME=` means not set."""
    return {name: value for name, value in os.environ.items() if value.strip()}


def child_environment(env: Mapping[str, str]) -> dict[str, str]:
    """Give what a child may inherit of `env`: where programs and files are, and the verifier's own settings."""
    return {name: value for name, value in env.items() if name in _INHERITED or name.startswith(_INHERITED_PREFIXES)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of the service. Secrets are kept out of its representation, so that no log line can hold one."""

    environment: Environment = "development"
    database_url: str = dataclasses.field(default="", repr=False)
    """`postgresql://user:password@host:port/database`; empty in development means the embedded PostgreSQL."""
    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str = "http://127.0.0.1:8000"
    """Where the outside reaches the service, without a slash at the end: the base of every link it gives out."""
    data_dir: Path = Path(".data")
    secret_key: str = dataclasses.field(default="", repr=False)
    """Signs tokens and links. Empty in development: the one kept in the data directory takes its place."""
    upstream_url: str = ""
    """The verifier's base URL, up to and with `/api/v1`, without a slash at the end."""
    upstream_key: str = dataclasses.field(default="", repr=False)
    """The service's own credential there; empty where accounts have keys that were entered."""
    upstream_takes: UpstreamTakes = "lists"
    """`files`: a hosted verifier that gives no id for what it is sent, and has none of the contract's extensions."""
    mail_url: str = dataclasses.field(default="", repr=False)
    """`smtp[s]://[user:password@]host[:port]`; empty: no mail is sent, and addresses are not confirmed."""
    mail_from: str = ""
    log_format: LogFormat = "console"
    log_level: LogLevel = "info"
    is_graphiql_on: bool = True
    database_pool_size: int = 10
    upload_bytes_max: int = 100 * ONE_MEBIBYTE
    worker_concurrency: int = 8
    payments: Payments = "mock"
    """`mock`: whoever is signed in adds credits to the own account, or buys them without money: development only."""
    credit_packages: tuple[Package, ...] = packages.IN_DEVELOPMENT
    stripe_secret_key: str = dataclasses.field(default="", repr=False)
    stripe_webhook_secret: str = dataclasses.field(default="", repr=False)
    """Empty: no webhook is taken; payments arrive with the hourly reconciliation."""
    stripe_url: str = "https://api.stripe.com"
    welcome_credits: int = WELCOME_CREDITS_IN_DEVELOPMENT
    """What a new account begins with."""
    supabase_url: str = ""
    """A Supabase project that keeps people's passwords and sessions; empty: this service does."""
    supabase_key: str = dataclasses.field(default="", repr=False)
    """Its publishable key."""
    supabase_jwt_secret: str = dataclasses.field(default="", repr=False)
    """Only for a project that signs its tokens with a shared secret (HS256)."""
    redis_url: str = dataclasses.field(default="", repr=False)
    """`redis[s]://[user:password@]host[:port][/database]`, shared by all processes.

    Empty: each counts for itself, and PostgreSQL tells of changes.
    """
    rate_limit: int = UNLIMITED
    """Points a minute of one account, and of one API key."""
    rate_limit_signed_out: int = UNLIMITED
    """Points a minute of one network whose requests show no credentials."""
    sign_ups_per_hour: int = UNLIMITED
    """From one network."""
    trusted_proxies: str = "127.0.0.1,::1"
    """Addresses and networks whose X-Forwarded-For is believed, with commas; `*` for all."""
    cors_origins: tuple[str, ...] = ()
    """Origins, besides that of the service, whose pages may call it."""
    allowed_private_networks: tuple[Network, ...] = ()
    """Private networks in which webhooks may be called all the same."""

    @property
    def is_production(self) -> bool:
        """True where secrets and addresses must be given, and nothing is made up."""
        return self.environment == "production"

    def _contradictions(self) -> Iterator[str]:
        if self.payments == "stripe" and not self.stripe_secret_key:
            yield "STRIPE_SECRET_KEY is required with PAYMENTS=stripe"
        if self.supabase_url and not self.supabase_key:
            yield "SUPABASE_KEY is required with SUPABASE_URL"
        if not self.is_production:
            return
        if self.payments == "mock":
            yield "PAYMENTS must not be mock in production: anyone could add credits"
        if self.payments == "stripe" and self.credit_packages is packages.IN_DEVELOPMENT:
            yield "CREDIT_PACKAGES is required in production"
        if self.payments == "stripe" and not self.stripe_url.startswith("https://"):
            yield "STRIPE_URL must begin with https:// in production"
        if self.supabase_url.startswith("http://"):
            yield "SUPABASE_URL must begin with https:// in production: passwords go there"

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> typing.Self:
        """Read settings from `env`; raises SettingsError that names every problem at once."""
        reader = _Reader(env)
        environment = reader.choice("ENVIRONMENT", typing.get_args(Environment))
        host, port = reader.text("HOST"), reader.number("PORT", 0, 65535)
        settings = cls(
            environment=environment,
            database_url=reader.url("DATABASE_URL", ("postgresql", "postgres")),
            host=host,
            port=port,
            public_url=reader.url("PUBLIC_URL", ("http", "https")).rstrip("/") or public_url(host, port),
            data_dir=Path(reader.text("DATA_DIR")).expanduser(),
            secret_key=reader.secret("SECRET_KEY"),
            upstream_url=reader.url("UPSTREAM_URL", ("http", "https")).rstrip("/"),
            upstream_key=reader.text("UPSTREAM_KEY"),
            upstream_takes=reader.choice("UPSTREAM_TAKES", typing.get_args(UpstreamTakes)),
            mail_url=reader.url("MAIL_URL", ("smtp", "smtps")),
            mail_from=reader.text("MAIL_FROM"),
            log_format=reader.choice("LOG_FORMAT", typing.get_args(LogFormat)),
            log_level=reader.choice("LOG_LEVEL", typing.get_args(LogLevel)),
            is_graphiql_on=reader.truth("GRAPHIQL", is_default=environment != "production"),
            database_pool_size=reader.number("DATABASE_POOL_SIZE", 2, 500),
            upload_bytes_max=reader.number("UPLOAD_BYTES_MAX", 1024, 100 * 1024 * ONE_MEBIBYTE),
            worker_concurrency=reader.number("WORKER_CONCURRENCY", 1, 1000),
            payments=reader.choice(
                "PAYMENTS", typing.get_args(Payments), "none" if environment == "production" else "mock"
            ),
            credit_packages=reader.packages("CREDIT_PACKAGES"),
            stripe_secret_key=reader.text("STRIPE_SECRET_KEY"),
            stripe_webhook_secret=reader.text("STRIPE_WEBHOOK_SECRET"),
            stripe_url=reader.url("STRIPE_URL", ("https", "http")).rstrip("/"),
            allowed_private_networks=reader.networks("ALLOW_PRIVATE_NETWORKS"),
            welcome_credits=reader.number(
                "WELCOME_CREDITS",
                0,
                CREDITS_MAX,
                default=0 if environment == "production" else WELCOME_CREDITS_IN_DEVELOPMENT,
            ),
            supabase_url=reader.url("SUPABASE_URL", ("https", "http")).rstrip("/"),
            supabase_key=reader.text("SUPABASE_KEY"),
            supabase_jwt_secret=reader.secret("SUPABASE_JWT_SECRET"),
            redis_url=reader.url("REDIS_URL", ("redis", "rediss")),
            rate_limit=reader.limit("RATE_LIMIT", POINTS, environment),
            rate_limit_signed_out=reader.limit("RATE_LIMIT_SIGNED_OUT", POINTS_SIGNED_OUT, environment),
            sign_ups_per_hour=reader.limit("SIGN_UPS_PER_HOUR", SIGN_UPS, environment),
            trusted_proxies=reader.proxies("TRUSTED_PROXIES"),
            cors_origins=reader.origins("CORS_ORIGINS"),
        )
        reader.problems += settings._contradictions()
        if settings.is_production:
            reader.require(REQUIRED_IN_PRODUCTION)
        if reader.problems:
            raise SettingsError(reader.problems)
        return settings


def public_url(host: str, port: int) -> str:
    """Give the URL under which a server bound to `host` and `port` is reached from the same machine."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - compared, not bound
    if ":" in reachable and not reachable.startswith("["):
        reachable = f"[{reachable}]"
    return f"http://{reachable}:{port}"


def _named(text: str, allowed: tuple[T, ...]) -> T:
    return next(one for one in allowed if one == text.lower())


class _Reader:
    """Reads variables one by one and collects what is wrong with them."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.problems: list[str] = []

    def text(self, name: str) -> str:
        return self._env.get(name, "").strip() or DEFAULTS[name]

    def choice(self, name: str, allowed: tuple[T, ...], default: T | None = None) -> T:
        return self._parsed(
            name,
            lambda text: default if default is not None and not text else _named(text, allowed),
            f"must be one of {', '.join(map(str, allowed))}",
            allowed[0],
        )

    def number(self, name: str, least: int, most: int, *, default: int | None = None) -> int:
        def parse(text: str) -> int:
            if default is not None and not text:
                return default
            value = int(text)
            if not least <= value <= most:
                raise ValueError
            return value

        return self._parsed(name, parse, f"must be a whole number from {least} to {most}", least)

    def limit(self, name: str, default: int, environment: Environment) -> int:
        """Give an upper bound of what may be done in some time; so high that it is not met in development."""
        return self.number(name, 1, 10**9, default=default if environment == "production" else UNLIMITED)

    def truth(self, name: str, *, is_default: bool) -> bool:
        words = {
            "": is_default,
            "true": True,
            "1": True,
            "yes": True,
            "on": True,
            "false": False,
            "0": False,
            "no": False,
            "off": False,
        }
        return self._parsed(name, lambda text: words[text.lower()], "must be true or false", is_default)

    def url(self, name: str, schemes: Sequence[str]) -> str:
        def parse(text: str) -> str:
            parts = urllib.parse.urlsplit(text)
            if text and (parts.scheme not in schemes or not (parts.hostname or parts.query)):
                raise ValueError
            return text

        # The value itself stays out of the message: a database's URL holds a password.
        return self._parsed(name, parse, f"must be a URL that begins with {schemes[0]}://", "", is_shown=False)

    def packages(self, name: str) -> tuple[Package, ...]:
        return self._parsed(
            name,
            lambda text: packages.parse(text) if text else packages.IN_DEVELOPMENT,
            "must be packages like starter=1000:900:USD (slug=credits:cents:currency), separated by commas",
            packages.IN_DEVELOPMENT,
        )

    def origins(self, name: str) -> tuple[str, ...]:
        def parse(text: str) -> tuple[str, ...]:
            found = tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())
            if not all(_ORIGIN.fullmatch(origin) for origin in found):
                raise ValueError
            return found

        return self._parsed(name, parse, "must be origins with commas, such as https://app.example.com", ())

    def networks(self, name: str) -> tuple[Network, ...]:
        def parse(text: str) -> tuple[Network, ...]:
            return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())

        return self._parsed(name, parse, "must be networks such as 10.0.0.0/8, separated by commas", ())

    def proxies(self, name: str) -> str:
        def parse(text: str) -> str:
            for part in map(str.strip, text.split(",")):
                if part and text != "*":
                    ip_network(part)  # the server takes what is none for a name, which no client has
            return text

        return self._parsed(name, parse, "must be addresses and networks such as 10.0.0.0/8 with commas, or *", "")

    def secret(self, name: str) -> str:
        text = self.text(name)
        if text and len(text) < SECRET_CHARACTERS_MIN:
            self.problems.append(f"{name} must have at least {SECRET_CHARACTERS_MIN} characters")
        return text

    def require(self, names: Sequence[str]) -> None:
        self.problems += [f"{name} is required in production" for name in names if not self.text(name)]

    def _parsed(self, name: str, parse: Callable[[str], T], rule: str, fallback: T, *, is_shown: bool = True) -> T:
        text = self.text(name)
        try:
            return parse(text)
        except (ValueError, KeyError, StopIteration):
            self.problems.append(f"{name} {rule}" + (f", not {text!r}" if is_shown else ""))
            return fallback
