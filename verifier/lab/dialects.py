"""How the mail servers of the world say that a user is or is not there."""

from dataclasses import dataclass

from verifier.lab.script import EXTENSIONS, Script


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way to answer RCPT; `of` says whose."""

    of: str
    script: Script


DIALECTS: dict[str, Dialect] = {
    "postfix": Dialect(
        "Postfix with virtual mailboxes",
        Script(
            banner="220 {host} ESMTP Postfix (Debian/GNU)",
            unknown="550 5.1.1 <{address}>: Recipient address rejected: User unknown in virtual mailbox table",
        ),
    ),
    "exim": Dialect(
        "Exim",
        Script(
            banner="220 {host} ESMTP Exim 4.96",
            extensions=("SIZE 52428800", "8BITMIME", "PIPELINING"),
            known="250 Accepted",
            unknown="550 Unrouteable address",
        ),
    ),
    "opensmtpd": Dialect(
        "OpenSMTPD",
        Script(
            banner="220 {host} ESMTP OpenSMTPD",
            extensions=("8BITMIME", "ENHANCEDSTATUSCODES", "SIZE 36700160", "DSN"),
            known="250 2.1.5 Destination address valid: Recipient ok",
            unknown="524 5.2.4 Mailing list expansion problem: <{address}>",
        ),
    ),
    "gmail": Dialect(
        "Google",
        Script(
            banner="220 mx.google.com ESMTP {host} - gsmtp",
            extensions=("SIZE 157286400", "8BITMIME", "ENHANCEDSTATUSCODES", "PIPELINING", "CHUNKING"),
            known="250 2.1.5 OK {host} - gsmtp",
            unknown="550 5.1.1 The email account that you tried to reach does not exist. Please try\n"
            "5.1.1 double-checking the recipient's email address for typos or\n"
            "5.1.1 unnecessary spaces. For more information, go to\n"
            "5.1.1  https://support.google.com/mail/?p=NoSuchUser {host} - gsmtp",
        ),
    ),
    "exchange": Dialect(
        "Exchange with directory-based edge blocking",
        Script(
            banner="220 {host} Microsoft ESMTP MAIL Service ready",
            known="250 2.1.5 Recipient OK",
            unknown="550 5.4.1 Recipient address rejected: Access denied. [{host}]",
        ),
    ),
    "exchange5110": Dialect(
        "Exchange where the recipient was not found",
        Script(
            known="250 2.1.5 Recipient OK",
            unknown="550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient {address} not found by SMTP address lookup",
        ),
    ),
    "sendmail": Dialect(
        "Sendmail",
        Script(known="250 2.1.5 <{address}>... Recipient ok", unknown="550 5.1.1 <{address}>... User unknown"),
    ),
    "qmail": Dialect(
        "qmail with its code at the end",
        Script(
            extensions=("PIPELINING", "8BITMIME"),
            known="250 ok",
            unknown="550 sorry, no mailbox here by that name (#5.1.1 - chkusr)",
        ),
    ),
    "yahoo": Dialect(
        "Yahoo",
        Script(
            known="250 recipient <{address}> ok",
            unknown="554 delivery error: dd This user doesn't have a yahoo.com account ({address}) [0] - {host}",
        ),
    ),
    "gmx": Dialect(
        "GMX, in the words of RFC 5321",
        Script(known="250 Ok", unknown="550 Requested action not taken: mailbox unavailable"),
    ),
    "policy": Dialect(
        "a host that files unknown users under policy",
        Script(unknown="550 5.7.1 <{address}>: Recipient address rejected: user unknown"),
    ),
    "moved": Dialect(
        "a host whose user has moved away",
        Script(unknown="551 5.1.6 <{address}>: User not local; the mailbox has moved, no forwarding address"),
    ),
    "badaddress": Dialect(
        "a host that calls an unknown user a bad address",
        Script(known="250 Ok", unknown="501 5.1.3 Bad destination mailbox address: {address}"),
    ),
    "german": Dialect(
        "a German host that writes Latin-1",
        Script(
            known="250 Empfänger angenommen",
            unknown="550 Empfänger unbekannt: <{address}>",
            encoding="latin-1",
        ),
    ),
    "french": Dialect(
        "a French host that writes UTF-8",
        Script(known="250 2.1.5 Destinataire accepté", unknown="550 5.1.1 Boîte aux lettres inexistante : <{address}>"),
    ),
    "spanish": Dialect(
        "a Spanish host without enhanced codes",
        Script(known="250 Aceptado", unknown="550 El usuario no existe: {address}"),
    ),
    "chinese": Dialect(
        "a Chinese host",
        Script(known="250 2.1.5 Ok", unknown="550 5.1.1 用户不存在: <{address}>", extensions=(*EXTENSIONS, "SMTPUTF8")),
    ),
    "zimbra": Dialect(
        "Zimbra, whose reason is the address again",
        Script(unknown="550 5.1.1 <{address}>: Recipient address rejected: {address}"),
    ),
    "courier": Dialect("Courier", Script(known="250 Ok.", unknown="550 User <{address}> unknown")),
    "cpanel": Dialect("Exim under cPanel", Script(known="250 Accepted", unknown='550 No Such User Here"')),
    "domino": Dialect("Domino", Script(known="250 {address}... Recipient ok", unknown="550 {address}... No such user")),
    "mimecast": Dialect(
        "Mimecast",
        Script(
            known="250 Recipient OK", unknown="550 Invalid Recipient - https://community.mimecast.com/docs/DOC-1369"
        ),
    ),
    "proofpoint": Dialect("Proofpoint", Script(known="250 2.1.5 <{address}>... Ok", unknown="550 5.1.1 User Unknown")),
    "icloud": Dialect("iCloud", Script(unknown="550 5.1.1 <{address}>: user does not exist")),
    "mailru": Dialect(
        "mail.ru",
        Script(
            known="250 OK",
            unknown="550 Message was not accepted -- invalid mailbox.  Local mailbox {address} is unavailable: "
            "user not found",
        ),
    ),
    "qq": Dialect(
        "QQ", Script(known="250 Ok", unknown="550 Mailbox not found. http://service.mail.qq.com/cgi-bin/help?id=20022")
    ),
    "netease": Dialect("163.com", Script(known="250 Mail OK", unknown="550 User not found: {address}")),
    "list": Dialect("a host with a list's code", Script(unknown="550 5.2.0 <{address}>: mailbox does not exist")),
    "nullmx556": Dialect(
        "a relay that knows a null MX (RFC 7505)",
        Script(unknown="556 5.1.10 <{address}>: Recipient address has null MX"),
    ),
    "italian": Dialect("an Italian host", Script(known="250 Ok", unknown="550 Utente sconosciuto: {address}")),
    "portuguese": Dialect(
        "a Portuguese host in Latin-1",
        Script(known="250 Destinatário aceito", unknown="550 Usuário não encontrado: {address}", encoding="latin-1"),
    ),
    "polish": Dialect("a Polish host", Script(known="250 Ok", unknown="550 Nieznany użytkownik {address}")),
    "russian": Dialect("a Russian host", Script(known="250 Принято", unknown="550 Пользователь не найден: {address}")),
    "japanese": Dialect("a Japanese host", Script(known="250 2.1.5 Ok", unknown="550 宛先不明: {address}")),
    "textless": Dialect("a host of few words", Script(known="250 ok", unknown="550 5.1.1")),
}
"""The name of a dialect is the name of its domain."""
