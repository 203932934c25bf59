"""The data directory of an instance: who owns it, and the small files that are kept in it."""

import contextlib
import fcntl
import os
import secrets
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"
_PORTS = range(20_000, 32_000)


class DataDirUnusable(Exception):
    """The data directory cannot be used; the sentence says why."""


class Lock:
    """The right to use a data directory for one purpose, held until `release` or the end of this process."""

    def __init__(self, data_dir: Path, purpose: str) -> None:
        """Make the directory when it is not there, and take the lock; raises DataDirUnusable."""
        try:
            # As root the server runs under another user, who must be able to pass through (not to list).
            data_dir.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
            self._file = os.open(data_dir / f"{purpose}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except FileExistsError as error:
            raise DataDirUnusable(f"the data directory {data_dir} is not a directory") from error
        except OSError as error:
            raise DataDirUnusable(f"the data directory {data_dir} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(self._file, 20, 0).decode().strip() or "unknown"
            self.release()
            message = f"the data directory {data_dir} is in use by another running instance (process {owner})"
            raise DataDirUnusable(message) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the directory free; doing so again is no error."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def write_private(path: Path, text: str) -> None:
    """Write a file that only we may read, all at once: a reader sees the old text or the new, never a part."""
    staging = path.with_name(f".{path.name}.{os.getpid()}")
    staging.unlink(missing_ok=True)
    with os.fdopen(os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    staging.replace(path)


def kept_secret(path: Path) -> str:
    """Give the secret kept in a file, 43 URL-safe characters of 256 random bits; made when it is not there."""
    with contextlib.suppress(FileNotFoundError):
        if text := path.read_text().strip():
            return text
    secret = secrets.token_urlsafe(32)
    write_private(path, secret)
    return secret


def kept_port(path: Path) -> int:
    """Give a free loopback port: the one remembered in a file while it is free, else another, then remembered."""
    remembered = 0
    with contextlib.suppress(OSError, ValueError):
        remembered = int(path.read_text())
    if remembered and not 1024 <= remembered <= 65535:
        remembered = 0
    port = remembered if remembered and is_free(remembered) else free_port()
    if port != remembered:
        write_private(path, str(port))
    return port


def free_port() -> int:
    """Give a loopback port that nobody listens on now; raises DataDirUnusable when there seems to be none.

    It lies below the range that systems hand to outgoing connections (Linux from 32768, IANA's from 49152): one of
    those could be taken before the child that it is meant for listens on it.
    """
    for _ in range(200):
        port = _PORTS.start + secrets.randbelow(len(_PORTS))
        if is_free(port):
            return port
    raise DataDirUnusable(f"no port from {_PORTS.start} to {_PORTS.stop - 1} is free on {LOOPBACK}")


def is_free(port: int) -> bool:
    """Tell whether nobody listens on a loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def answers(port: int) -> bool:
    """Tell whether something accepts connections on a loopback port."""
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1.0):
        return True
    return False
