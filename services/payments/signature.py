"""Stripe's scheme of signed webhooks: `t=<seconds>,v1=<hex>[,v1=<hex>]`, HMAC-SHA256 over `<seconds>.<body>`.

Source: Stripe's documentation, "Verify webhook signatures manually". Several signatures come while a secret is rolled.
"""

import hmac
from datetime import datetime

from services.errors import WebhookRefused

HEADER = "stripe-signature"
TOLERANCE_SECONDS = 300
_HEADER_CHARACTERS_MAX = 2048


def sign(secret: str, body: bytes, at: datetime) -> str:
    """The header for a body that is sent at a moment."""
    seconds = int(at.timestamp())
    return f"t={seconds},v1={_digest(secret, seconds, body)}"


def verify(secret: str, body: bytes, header: str, now: datetime) -> None:
    """Hold a webhook's signature against the raw body.

    Raises:
        WebhookRefused: no signature is right, or the time is more than five minutes away.

    """
    if not secret or len(header) > _HEADER_CHARACTERS_MAX or not header.isascii():
        raise WebhookRefused
    items = [item.partition("=") for item in header.split(",")]
    times = [value for name, _, value in items if name.strip() == "t"]
    if len(times) != 1 or not times[0].isdigit() or len(times[0]) > len("99999999999"):
        raise WebhookRefused
    seconds = int(times[0])
    expected = _digest(secret, seconds, body)
    given = [value for name, _, value in items if name.strip() == "v1"]
    matches = [hmac.compare_digest(expected, value) for value in given]  # all are looked at, whichever is right
    if not any(matches) or abs(now.timestamp() - seconds) > TOLERANCE_SECONDS:
        raise WebhookRefused


def _digest(secret: str, seconds: int, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{seconds}.".encode() + body, "sha256").hexdigest()
