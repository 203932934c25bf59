"""The catalogue: every domain of the sandbox, how it behaves, and the verdicts that are right for it."""

from dataclasses import replace

from verifier.engine.evidence import Reason, Status
from verifier.lab import manners, routes
from verifier.lab.dialects import DIALECTS
from verifier.lab.domain import (
    ACCEPT_ALL,
    BLOCKED,
    FULL,
    GREYLISTED,
    NO_SUCH_USER,
    SENDER_REJECTED,
    SERVER_ERROR,
    TEMPORARY,
    Domain,
    Expected,
    Host,
    always,
    mail,
    slow,
)
from verifier.lab.script import FAULT, RELAY, TAKEN, Script

_FOR_EVER_SECONDS = 3600.0

_LISTED = (
    "554 5.7.1 Service unavailable; Client host [{client}] blocked using zen.spamhaus.org; "
    "https://www.spamhaus.org/query/ip/{client}"
)
_REFUSED = "550 Transaction refused"
_SPF = "550 5.7.23 The message was rejected because of Sender Policy Framework violation"

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

_BLOCKS = (
    always("blocked", "Blocks the client at RCPT.", Script(known=_LISTED, unknown=_LISTED), BLOCKED),
    always(
        "blockedplain",
        "Blocks the client at RCPT, without an enhanced code.",
        Script(
            known=(_S3140 := "550 Mail from {client} was rejected: listed on our block list (S3140)"), unknown=_S3140
        ),
        BLOCKED,
    ),
    always("blockedbanner", "Blocks the client at once.", Script(banner=_LISTED), BLOCKED),
    always(
        "blockedmail",
        "Blocks the client at MAIL.",
        Script(mail="550 5.7.25 The IP address sending this message does not have a PTR record setup"),
        BLOCKED,
    ),
    always(
        "noptr",
        "Greets nobody whose address has no name.",
        Script(banner="554 5.7.1 Client host rejected: cannot find your reverse hostname, [{client}]"),
        BLOCKED,
    ),
    always("spf", "Refuses at RCPT by the sender's policy.", Script(known=_SPF, unknown=_SPF), BLOCKED),
    always(
        "sameanswer",
        "Refuses everybody with the same words, which say nothing of users.",
        Script(known=_REFUSED, unknown=_REFUSED),
        BLOCKED,
    ),
    mail(
        "nullonly",
        "Takes no sender but the null one.",
        Script(mail="550 5.1.8 <{sender}>: Sender address rejected", null_sender="250 2.1.0 Ok"),
    ),
    always(
        "senderrefused",
        "Refuses every sender.",
        Script(mail="553 5.1.8 <{sender}>: Sender address rejected: Domain not found"),
        SENDER_REJECTED,
    ),
    mail("nullrefused", "Refuses the null sender.", Script(null_sender="550 5.7.1 Null sender refused")),
    always(
        "relaydenied",
        "Its only mail host does not serve it.",
        Script(known=RELAY, unknown=RELAY),
        NO_SUCH_USER,
    ),
    always(
        "servererror",
        "A fault of the server at RCPT.",
        Script(known=FAULT, unknown=FAULT),
        SERVER_ERROR,
    ),
    always(
        "mailbusy",
        "Always too busy for MAIL.",
        Script(mail="451 4.3.2 Please try again later"),
        TEMPORARY,
    ),
    always(
        "nomail",
        "Takes no mail at all (RFC 7504).",
        Script(banner="521 5.3.2 {host} does not accept mail"),
        BLOCKED,
    ),
    always(
        "busy",
        "Always too busy.",
        Script(banner="421 4.3.2 {host} Service not available, try again later"),
        TEMPORARY,
    ),
)

_GREYLISTS = (
    mail("greylisted", "Puts every recipient off for 1.5 s.", Script(greylist_seconds=1.5)),
    mail(
        "greycatchall",
        "Takes every recipient, after 1.5 s.",
        Script(greylist_seconds=1.5, unknown=TAKEN),
        ACCEPT_ALL,
        ACCEPT_ALL,
    ),
    slow("postgrey", "Puts every recipient off for 3 s.", Script(greylist_seconds=3.0)),
    slow("greyforever", "Puts every recipient off for ever.", Script(greylist_seconds=1e9), GREYLISTED, GREYLISTED),
)

_DIALECTS = tuple(mail(name, f"Answers as {dialect.of} does.", dialect.script) for name, dialect in DIALECTS.items())

CATALOGUE: tuple[Domain, ...] = (
    *_MAILBOXES,
    *_DIALECTS,
    *routes.ROUTES,
    *_BLOCKS,
    *_GREYLISTS,
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
