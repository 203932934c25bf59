"""Domains whose mail hosts refuse the client rather than a mailbox, and those that only put it off."""

from verifier.lab.domain import (
    ACCEPT_ALL,
    BLOCKED,
    GREYLISTED,
    NO_SUCH_USER,
    SENDER_REJECTED,
    SERVER_ERROR,
    TEMPORARY,
    Domain,
    always,
    mail,
    slow,
)
from verifier.lab.script import FAULT, RELAY, TAKEN, Script

_LISTED = (
    "554 5.7.1 Service unavailable; Client host [{client}] blocked using zen.spamhaus.org; "
    "https://www.spamhaus.org/query/ip/{client}"
)
_REFUSED = "550 Transaction refused"
_SPF = "550 5.7.23 The message was rejected because of Sender Policy Framework violation"

BLOCKS: tuple[Domain, ...] = (
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
    always(
        "hostrejected",
        "Refuses the client at RCPT, as Postfix does.",
        Script(known=(_HOST := "554 5.7.1 <client[{client}]>: Client host rejected: Access denied"), unknown=_HOST),
        BLOCKED,
    ),
    always(
        "bannedaddress",
        "Refuses banned addresses at MAIL, as Microsoft does.",
        Script(mail="550 5.7.606 Access denied, banned sending IP [{client}]. To request removal use the form"),
        BLOCKED,
    ),
    always(
        "reputation",
        "Refuses a poor reputation, without an enhanced code.",
        Script(known=(_POOR := "550 Rejected due to the poor reputation of {client}"), unknown=_POOR),
        BLOCKED,
    ),
    always(
        "ehloblocked",
        "Refuses our name, in EHLO and in HELO.",
        Script(ehlo=(_NAME := "550 5.7.1 Access denied - Invalid HELO name"), helo=_NAME),
        BLOCKED,
    ),
    always(
        "unauthenticated",
        "Wants the sender to be authenticated.",
        Script(known=(_DMARC := "550 5.7.26 Unauthenticated email is not accepted from this domain"), unknown=_DMARC),
        BLOCKED,
    ),
    always(
        "noptryet",
        "Puts off whose address has no name.",
        Script(
            known=(_NO_NAME := "450 4.7.25 Client host rejected: cannot find your hostname, [{client}]"),
            unknown=_NO_NAME,
        ),
        TEMPORARY,
    ),
    always(
        "senderverify",
        "Cannot verify our sender, in words that might be said of the recipient.",
        Script(
            known=(_CALLBACK := "550 Verification failed for <{sender}>\nUnrouteable address\nSender verify failed"),
            unknown=_CALLBACK,
        ),
        SENDER_REJECTED,
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
        "rcpthosts",
        "qmail that does not serve it.",
        Script(
            known=(_HOSTS := "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)"), unknown=_HOSTS
        ),
        NO_SUCH_USER,
    ),
    always(
        "norelay",
        "Exim that does not serve it.",
        Script(known=(_PERMIT := "550 relay not permitted"), unknown=_PERMIT),
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
"""Hosts that refuse the client, its sender or every recipient, for good or for now."""

GREYLISTS: tuple[Domain, ...] = (
    mail("greylisted", "Puts every recipient off for 1.5 s.", Script(greylist_seconds=1.5)),
    mail(
        "greycatchall",
        "Takes every recipient, after 1.5 s.",
        Script(greylist_seconds=1.5, unknown=TAKEN),
        ACCEPT_ALL,
        ACCEPT_ALL,
    ),
    mail(
        "greyplain",
        "Puts every recipient off for 1.5 s, without an enhanced code.",
        Script(greylist_seconds=1.5, greylist="451 Greylisting in action, please come back later"),
    ),
    mail(
        "greygerman",
        "Puts every recipient off for 1.5 s, in German.",
        Script(
            greylist_seconds=1.5,
            greylist="450 4.7.1 <{address}>: Greylisting aktiv, bitte versuchen Sie es später erneut",
        ),
    ),
    slow("postgrey", "Puts every recipient off for 3 s.", Script(greylist_seconds=3.0)),
    slow("greyforever", "Puts every recipient off for ever.", Script(greylist_seconds=1e9), GREYLISTED, GREYLISTED),
)
"""Hosts that want to be asked again."""
