"""The ways out: which source address or proxy a mail host is asked from, and how they are written in the settings."""

import hashlib
import re
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from verifier.engine.config import Egress, EngineConfig, Socks5, Way

SYSTEMS_CHOICE = Way()
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9])?)*")


def ways(config: EngineConfig, host: str, domain: str) -> tuple[Way, ...]:
    """Return the ways to a mail host for the recipients of a domain, the one to be taken first.

    The choice is stable, in every worker: a greylist knows us by our address, sender and recipient (RFC 6647), so who
    comes back must come back the same way. Another way is only for when the first one is itself out of order.
    """
    found = [each for each in config.egress if each.covers(host)]
    if not found:
        return (SYSTEMS_CHOICE,)
    best = max(found, key=lambda each: len(each.suffix))
    return tuple(sorted(best.ways, key=lambda way: _weight(way, domain)))


def _weight(way: Way, domain: str) -> bytes:
    """Return a number that is drawn by lot for every pair (rendezvous hashing): a way more moves few domains."""
    proxy = f"{way.proxy.host}:{way.proxy.port}" if way.proxy else ""
    return hashlib.blake2b(f"{way.source or ''} {proxy} {domain}".encode(), digest_size=8).digest()


def parse(text: str) -> tuple[Egress, ...]:
    """Read `suffix=way|way` entries with blanks between them; raise ValueError.

    `*` stands for every mail host. A way is `IP`, or `socks5://[user:password@]host:port`, each with `/name` at its end
    where another name than the configured one is to be given in EHLO.
    """
    entries: dict[str, Egress] = {}
    for part in text.split():
        suffix, equals, written = part.partition("=")
        suffix = suffix.lower().strip(".")
        if not equals or not (suffix == "*" or _NAME.fullmatch(suffix)):
            raise ValueError(f"{_masked(part)!r} is not suffix=way|way")
        if suffix in entries:
            raise ValueError(f"{suffix!r} is given twice")
        entries[suffix] = Egress("" if suffix == "*" else suffix, tuple(_way(each) for each in written.split("|")))
    return tuple(entries.values())


def _way(text: str) -> Way:
    if text.startswith("socks5://"):
        return _proxied(text)
    address, _, helo = text.partition("/")
    try:
        source = str(ip_address(address))
    except ValueError:
        raise ValueError(f"{_masked(text)!r} is neither an IP address nor socks5://host:port") from None
    return Way(source=source, helo=_helo(helo))


def _proxied(text: str) -> Way:
    url = urlsplit(text)
    try:
        port = url.port
    except ValueError:
        port = None
    if not url.hostname or not port or url.query or url.fragment:
        raise ValueError(f"{_masked(text)!r} is not socks5://[user:password@]host:port")
    user, password = unquote(url.username or ""), unquote(url.password or "")
    if max(len(user.encode()), len(password.encode())) > 255 or (password and not user):
        raise ValueError(f"{_masked(text)!r}: user and password have at most 255 bytes, and no password goes alone")
    return Way(proxy=Socks5(url.hostname, port, user, password), helo=_helo(url.path.strip("/")))


def _helo(text: str) -> str | None:
    if text and not _NAME.fullmatch(text.lower()):
        raise ValueError(f"{text!r} is not a name to greet with")
    return text or None


def _masked(text: str) -> str:
    """Return a setting without its password: problems are printed."""
    return re.sub(r"//[^@\s]*@", "//...@", text)
