"""Domains by the way that leads to their mailboxes: what the name server tells, and which mail hosts answer."""

from verifier.lab.domain import (
    ACCEPT_ALL,
    DNS_FAILURE,
    NO_CONNECTION,
    NO_DOMAIN,
    NO_MAIL_HOST,
    NO_SUCH_USER,
    NULL_MX,
    SERVER_ERROR,
    UNROUTABLE,
    Dns,
    Domain,
    Host,
    unreached,
)
from verifier.lab.script import EXTENSIONS, FAULT, RELAY, TAKEN, UTF8, Script

OK_HOST = Host("ok", UTF8)
SHARED_HOST = Host("shared", Script())
UTF8_HOST = Host("utf8", UTF8)

ROUTES: tuple[Domain, ...] = (
    unreached("nxdomain", "No such domain.", Dns.NXDOMAIN, NO_DOMAIN),
    unreached("nullmx", "A null MX: takes no mail.", Dns.NULL_MX, NULL_MX),
    unreached("servfail", "The name server fails.", Dns.SERVFAIL, DNS_FAILURE),
    unreached("dnsrefused", "The name server refuses.", Dns.REFUSED, DNS_FAILURE),
    unreached("dnssilent", "The name server says nothing.", Dns.SILENT, DNS_FAILURE, is_slow=True),
    unreached("nodata", "The domain is there, with neither MX nor address.", Dns.NO_DATA, NO_MAIL_HOST),
    unreached("failinghost", "The address of its mail host cannot be told.", Dns.FAILING_HOST, DNS_FAILURE),
    unreached("privatehost", "Its mail host is in a private network.", Dns.PRIVATE_HOST, UNROUTABLE),
    unreached("metadatahost", "Its mail host is where clouds keep their secrets.", Dns.METADATA_HOST, UNROUTABLE),
    Domain(
        name="nullbeside",
        about="A null MX beside a real one.",
        dns=Dns.NULL_BESIDE,
        hosts=(Host("nullbeside", Script()),),
    ),
    Domain(
        name="lostbeside",
        about="The best MX names a host that does not exist, the next one is well.",
        dns=Dns.LOST_BESIDE,
        hosts=(Host("lostbeside", Script()),),
    ),
    Domain(
        name="implicitdown",
        about="No MX, and nothing listens at its address.",
        dns=Dns.IMPLICIT,
        hosts=(Host("implicitdown", None),),
        known=NO_CONNECTION,
        unknown=NO_CONNECTION,
    ),
    unreached("losthosts", "Every MX names a host that does not exist.", Dns.LOST_HOSTS, NO_MAIL_HOST),
    Domain(
        name="implicit",
        about="No MX: its address is its mail host.",
        dns=Dns.IMPLICIT,
        hosts=(Host("implicit", Script()),),
    ),
    Domain(name="alias", about="A CNAME to `ok`.", dns=Dns.ALIAS, alias_of="ok", hosts=(OK_HOST,)),
    Domain(name="truncated", about="MX only over TCP.", dns=Dns.TRUNCATED, hosts=(Host("truncated", Script()),)),
    Domain(name="xn--bcher-kva", about="An internationalised name, bücher.", hosts=(UTF8_HOST,)),
    Domain(name="twin-a", about="Shares its mail host with twin-b.", hosts=(SHARED_HOST,)),
    Domain(name="twin-b", about="Shares its mail host with twin-a.", hosts=(SHARED_HOST,)),
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
        hosts=(
            Host("bestforeign-1", Script(known=RELAY, unknown=RELAY), alone=NO_SUCH_USER),
            Host("bestforeign-2", Script(), 20),
        ),
    ),
    Domain(
        name="bestfaulty",
        about="The best MX puts every recipient off, the next one is well.",
        hosts=(
            Host("bestfaulty-1", Script(known=FAULT, unknown=FAULT), alone=SERVER_ERROR),
            Host("bestfaulty-2", Script(), 20),
        ),
    ),
    Domain(
        name="backupaccepts",
        about="The best MX tells who is there, the next one takes every recipient.",
        hosts=(Host("backupaccepts-1", Script()), Host("backupaccepts-2", Script(unknown=TAKEN), 20, alone=ACCEPT_ALL)),
    ),
    Domain(
        name="backuponly",
        about="The best MX is down, the next one takes every recipient.",
        hosts=(Host("backuponly-1", None), Host("backuponly-2", Script(unknown=TAKEN), 20)),
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
    Domain(
        name="blackholed",
        about="Connecting to its mail host is neither granted nor refused.",
        hosts=(Host("blackholed", None, is_blackholed=True),),
        known=NO_CONNECTION,
        unknown=NO_CONNECTION,
        is_slow=True,
    ),
    Domain(
        name="besthole",
        about="Connecting to the best MX is neither granted nor refused, the next one answers.",
        hosts=(Host("besthole-1", None, is_blackholed=True), Host("besthole-2", Script(), 20)),
        is_slow=True,
    ),
    Domain(
        name="ipv6only", about="Its mail host has an IPv6 address alone.", hosts=(Host("ipv6", Script(), is_ipv6=True),)
    ),
    Domain(
        name="deadaddresses",
        about="Two addresses of its mail host lead nowhere, the third one answers.",
        hosts=(Host("deadaddresses", Script(), dead_addresses=2),),
    ),
    Domain(
        name="equals",
        about="Three MX of one preference, one of them down.",
        hosts=(Host("equals-1", Script()), Host("equals-2", None), Host("equals-3", Script())),
    ),
)
