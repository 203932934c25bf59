"""Whom our calls trust: the certificates of the system, read once a process, for that takes 40 ms."""

import ssl
from functools import cache


@cache
def context() -> ssl.SSLContext:
    """What every client of ours checks the other side with. It is shared, so nobody changes it."""
    return ssl.create_default_context()
