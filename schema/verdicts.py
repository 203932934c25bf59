"""What is found out about an address: verdict, reason, evidence."""

import datetime as dt

from db import models
from schema.field import picture, plain, words
from schema.scalars import EmailAddress

words(
    models.Verdict,
    "Judgement on an address.",
    {
        "EXISTS": "The mailbox exists.",
        "NOT_EXISTS": "The mailbox or its domain does not exist.",
        "CATCHALL": "The domain accepts every address, so the mailbox cannot be told.",
        "INVALID_SYNTAX": "The text is not an address.",
        "UNKNOWN": "Could not be told; not charged.",
    },
)

words(
    models.VerdictReason,
    "Why an address got its verdict. New values may be added.",
    {
        "ACCEPTED": "The server took the recipient and refused a made-up one.",
        "ACCEPT_ALL": "The server takes every recipient.",
        "SYNTAX": "The text is not an address.",
        "NO_DOMAIN": "The domain does not exist.",
        "NO_MAIL_HOST": "The domain has no mail host.",
        "NULL_MX": "The domain says that it takes no mail (RFC 7505).",
        "NO_SUCH_USER": "The server refused the recipient as unknown.",
        "MAILBOX_DISABLED": "The mailbox is switched off.",
        "MAILBOX_FULL": "The mailbox exists and is over its quota.",
        "RATE_LIMITED_MAILBOX": "The mailbox exists and receives too fast just now.",
        "GREYLISTED": "The server asked to come back later, past the last retry.",
        "TEMPORARY": "The server answered with a temporary failure, past the last retry.",
        "SERVER_ERROR": "The server reported a fault of its own.",
        "BLOCKED": "The server refuses our own address, so nothing is known of the mailbox.",
        "SENDER_REJECTED": "The server refuses our sender address.",
        "CANNOT_VERIFY": "The server says that it does not tell (252).",
        "NO_CONNECTION": "No mail host could be reached.",
        "TIMEOUT": "The server did not answer in time.",
        "DNS_FAILURE": "The domain's name servers failed or did not answer.",
        "PROTOCOL": "What answered does not speak SMTP.",
        "EAI_UNSUPPORTED": "The address needs SMTPUTF8 and the server lacks it.",
        "OTHER": "Something that only the upstream knows.",
        "UNROUTABLE": "The mail host is in a network that must not be asked.",
    },
)

words(
    models.EvidenceStage,
    "Stage of a check.",
    {
        "SYNTAX": "Reading the address.",
        "DNS": "Looking up the mail hosts.",
        "CONNECT": "Opening the connection.",
        "BANNER": "The server's greeting.",
        "EHLO": "Saying hello.",
        "STARTTLS": "Turning on encryption.",
        "MAIL": "Naming a sender.",
        "RCPT": "Asking for the mailbox.",
        "CATCHALL_PROBE": "Asking for a made-up mailbox of the same domain.",
    },
)


@picture(models.EvidenceStep, "One thing that was seen while checking an address.")
class EvidenceStep:
    stage: models.EvidenceStage = plain(
        "Where: SYNTAX, DNS, CONNECT, BANNER, EHLO, STARTTLS, MAIL, RCPT, CATCHALL_PROBE."
    )
    host: str | None = plain("The mail host, where one was spoken to.")
    code: int | None = plain("SMTP reply code.")
    enhanced_code: str | None = plain("Enhanced status code (RFC 3463), e.g. 5.1.1.")
    text: str | None = plain("The reply or finding, at most 200 characters.")
    occurred_at: dt.datetime = plain("When it was seen.")


@picture(models.EmailVerification, "What was found out about one address.")
class EmailVerification:
    email: EmailAddress | None = plain("The normalized address; null when the input is not an address.")
    verdict: models.Verdict = plain("The judgement.")
    reason: models.VerdictReason = plain("Why.")
    score: int | None = plain("How likely mail is to arrive, 0 to 100; null when upstream does not say.")
    score_reasons: list[str] = plain("What raised or lowered the score.")
    evidence: list[EvidenceStep] = plain("What was seen on the way to the verdict, step by step.")
    is_role: bool = plain("A shared mailbox such as info@.")
    is_disposable: bool = plain("A throw-away provider.")
    is_free: bool = plain("A free mailbox provider.")
    is_catch_all: bool | None = plain("The domain accepts every address; null when not tested.")
    mx_host: str | None = plain("The mail exchanger that answered.")
    suggestion: EmailAddress | None = plain("A likely correction of a typing mistake.")
    verified_at: dt.datetime = plain("When it was checked.")
