"""The verifier's settings: the one place of this program that reads the environment."""

import os
import socket
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import Self, TypeVar
from urllib.parse import urlsplit

from verifier.engine import egress
from verifier.engine.config import Egress, EngineConfig, Nameserver, Network, Zone

KEY_LENGTH_MIN = 32
PORT_MAX = 65535

T = TypeVar("T")


class SettingsError(Exception):
    """The environment cannot be used; `problems` names every variable that is wrong, one a line."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class Need(StrEnum):
    """What a command cannot run without."""

    DATABASE = "VERIFIER_DATABASE_URL"
    SERVICE_KEY = "VERIFIER_SERVICE_KEY"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set from outside. Times in seconds unless the name says otherwise."""

    database_url: str = field(repr=False)
    host: str
    port: int
    service_key: str = field(repr=False)
    helo: str
    mail_from: str
    nameservers: tuple[Nameserver, ...]
    smtp_port: int
    zones: tuple[Zone, ...]
    allowed_private_networks: tuple[Network, ...]
    concurrency: int
    retry_seconds: tuple[float, ...]
    zone_retry_seconds: tuple[float, ...]
    pause_seconds: tuple[float, ...]
    zone_pause_seconds: tuple[float, ...]
    egress: tuple[Egress, ...] = field(repr=False)
    egress_name: str
    accept_then_bounce: tuple[str, ...]
    result_days: float
    unread_result_days: float
    jwt_secret: str = field(repr=False)
    jwks_url: str
    jwt_issuer: str
    jwt_audience: str
    rate_limit: int
    service_rate_limit: int
    upload_bytes_max: int
    webhook_retry_seconds: tuple[float, ...]
    log_format: str
    lab_delay_ms: int

    @classmethod
    def from_env(cls, env: Mapping[str, str], needs: Collection[Need] = ()) -> Self:
        """Read and check the settings; raise SettingsError with every problem at once."""
        reader = _Reader(env)
        helo = reader.text("VERIFIER_HELO", "") or socket.getfqdn()
        settings = cls(
            database_url=reader.read("VERIFIER_DATABASE_URL", "", _database_url),
            host=reader.text("VERIFIER_HOST", "127.0.0.1"),
            port=reader.read("VERIFIER_PORT", "8025", _port),
            service_key=reader.read("VERIFIER_SERVICE_KEY", "", _secret),
            helo=helo,
            mail_from=reader.text("VERIFIER_MAIL_FROM", "") or f"probe@{helo}",
            nameservers=reader.read_list("VERIFIER_NAMESERVERS", "", _nameserver),
            smtp_port=reader.read("VERIFIER_SMTP_PORT", "25", _port),
            zones=reader.read_list("VERIFIER_ZONES", "", _zone),
            allowed_private_networks=reader.read_list("VERIFIER_ALLOW_PRIVATE_NETWORKS", "", ip_network),
            concurrency=reader.read("VERIFIER_CONCURRENCY", "40", _positive),
            retry_seconds=reader.read_list("VERIFIER_RETRY_SECONDS", "60,300,900,3600", _seconds),
            zone_retry_seconds=reader.read_list("VERIFIER_ZONE_RETRY_SECONDS", "1,2,4", _seconds),
            pause_seconds=reader.read_list("VERIFIER_PAUSE_SECONDS", "300,1800", _seconds),
            zone_pause_seconds=reader.read_list("VERIFIER_ZONE_PAUSE_SECONDS", "0.5", _seconds),
            egress=reader.read("VERIFIER_EGRESS", "", egress.parse),
            egress_name=reader.text("VERIFIER_EGRESS_NAME", "") or socket.gethostname(),
            accept_then_bounce=reader.read_list("VERIFIER_ACCEPT_THEN_BOUNCE", "", _suffix),
            result_days=reader.read("VERIFIER_RESULT_DAYS", "1", _days),
            unread_result_days=reader.read("VERIFIER_UNREAD_RESULT_DAYS", "30", _days),
            jwt_secret=reader.read("VERIFIER_JWT_SECRET", "", _secret),
            jwks_url=reader.read("VERIFIER_JWKS_URL", "", _http_url),
            jwt_issuer=reader.text("VERIFIER_JWT_ISSUER", ""),
            jwt_audience=reader.text("VERIFIER_JWT_AUDIENCE", "authenticated"),
            rate_limit=reader.read("VERIFIER_RATE_LIMIT", "6000", _natural),
            service_rate_limit=reader.read("VERIFIER_SERVICE_RATE_LIMIT", "60000", _natural),
            upload_bytes_max=reader.read("VERIFIER_UPLOAD_BYTES_MAX", "33554432", _positive),
            webhook_retry_seconds=reader.read_list(
                "VERIFIER_WEBHOOK_RETRY_SECONDS", "5,300,1800,7200,18000,36000,50400", _seconds
            ),
            log_format=reader.read("VERIFIER_LOG_FORMAT", "console", _log_format),
            lab_delay_ms=reader.read("VERIFIER_LAB_DELAY_MS", "0", _natural),
        )
        missing = [f"{need.value}: must be set" for need in Need if need in needs and not env.get(need.value)]
        if (settings.jwt_secret or settings.jwks_url) and not settings.jwt_issuer:
            missing.append("VERIFIER_JWT_ISSUER: must be set with VERIFIER_JWT_SECRET or VERIFIER_JWKS_URL")
        if problems := missing + reader.problems:
            raise SettingsError(problems)
        return settings

    def engine_config(self) -> EngineConfig:
        """Return the part that the engine needs to know."""
        return EngineConfig(
            helo=self.helo,
            mail_from=self.mail_from,
            nameservers=self.nameservers,
            smtp_port=self.smtp_port,
            zones=self.zones,
            allow_networks=self.allowed_private_networks,
            concurrency=self.concurrency,
            accept_then_bounce=self.accept_then_bounce,
            egress=self.egress,
        )


def from_environment(needs: Collection[Need] = ()) -> Settings:
    """Read the settings of this process."""
    return Settings.from_env(os.environ, needs)


class _Reader:
    """Reads variables one by one and remembers what was wrong, so that all problems are told together."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self.problems: list[str] = []

    def text(self, name: str, default: str) -> str:
        return self.env.get(name, "").strip() or default

    def read(self, name: str, default: str, parse: Callable[[str], T]) -> T:
        try:
            return parse(self.text(name, default))
        except ValueError as error:
            self.problems.append(f"{name}: {error}")
            return parse(default)

    def read_list(self, name: str, default: str, parse: Callable[[str], T]) -> tuple[T, ...]:
        def parse_all(text: str) -> tuple[T, ...]:
            return tuple(parse(part.strip()) for part in text.split(",") if part.strip())

        return self.read(name, default, parse_all)


def _database_url(text: str) -> str:
    if text and urlsplit(text).scheme not in {"postgresql", "postgres"}:
        raise ValueError("must begin with postgresql:// (no +driver)")
    return text


def _http_url(text: str) -> str:
    if text and not (urlsplit(text).scheme in {"http", "https"} and urlsplit(text).hostname):
        raise ValueError("must begin with https:// or http://")
    return text


def _suffix(text: str) -> str:
    return text.lower().strip(".")


def _secret(text: str) -> str:
    if text and len(text) < KEY_LENGTH_MIN:
        raise ValueError(f"must have at least {KEY_LENGTH_MIN} characters")
    return text


def _number(text: str, least: int, most: int | None = None) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) < least or (most is not None and int(text) > most):
        span = f"from {least} to {most}" if most is not None else f"of at least {least}"
        raise ValueError(f"{text!r} is not a whole number {span}")
    return int(text)


def _port(text: str) -> int:
    return _number(text, 0, PORT_MAX)


def _positive(text: str) -> int:
    return _number(text, 1)


def _natural(text: str) -> int:
    return _number(text, 0)


def _seconds(text: str) -> float:
    return _span(text, "seconds")


def _days(text: str) -> float:
    return _span(text, "days")


def _span(text: str, unit: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ValueError(f"{text!r} is not a number of {unit}")
    return value


def _log_format(text: str) -> str:
    if text not in {"console", "json"}:
        raise ValueError(f"{text!r} is neither console nor json")
    return text


def _nameserver(text: str) -> Nameserver:
    """Read `ip`, `ip:port` or `[ip]:port`."""
    host, port = text, "53"
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    return Nameserver(str(ip_address(host)), _port(port))


def _zone(text: str) -> Zone:
    """Read `suffix=ip:dnsport/smtpport`."""
    suffix, equals, rest = text.partition("=")
    server, slash, smtp_port = rest.rpartition("/")
    if not (suffix and equals and slash):
        raise ValueError(f"{text!r} is not suffix=ip:dnsport/smtpport")
    return Zone(suffix.lower().strip("."), _nameserver(server), _port(smtp_port))
