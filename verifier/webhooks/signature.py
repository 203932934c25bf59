"""Signatures after the Standard Webhooks specification, version 1: symmetric, HMAC-SHA256 over id, time and body."""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime


def headers(secrets: Iterable[bytes], *, id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the three headers that let a receiver check a message; one signature for each secret, the newest first.

    `id` is the same for every try of one message, so that a receiver can tell a repetition.
    """
    timestamp = str(int(at.timestamp()))
    signed = b".".join((id.encode(), timestamp.encode(), body))
    signatures = (base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode() for secret in secrets)
    return {
        "webhook-id": id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
