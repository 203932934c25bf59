"""Whom our calls trust: the certificates of the system, read once a process, for that takes 40 ms."""

import ssl
from functools import cache
from typing import Any

import httpx


@cache
def context() -> ssl.SSLContext:
    """What every client of ours checks the other side with. It is shared, so nobody changes it."""
    return ssl.create_default_context()


def client(**options: Any) -> httpx.AsyncClient:  # noqa: ANN401 - what httpx takes
    """A client of a service behind us: it follows no redirect, and no proxy that the environment names."""
    return httpx.AsyncClient(verify=context(), follow_redirects=False, trust_env=False, **options)
