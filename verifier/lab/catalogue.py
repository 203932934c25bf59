"""The catalogue: every domain of the sandbox, how it behaves, and the verdicts that are right for it."""

from dataclasses import replace

from verifier.engine.evidence import Reason, Status
from verifier.lab import manners, refusals, routes
from verifier.lab.dialects import DIALECTS
from verifier.lab.domain import (
    ACCEPT_ALL,
    FULL,
    SERVER_ERROR,
    TEMPORARY,
    Domain,
    Expected,
    Host,
    always,
    mail,
)
from verifier.lab.script import TAKEN, Script

_FOR_EVER_SECONDS = 3600.0

_MAILBOXES = (
    Domain(name="ok", about="A plain host that tells who is there.", hosts=(routes.OK_HOST,)),
    mail("catchall", "Takes every recipient.", Script(unknown=TAKEN), ACCEPT_ALL, ACCEPT_ALL),
    mail("full", "Every mailbox is over quota.", Script(known="452 4.2.2 The email account is over quota"), FULL),
    mail("full552", "Over quota, as a permanent error.", Script(known="552 5.2.2 Mailbox size limit exceeded"), FULL),
    mail(
        "fullplain",
        "Over quota, without an enhanced code.",
        Script(known="552 Requested mail action aborted: mailbox quota exceeded", unknown="550 No such user here"),
        FULL,
    ),
    mail("full550", "Over quota, for good.", Script(known="550 5.2.2 <{address}>: Mailbox full"), FULL),
    mail(
        "full451",
        "Over quota, for now.",
        Script(known="451 4.2.2 <{address}>: user is over quota, try again later"),
        FULL,
    ),
    always(
        "diskfull",
        "The server's disk is full, not a mailbox.",
        Script(known=(_DISK := "452 4.3.1 Insufficient system storage"), unknown=_DISK),
        SERVER_ERROR,
    ),
    always(
        "misconfigured",
        "A fault of the server, told as a permanent one.",
        Script(known=(_SETUP := "554 5.3.5 System incorrectly configured"), unknown=_SETUP),
        SERVER_ERROR,
    ),
    mail(
        "inactive",
        "Inactive mailboxes, without an enhanced code.",
        Script(known="550 Account <{address}> is inactive"),
        Expected(Status.NOT_EXISTS, Reason.MAILBOX_DISABLED),
    ),
    always(
        "unverified",
        "Has yet to ask somebody else whether a mailbox exists.",
        Script(
            known=(_UNVERIFIED := "450 4.1.1 <{address}>: Recipient address rejected: unverified address"),
            unknown=_UNVERIFIED,
        ),
        TEMPORARY,
    ),
    replace(
        mail(
            "unsure",
            "Takes its users, and is never sure of strange names.",
            Script(strange="450 4.1.1 <{address}>: Recipient address rejected: unverified address"),
            TEMPORARY,
        ),
        or_else=TEMPORARY,
    ),
    replace(
        mail("mostlycatchall", "Takes strange names, and refuses some that it knew.", Script(strange=TAKEN)),
        known=ACCEPT_ALL,
        or_else=ACCEPT_ALL,
    ),
    mail(
        "disabled",
        "Every mailbox was switched off.",
        Script(known="550 5.2.1 The email account that you tried to reach is disabled."),
        Expected(Status.NOT_EXISTS, Reason.MAILBOX_DISABLED),
    ),
    mail(
        "overrate",
        "Mailboxes that get too much mail now.",
        Script(
            known="450 4.2.1 The user you are trying to contact is receiving mail at a rate that\n"
            "4.2.1 prevents additional messages from being delivered."
        ),
        Expected(Status.EXISTS, Reason.RATE_LIMITED_MAILBOX),
    ),
    mail("forwards", "Forwards for its users.", Script(known="251 2.1.5 User not local; will forward to <{address}>")),
    always("acceptsthenbounces", "Takes every recipient, and bounces later.", Script(unknown=TAKEN), ACCEPT_ALL),
    always(
        "cannotverify",
        "Neither confirms nor denies.",
        Script(known=(_252 := "252 2.1.5 Cannot VRFY user, but will accept message"), unknown=_252),
        Expected(Status.UNKNOWN, Reason.CANNOT_VERIFY),
    ),
)

_DIALECTS = tuple(mail(name, f"Answers as {dialect.of} does.", dialect.script) for name, dialect in DIALECTS.items())

CATALOGUE: tuple[Domain, ...] = (
    *_MAILBOXES,
    *_DIALECTS,
    *routes.ROUTES,
    *refusals.BLOCKS,
    *refusals.GREYLISTS,
    *manners.MANNERS,
    *manners.LIMITS,
)
"""Every domain of the sandbox. Names that are not here do not exist."""


def hastened(factor: float) -> tuple[Domain, ...]:
    """Return the catalogue with every wait multiplied, for those who are in a hurry; what waits for ever still does."""
    return tuple(replace(domain, hosts=tuple(_hastened(host, factor) for host in domain.hosts)) for domain in CATALOGUE)


def _hastened(host: Host, factor: float) -> Host:
    script = host.script
    if script is None:
        return host
    wait = script.greylist_seconds
    return replace(
        host,
        script=replace(
            script,
            banner_after_seconds=_shorter(script.banner_after_seconds, factor),
            rcpt_after_seconds=_shorter(script.rcpt_after_seconds, factor),
            greylist_seconds=None if wait is None else _shorter(wait, factor),
            tarpit_seconds=_shorter(script.tarpit_seconds, factor),
            rate_seconds=_shorter(script.rate_seconds, factor),
            block_seconds=_shorter(script.block_seconds, factor),
        ),
    )


def _shorter(seconds: float, factor: float) -> float:
    return seconds if seconds >= _FOR_EVER_SECONDS else seconds * factor
