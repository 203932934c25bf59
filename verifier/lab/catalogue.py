"""The catalogue: every domain of the sandbox, how it behaves, and the verdicts that are right for it."""

from verifier.engine.evidence import Reason, Status
from verifier.lab.dialects import DIALECTS
from verifier.lab.domain import EXISTS, NO_SUCH_USER, Dns, Domain, Expected, Host
from verifier.lab.script import EXTENSIONS, Script, Tls

ACCEPT_ALL = Expected(Status.CATCHALL, Reason.ACCEPT_ALL)
FULL = Expected(Status.EXISTS, Reason.MAILBOX_FULL)
BLOCKED = Expected(Status.UNKNOWN, Reason.BLOCKED)
DNS_FAILURE = Expected(Status.UNKNOWN, Reason.DNS_FAILURE)
NO_CONNECTION = Expected(Status.UNKNOWN, Reason.NO_CONNECTION)
GREYLISTED = Expected(Status.UNKNOWN, Reason.GREYLISTED)
TEMPORARY = Expected(Status.UNKNOWN, Reason.TEMPORARY)
NO_DOMAIN = Expected(Status.NOT_EXISTS, Reason.NO_DOMAIN)
NO_MAIL_HOST = Expected(Status.NOT_EXISTS, Reason.NO_MAIL_HOST)
NULL_MX = Expected(Status.NOT_EXISTS, Reason.NULL_MX)

_TAKEN = "250 2.1.5 Ok"
_LISTED = (
    "554 5.7.1 Service unavailable; Client host [{client}] blocked using zen.spamhaus.org; "
    "https://www.spamhaus.org/query/ip/{client}"
)
_RELAY = "554 5.7.1 <{address}>: Relay access denied"
_FAULT = "451 4.3.0 <{address}>: Temporary lookup failure"
_REFUSED = "550 Transaction refused"
_SPF = "550 5.7.23 The message was rejected because of Sender Policy Framework violation"
_OK_HOST = Host("ok", Script(extensions=(*EXTENSIONS, "SMTPUTF8")))
_SHARED_HOST = Host("shared", Script())
_SMTPUTF8_HOST = Host("utf8", Script(extensions=(*EXTENSIONS, "SMTPUTF8")))


def _mail(name: str, about: str, script: Script, known: Expected = EXISTS, unknown: Expected = NO_SUCH_USER) -> Domain:
    """Return a domain with one mail host of its own."""
    return Domain(name=name, about=about, hosts=(Host(name, script),), known=known, unknown=unknown)


def _slow(name: str, about: str, script: Script, known: Expected = EXISTS, unknown: Expected = NO_SUCH_USER) -> Domain:
    return Domain(name=name, about=about, hosts=(Host(name, script),), known=known, unknown=unknown, is_slow=True)


def _always(name: str, about: str, script: Script, expected: Expected) -> Domain:
    return _mail(name, about, script, expected, expected)


def _unreached(name: str, about: str, dns: Dns, expected: Expected, *, is_slow: bool = False) -> Domain:
    return Domain(name=name, about=about, dns=dns, known=expected, unknown=expected, is_slow=is_slow)


_NAMES = (
    _unreached("nxdomain", "No such domain.", Dns.NXDOMAIN, NO_DOMAIN),
    _unreached("nullmx", "A null MX: takes no mail.", Dns.NULL_MX, NULL_MX),
    _unreached("servfail", "The name server fails.", Dns.SERVFAIL, DNS_FAILURE),
    _unreached("dnsrefused", "The name server refuses.", Dns.REFUSED, DNS_FAILURE),
    _unreached("dnssilent", "The name server says nothing.", Dns.SILENT, DNS_FAILURE, is_slow=True),
    _unreached("nodata", "The domain is there, with neither MX nor address.", Dns.NO_DATA, NO_MAIL_HOST),
    _unreached("losthosts", "Every MX names a host that does not exist.", Dns.LOST_HOSTS, NO_MAIL_HOST),
    Domain(
        name="implicit",
        about="No MX: its address is its mail host.",
        dns=Dns.IMPLICIT,
        hosts=(Host("implicit", Script()),),
    ),
    Domain(name="alias", about="A CNAME to `ok`.", dns=Dns.ALIAS, alias_of="ok", hosts=(_OK_HOST,)),
    Domain(name="truncated", about="MX only over TCP.", dns=Dns.TRUNCATED, hosts=(Host("truncated", Script()),)),
    Domain(name="xn--bcher-kva", about="An internationalised name, bücher.", hosts=(_SMTPUTF8_HOST,)),
    Domain(name="twin-a", about="Shares its mail host with twin-b.", hosts=(_SHARED_HOST,)),
    Domain(name="twin-b", about="Shares its mail host with twin-a.", hosts=(_SHARED_HOST,)),
    Domain(
        name="bestdown",
        about="The best MX is down, the next one answers.",
        hosts=(Host("bestdown-1", None), Host("bestdown-2", Script(), 20)),
    ),
    Domain(
        name="bestbusy",
        about="The best MX answers 421, the next one is well.",
        hosts=(
            Host("bestbusy-1", Script(banner="421 4.3.2 {host} too busy")),
            Host("bestbusy-2", Script(extensions=(*EXTENSIONS, "SMTPUTF8")), 20),
        ),
    ),
    Domain(name="mxalias", about="Its MX names an alias.", dns=Dns.MX_ALIAS, hosts=(Host("mxalias", Script()),)),
    Domain(
        name="bestforeign",
        about="The best MX does not serve it, the next one does.",
        hosts=(Host("bestforeign-1", Script(known=_RELAY, unknown=_RELAY)), Host("bestforeign-2", Script(), 20)),
    ),
    Domain(
        name="bestfaulty",
        about="The best MX puts every recipient off, the next one is well.",
        hosts=(Host("bestfaulty-1", Script(known=_FAULT, unknown=_FAULT)), Host("bestfaulty-2", Script(), 20)),
    ),
    Domain(
        name="backupaccepts",
        about="The best MX tells who is there, the next one takes every recipient.",
        hosts=(Host("backupaccepts-1", Script()), Host("backupaccepts-2", Script(unknown=_TAKEN), 20)),
    ),
    Domain(
        name="backuponly",
        about="The best MX is down, the next one takes every recipient.",
        hosts=(Host("backuponly-1", None), Host("backuponly-2", Script(unknown=_TAKEN), 20)),
        known=ACCEPT_ALL,
        unknown=ACCEPT_ALL,
    ),
    Domain(
        name="refused",
        about="Nothing listens on the mail host's port.",
        hosts=(Host("refused", None),),
        known=NO_CONNECTION,
        unknown=NO_CONNECTION,
    ),
)

_MAILBOXES = (
    Domain(name="ok", about="A plain host that tells who is there.", hosts=(_OK_HOST,)),
    _mail("catchall", "Takes every recipient.", Script(unknown=_TAKEN), ACCEPT_ALL, ACCEPT_ALL),
    _mail("full", "Every mailbox is over quota.", Script(known="452 4.2.2 The email account is over quota"), FULL),
    _mail("full552", "Over quota, as a permanent error.", Script(known="552 5.2.2 Mailbox size limit exceeded"), FULL),
    _mail(
        "fullplain",
        "Over quota, without an enhanced code.",
        Script(known="552 Requested mail action aborted: mailbox quota exceeded", unknown="550 No such user here"),
        FULL,
    ),
    _mail(
        "disabled",
        "Every mailbox was switched off.",
        Script(known="550 5.2.1 The email account that you tried to reach is disabled."),
        Expected(Status.NOT_EXISTS, Reason.MAILBOX_DISABLED),
    ),
    _mail(
        "overrate",
        "Mailboxes that get too much mail now.",
        Script(
            known="450 4.2.1 The user you are trying to contact is receiving mail at a rate that\n"
            "4.2.1 prevents additional messages from being delivered."
        ),
        Expected(Status.EXISTS, Reason.RATE_LIMITED_MAILBOX),
    ),
    _mail("forwards", "Forwards for its users.", Script(known="251 2.1.5 User not local; will forward to <{address}>")),
    _always(
        "cannotverify",
        "Neither confirms nor denies.",
        Script(known=(_252 := "252 2.1.5 Cannot VRFY user, but will accept message"), unknown=_252),
        Expected(Status.UNKNOWN, Reason.CANNOT_VERIFY),
    ),
)

_BLOCKS = (
    _always("blocked", "Blocks the client at RCPT.", Script(known=_LISTED, unknown=_LISTED), BLOCKED),
    _always(
        "blockedplain",
        "Blocks the client at RCPT, without an enhanced code.",
        Script(
            known=(_S3140 := "550 Mail from {client} was rejected: listed on our block list (S3140)"), unknown=_S3140
        ),
        BLOCKED,
    ),
    _always("blockedbanner", "Blocks the client at once.", Script(banner=_LISTED), BLOCKED),
    _always(
        "blockedmail",
        "Blocks the client at MAIL.",
        Script(mail="550 5.7.25 The IP address sending this message does not have a PTR record setup"),
        BLOCKED,
    ),
    _always(
        "noptr",
        "Greets nobody whose address has no name.",
        Script(banner="554 5.7.1 Client host rejected: cannot find your reverse hostname, [{client}]"),
        BLOCKED,
    ),
    _always("spf", "Refuses at RCPT by the sender's policy.", Script(known=_SPF, unknown=_SPF), BLOCKED),
    _always(
        "sameanswer",
        "Refuses everybody with the same words, which say nothing of users.",
        Script(known=_REFUSED, unknown=_REFUSED),
        BLOCKED,
    ),
    _mail(
        "nullonly",
        "Takes no sender but the null one.",
        Script(mail="550 5.1.8 <{sender}>: Sender address rejected", null_sender="250 2.1.0 Ok"),
    ),
    _always(
        "senderrefused",
        "Refuses every sender.",
        Script(mail="553 5.1.8 <{sender}>: Sender address rejected: Domain not found"),
        Expected(Status.UNKNOWN, Reason.SENDER_REJECTED),
    ),
    _mail("nullrefused", "Refuses the null sender.", Script(null_sender="550 5.7.1 Null sender refused")),
    _always(
        "relaydenied",
        "Its only mail host does not serve it.",
        Script(known=_RELAY, unknown=_RELAY),
        NO_SUCH_USER,
    ),
    _always(
        "servererror",
        "A fault of the server at RCPT.",
        Script(known=_FAULT, unknown=_FAULT),
        Expected(Status.UNKNOWN, Reason.SERVER_ERROR),
    ),
    _always(
        "busy",
        "Always too busy.",
        Script(banner="421 4.3.2 {host} Service not available, try again later"),
        TEMPORARY,
    ),
)

_GREYLISTS = (
    _mail("greylisted", "Puts every recipient off for 1.5 s.", Script(greylist_seconds=1.5)),
    _mail(
        "greycatchall",
        "Takes every recipient, after 1.5 s.",
        Script(greylist_seconds=1.5, unknown=_TAKEN),
        ACCEPT_ALL,
        ACCEPT_ALL,
    ),
    _slow("greyforever", "Puts every recipient off for ever.", Script(greylist_seconds=1e9), GREYLISTED, GREYLISTED),
)

_MANNERS = (
    _mail("heloonly", "Knows no EHLO.", Script(ehlo="502 5.5.1 Command not implemented")),
    _mail(
        "multiline",
        "Greets in several lines.",
        Script(banner="220 {host} ESMTP\nWe do not authorize the use of this system\nto transport unsolicited mail."),
    ),
    _slow("slowbanner", "Greets after 1.5 s.", Script(banner_after_seconds=1.5)),
    _mail("fqdnwanted", "Wants a name with a dot in EHLO.", Script(wants_fqdn=True)),
    _mail("longlines", "Greets with a line of 4 kB.", Script(banner="220 {host} " + "ESMTP " * 700)),
    _mail("twoatatime", "Takes two connections of a client.", Script(connections_max=2)),
    _slow(
        "hangs",
        "Never answers RCPT.",
        Script(rcpt_after_seconds=3600.0),
        Expected(Status.UNKNOWN, Reason.TIMEOUT),
        Expected(Status.UNKNOWN, Reason.TIMEOUT),
    ),
    _slow("slow", "Takes 0.2 s for each recipient.", Script(rcpt_after_seconds=0.2)),
    _mail("nopipelining", "Offers no pipelining.", Script(extensions=("SIZE 10240000", "8BITMIME"))),
    _mail("dropspipeliners", "Offers pipelining and hangs up on those who use it.", Script(drops_pipeliners=True)),
    _mail("barelf", "Ends its lines with LF alone.", Script(line_end=b"\n")),
    _mail("bytewise", "Sends byte by byte.", Script(byte_by_byte=True)),
    _mail("fiveonly", "Takes five recipients a transaction.", Script(recipients_max=5)),
    _mail("oneonly", "Takes one recipient a transaction.", Script(recipients_max=1)),
    _mail("threestrikes", "Hangs up with 421 after three refusals.", Script(refusals_max=3)),
    _mail("hangsup", "Hangs up after a refusal.", Script(closes_after_refusal=True)),
    _always(
        "http",
        "Speaks HTTP.",
        Script(raw_banner=b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        Expected(Status.UNKNOWN, Reason.PROTOCOL),
    ),
    _mail("tlsoffered", "Offers STARTTLS.", Script(tls=Tls.OFFERED)),
    _mail("tlsdemanded", "Demands STARTTLS.", Script(tls=Tls.DEMANDED)),
    _mail("tls454", "Offers STARTTLS, which is out of order.", Script(tls=Tls.TEMPORARILY_OUT)),
    _mail("tlsbroken", "Offers STARTTLS and breaks the handshake.", Script(tls=Tls.BROKEN)),
    _mail("utf8", "Takes addresses outside ASCII.", _SMTPUTF8_HOST.script or Script()),
)

_DIALECTS = tuple(_mail(name, f"Answers as {dialect.of} does.", dialect.script) for name, dialect in DIALECTS.items())

CATALOGUE: tuple[Domain, ...] = (*_MAILBOXES, *_DIALECTS, *_NAMES, *_BLOCKS, *_GREYLISTS, *_MANNERS)
"""Every domain of the sandbox. Names that are not here do not exist."""
