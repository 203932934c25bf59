"""An identity provider's key set on a socket, which a test rotates, takes away, or makes answer with anything."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass
class KeyServer:
    """What it answers, and how often it was asked."""

    url: str = ""
    status: int = 200
    body: bytes = b'{"keys":[]}'
    headers: str = ""
    asked: int = 0
    keys: dict[str, PrivateKey] = field(default_factory=dict)

    def publish(self, **keys: PrivateKey) -> None:
        """Answer with the public halves of these keys from now on."""
        self.keys = keys
        self.body = orjson.dumps({"keys": [jwk(kid, key) for kid, key in keys.items()]})


def jwk(kid: str, key: PrivateKey) -> dict[str, Any]:
    """The public half of a key, as a provider publishes it."""
    if isinstance(key, rsa.RSAPrivateKey):
        return RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid, "alg": "RS256", "use": "sig"}
    return ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid, "alg": "ES256", "use": "sig"}


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[KeyServer]:
    """Answer until the block ends."""
    server = KeyServer()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            server.asked += 1
            head = f"HTTP/1.1 {server.status} X\r\ncontent-length: {len(server.body)}\r\nconnection: close\r\n"
            writer.write(f"{head}{server.headers}\r\n".encode() + server.body)
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/keys"
    async with listening:
        yield server
