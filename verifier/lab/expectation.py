"""The oracle: what a perfect verifier says about an address of the sandbox, known without asking anybody."""

from dataclasses import replace

from email_validator import EmailNotValidError, validate_email

from verifier.engine.evidence import Reason, Status
from verifier.lab import mailboxes
from verifier.lab.catalogue import CATALOGUE
from verifier.lab.domain import (
    HOSTS_ZONE,
    NO_CONNECTION,
    NO_DOMAIN,
    NO_MAIL_HOST,
    TEMPORARY,
    ZONE,
    Domain,
    Expected,
    Host,
)


def _alone(domain: Domain, host: Host) -> Domain:
    """Return the domain as it would be with this one host."""
    if host.alone:
        return replace(domain, hosts=(host,), known=host.alone, unknown=host.alone)
    if host.script is None:
        return replace(domain, hosts=(host,), known=NO_CONNECTION, unknown=NO_CONNECTION)
    if host.script.banner.startswith("4"):
        return replace(domain, hosts=(host,), known=TEMPORARY, unknown=TEMPORARY)
    return replace(domain, hosts=(host,))


_DOMAINS = {domain.full_name: domain for domain in CATALOGUE}
_HOSTS = {f"{host.name}.{HOSTS_ZONE}": _alone(domain, host) for domain in CATALOGUE for host in domain.hosts}
"""A mail host's own name is a domain too, by its address (implicit MX), with the same mailboxes."""
_BARE_NAMES = {ZONE: NO_MAIL_HOST, HOSTS_ZONE: NO_MAIL_HOST, f"ns.{ZONE}": NO_CONNECTION}


def expected(address: str) -> Expected:
    """Return the status and reason that are right once all waiting is over.

    Anything malformed is INVALID_SYNTAX. For an address outside ASCII at a host that both lacks SMTPUTF8 and blocks the
    client, this is EAI_UNSUPPORTED; a verifier that met the block first is right too. Raises LookupError for a
    well-formed address outside the sandbox.
    """
    try:
        parsed = validate_email(
            address.strip(),
            strict=True,
            allow_quoted_local=True,
            allow_smtputf8=True,
            check_deliverability=False,
            test_environment=True,
        )
    except EmailNotValidError:
        return Expected(Status.INVALID_SYNTAX, Reason.SYNTAX)
    name = parsed.ascii_domain.lower()
    if name != ZONE and not name.endswith(f".{ZONE}"):
        message = f"{name} is not in {ZONE}"
        raise LookupError(message)
    if name in _BARE_NAMES:
        return _BARE_NAMES[name]
    domain = _DOMAINS.get(name) or _HOSTS.get(name)
    if domain is None:
        return NO_DOMAIN
    if not parsed.local_part.isascii() and _reaches_mail(domain) and not _takes_utf8(domain):
        return Expected(Status.UNKNOWN, Reason.EAI_UNSUPPORTED)
    return domain.known if mailboxes.is_mailbox(parsed.local_part) else domain.unknown


def is_right(address: str, status: Status, reason: Reason) -> bool:
    """Tell whether a verdict is as expected, or what else may happen to this address beside others of its domain.

    Raises LookupError as `expected` does.
    """
    found = expected(address)
    if (status, reason) == found:
        return True
    domain = _DOMAINS.get(address.strip().rpartition("@")[2].lower())
    return domain is not None and domain.or_else == (status, reason)


def _reaches_mail(domain: Domain) -> bool:
    return any(
        host.script and host.script.raw_banner is None and host.script.banner.startswith("2") for host in domain.hosts
    )


def _takes_utf8(domain: Domain) -> bool:
    return any(host.script and host.script.offers_smtputf8 and host.script.ehlo is None for host in domain.hosts)
