"""What of the settings the REST part reads."""

from dataclasses import dataclass, fields
from typing import Any, Self

from verifier.settings import Settings


@dataclass(frozen=True, slots=True)
class Options:
    """Defaults until the settings have them."""

    jwt_secret: str = ""
    jwks_url: str = ""
    jwt_issuer: str = ""
    jwt_audience: str = "authenticated"
    rate_limit: int = 6000
    service_rate_limit: int = 60_000
    upload_bytes_max: int = 32 * 1024 * 1024
    webhook_retry_seconds: tuple[float, ...] = (5, 300, 1800, 7200, 18000, 36000, 50400)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Read them."""
        found: dict[str, Any] = {f.name: getattr(settings, f.name) for f in fields(cls) if hasattr(settings, f.name)}
        return cls(**found)
