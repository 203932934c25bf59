"""Which webhook URLs are taken when a task is made. Where they lead is checked when they are called."""

from urllib.parse import urlsplit

from verifier.api import errors

LENGTH_MAX = 2048
PORT_MIN = 1024
WELL_KNOWN_PORTS = (80, 443)


def may_use_port(port: int) -> bool:
    """Tell whether a webhook may go to this port: HTTP's own, or one that no system service listens on."""
    return port in WELL_KNOWN_PORTS or port >= PORT_MIN


def read(url: object) -> str | None:
    """Return the URL of a request, None where there is none; raise BadRequest."""
    if url is None:
        return None
    try:
        if not isinstance(url, str) or len(url) > LENGTH_MAX or not url.isprintable() or " " in url:
            raise ValueError
        pieces = urlsplit(url)
        port = pieces.port or {"http": 80, "https": 443}[pieces.scheme]
        if not pieces.hostname or "@" in pieces.netloc or pieces.port == 0 or not may_use_port(port):
            raise ValueError
    except (ValueError, KeyError) as error:
        message = "must be an absolute http(s) URL without credentials, on port 80, 443 or one from 1024"
        raise errors.BadRequest(message, field="webhook_url") from error
    return url
