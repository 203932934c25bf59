"""A throw-away certificate for STARTTLS: a P-256 key and the X.509 certificate signed with it."""

import base64
import hashlib
import secrets
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

# The curve P-256 (SEC 2, section 2.4.2): y² = x³ - 3x + b over the field of _P.
_P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_GENERATOR = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
_KEY_BYTES = 32

# Object identifiers, encoded (RFC 5480, RFC 5758, RFC 5280).
_EC_PUBLIC_KEY = bytes.fromhex("06072a8648ce3d0201")
_PRIME256V1 = bytes.fromhex("06082a8648ce3d030107")
_ECDSA_WITH_SHA256 = bytes.fromhex("06082a8648ce3d040302")
_COMMON_NAME = bytes.fromhex("0603550403")

_INTEGER, _BIT_STRING, _OCTET_STRING, _UTF8_STRING, _UTC_TIME = 0x02, 0x03, 0x04, 0x0C, 0x17
_SEQUENCE, _SET, _CONTEXT_0, _CONTEXT_1 = 0x30, 0x31, 0xA0, 0xA1


def server_context(name: str) -> ssl.SSLContext:
    """Return a server's TLS context with a fresh self-signed certificate for `name`. For the lab only."""
    key = secrets.randbelow(_ORDER - 1) + 1
    public = _encoded(_multiplied(_GENERATOR, key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "lab.pem")
        path.touch(mode=0o600)
        path.write_text(
            _pem("CERTIFICATE", _certificate(name, key, public)) + _pem("EC PRIVATE KEY", _private_key(key, public)),
            encoding="ascii",
        )
        context.load_cert_chain(path)
    return context


def _certificate(name: str, key: int, public: bytes) -> bytes:
    """X.509 version 3, valid for a year (RFC 5280 section 4.1)."""
    algorithm = _tagged(_SEQUENCE, _ECDSA_WITH_SHA256)
    who = _tagged(
        _SEQUENCE, _tagged(_SET, _tagged(_SEQUENCE, _COMMON_NAME + _tagged(_UTF8_STRING, name.encode()[:64])))
    )
    now = datetime.now(UTC)
    validity = _tagged(_SEQUENCE, _time(now - timedelta(days=1)) + _time(now + timedelta(days=365)))
    key_information = _tagged(
        _SEQUENCE, _tagged(_SEQUENCE, _EC_PUBLIC_KEY + _PRIME256V1) + _tagged(_BIT_STRING, b"\0" + public)
    )
    version, serial = _tagged(_CONTEXT_0, _integer(2)), _integer(secrets.randbits(64) + 1)
    content = _tagged(_SEQUENCE, version + serial + algorithm + who + validity + who + key_information)
    return _tagged(_SEQUENCE, content + algorithm + _tagged(_BIT_STRING, b"\0" + _signature(content, key)))


def _private_key(key: int, public: bytes) -> bytes:
    """ECPrivateKey (RFC 5915)."""
    secret = _tagged(_OCTET_STRING, key.to_bytes(_KEY_BYTES, "big"))
    curve, point = _tagged(_CONTEXT_0, _PRIME256V1), _tagged(_CONTEXT_1, _tagged(_BIT_STRING, b"\0" + public))
    return _tagged(_SEQUENCE, _integer(1) + secret + curve + point)


def _signature(content: bytes, key: int) -> bytes:
    """ECDSA with SHA-256 (FIPS 186-5 section 6.4)."""
    digest = int.from_bytes(hashlib.sha256(content).digest(), "big")
    while True:
        nonce = secrets.randbelow(_ORDER - 1) + 1
        r = _multiplied(_GENERATOR, nonce)[0] % _ORDER
        s = pow(nonce, -1, _ORDER) * (digest + r * key) % _ORDER
        if r and s:
            return _tagged(_SEQUENCE, _integer(r) + _integer(s))


def _multiplied(point: tuple[int, int], factor: int) -> tuple[int, int]:
    """Return `factor` times the point, by doubling and adding. `factor` is 1 .. _ORDER - 1."""
    total: tuple[int, int] | None = None
    while factor:
        if factor & 1:
            total = point if total is None else _sum(total, point)
        point = _sum(point, point)
        factor >>= 1
    if total is None:
        message = "a factor of at least 1 is needed"
        raise ValueError(message)
    return total


def _sum(left: tuple[int, int], right: tuple[int, int]) -> tuple[int, int]:
    (x1, y1), (x2, y2) = left, right
    slope = (3 * x1 * x1 - 3) * pow(2 * y1, -1, _P) if left == right else (y2 - y1) * pow(x2 - x1, -1, _P)
    x = (slope * slope - x1 - x2) % _P
    return x, (slope * (x1 - x) - y1) % _P


def _encoded(point: tuple[int, int]) -> bytes:
    """The uncompressed form (SEC 1, section 2.3.3)."""
    return b"\x04" + b"".join(coordinate.to_bytes(_KEY_BYTES, "big") for coordinate in point)


def _tagged(tag: int, content: bytes) -> bytes:
    """DER: tag, length, content (X.690 section 8.1)."""
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _integer(value: int) -> bytes:
    return _tagged(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _time(moment: datetime) -> bytes:
    return _tagged(_UTC_TIME, moment.strftime("%y%m%d%H%M%SZ").encode())


def _pem(label: str, content: bytes) -> str:
    text = base64.encodebytes(content).decode()
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n"
