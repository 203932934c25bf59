"""Domains by how their mail hosts behave: how they speak, and how much they bear."""

from dataclasses import replace

from verifier.lab.domain import BLOCKED, PROTOCOL, TIMEOUT, Domain, always, mail, slow
from verifier.lab.script import UTF8, Script, Tls

MANNERS: tuple[Domain, ...] = (
    mail("heloonly", "Knows no EHLO.", Script(ehlo="502 5.5.1 Command not implemented")),
    mail(
        "multiline",
        "Greets in several lines.",
        Script(banner="220 {host} ESMTP\nWe do not authorize the use of this system\nto transport unsolicited mail."),
    ),
    slow("slowbanner", "Greets after 1.5 s.", Script(banner_after_seconds=1.5)),
    mail("fqdnwanted", "Wants a name with a dot in EHLO.", Script(wants_fqdn=True)),
    mail("longlines", "Greets with a line of 4 kB.", Script(banner="220 {host} " + "ESMTP " * 700)),
    slow(
        "hangs",
        "Never answers RCPT.",
        Script(rcpt_after_seconds=3600.0),
        TIMEOUT,
        TIMEOUT,
    ),
    slow("slow", "Takes 0.2 s for each recipient.", Script(rcpt_after_seconds=0.2)),
    mail("nopipelining", "Offers no pipelining.", Script(extensions=("SIZE 10240000", "8BITMIME"))),
    mail("dropspipeliners", "Offers pipelining and hangs up on those who use it.", Script(drops_pipeliners=True)),
    mail("barelf", "Ends its lines with LF alone.", Script(line_end=b"\n")),
    mail("bytewise", "Sends byte by byte.", Script(byte_by_byte=True)),
    always(
        "http",
        "Speaks HTTP.",
        Script(raw_banner=b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        PROTOCOL,
    ),
    mail("tlsoffered", "Offers STARTTLS.", Script(tls=Tls.OFFERED)),
    mail("tlsdemanded", "Demands STARTTLS.", Script(tls=Tls.DEMANDED)),
    mail("tls454", "Offers STARTTLS, which is out of order.", Script(tls=Tls.TEMPORARILY_OUT)),
    mail("tlsbroken", "Offers STARTTLS and breaks the handshake.", Script(tls=Tls.BROKEN)),
    mail("utf8", "Takes addresses outside ASCII.", UTF8),
    slow("rcptslowly", "Takes 0.7 s for its first reply to RCPT.", Script(rcpt_after_seconds=0.7)),
    mail("longreply", "Answers RCPT with lines of 4 kB.", Script(known="250 2.1.5 Ok" + " yes" * 1000)),
    mail("manylines", "Answers RCPT in sixty lines.", Script(known="250 2.1.5 Ok" + "\n2.1.5 and on" * 60)),
    mail("emptytext", "Says codes and nothing else.", Script(known="250 ", banner="220 ", mail="250 ")),
    mail("lowercase", "Writes its extensions in small letters.", Script(extensions=("size 10240000", "8bitmime"))),
)
"""Hosts by how they speak."""


LIMITS: tuple[Domain, ...] = (
    mail("twoatatime", "Takes two connections of a client.", Script(connections_max=2)),
    mail("fiveonly", "Takes five recipients a transaction.", Script(recipients_max=5)),
    mail("oneonly", "Takes one recipient a transaction.", Script(recipients_max=1)),
    mail("threestrikes", "Hangs up with 421 after three refusals.", Script(refusals_max=3)),
    mail("hangsup", "Hangs up after a refusal.", Script(closes_after_refusal=True)),
    mail("tarpit", "Takes 1 s for each reply after ten errors, as Postfix does.", Script(tarpit_after=10)),
    mail("twentystrikes", "Hangs up with 421 after twenty errors, as Postfix does.", Script(refusals_max=20)),
    slow(
        "tenawhile",
        "Takes ten recipients in 1.5 s, and puts the others off with 451.",
        Script(rate_max=10, rate_seconds=1.5),
    ),
    replace(
        mail(
            "blockslater",
            "Blocks a client for 3 s once it has asked for twelve recipients.",
            Script(blocks_after=12, block_seconds=3.0),
        ),
        or_else=BLOCKED,
        is_slow=True,
    ),
)
"""Hosts whose patience has an end."""
