"""A result for a reader: the verdict in a sentence, what was seen on the way, and what made the score."""

from collections import Counter

from verifier.engine.evidence import Evidence, Reason, Result, Status

SENTENCES = {
    Reason.ACCEPTED: "The mail host accepts it, and refuses a random recipient of the same domain.",
    Reason.ACCEPT_ALL: "The mail host accepts every recipient of the domain, so it tells nothing about this one.",
    Reason.SYNTAX: "This is no e-mail address.",
    Reason.NO_DOMAIN: "The domain does not exist.",
    Reason.NO_MAIL_HOST: "The domain has no mail host.",
    Reason.NULL_MX: "The domain declares that it takes no mail.",
    Reason.NO_SUCH_USER: "The mail host says that there is no such mailbox.",
    Reason.MAILBOX_DISABLED: "The mail host says that the mailbox was switched off.",
    Reason.MAILBOX_FULL: "The mailbox exists and is full.",
    Reason.RATE_LIMITED_MAILBOX: "The mailbox exists and gets too much mail at present.",
    Reason.GREYLISTED: "The mail host puts strangers off for a while; asked again later it will tell.",
    Reason.TEMPORARY: "The mail host cannot answer now.",
    Reason.SERVER_ERROR: "The mail host has a fault.",
    Reason.BLOCKED: "The mail host refuses us, whoever the recipient is; see `verifier doctor`.",
    Reason.SENDER_REJECTED: "The mail host refuses our sender; see VERIFIER_MAIL_FROM and `verifier doctor`.",
    Reason.CANNOT_VERIFY: "The mail host will not say before it gets a message.",
    Reason.NO_CONNECTION: "No mail host of the domain could be reached.",
    Reason.TIMEOUT: "The mail host did not answer in time.",
    Reason.DNS_FAILURE: "The domain's name servers gave no usable answer.",
    Reason.PROTOCOL: "The mail host does not speak SMTP as it should.",
    Reason.EAI_UNSUPPORTED: "The mail host does not take addresses outside ASCII.",
    Reason.UNROUTABLE: "The domain's mail hosts are in networks that must not be asked.",
    Reason.OTHER: "The mail host's answer says nothing certain.",
}
"""What each reason means, in one sentence."""

_COLOURS = {Status.EXISTS: "32", Status.NOT_EXISTS: "31", Status.INVALID_SYNTAX: "31", Status.CATCHALL: "33"}
_OTHER_COLOUR = "36"
_INDENT = "    "
_STAGE_WIDTH = 14


def of(result: Result, *, with_colour: bool = False, width: int | None = None) -> str:
    """Return a result in lines; lines of evidence are cut at a width where there is one."""
    verdict = f"{str(result.status).upper()}  {result.reason}"
    if with_colour:
        verdict = f"\x1b[1;{_COLOURS.get(result.status, _OTHER_COLOUR)}m{verdict}\x1b[0m"
    lines = [f"{printable(result.email)}  {verdict}  score {result.score}", _INDENT + SENTENCES[result.reason]]
    if flags := _flags(result):
        lines.append(_INDENT + " ".join(flags))
    begun_at = result.evidence[0].occurred_at if result.evidence else None
    for seen in result.evidence:
        seconds = (seen.occurred_at - begun_at).total_seconds() if begun_at else 0.0
        lines.append(_cut(f"{_INDENT}{_seen(seen, max(0.0, seconds))}", width))
    if len(result.score_reasons) > 1:
        lines.append(_cut(f"{_INDENT}{'score':<{_STAGE_WIDTH}} {', '.join(result.score_reasons)}", width))
    return "\n".join(lines) + "\n"


def summary(counts: Counter[Status]) -> str:
    """Return how many of each verdict there were."""
    return (
        f"{counts.total()} addresses: " + ", ".join(f"{counts[each]} {each}" for each in Status if counts[each]) + "\n"
    )


def printable(text: str) -> str:
    """Return a text without what could move a terminal's cursor: replies are written by strangers."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _flags(result: Result) -> list[str]:
    told = (
        ("A role account, not a person.", result.role_based),
        ("A throw-away domain.", result.disposable),
        ("A free provider.", result.free_provider),
        (f"Did you mean {printable(result.suggestion or '')}?", result.suggestion is not None),
        ("Asking again later may tell more.", result.is_transient),
    )
    return [text for text, is_so in told if is_so]


def _seen(seen: Evidence, seconds: float) -> str:
    code = " ".join(filter(None, (str(seen.code or ""), seen.enhanced_code)))
    parts = [f"{seen.stage:<{_STAGE_WIDTH}}", f"{seconds:6.2f} s ", seen.host or "", code, seen.text or ""]
    return " ".join(printable(part) for part in parts if part)


def _cut(line: str, width: int | None) -> str:
    return line if width is None or len(line) <= width else line[: width - 1] + "\N{HORIZONTAL ELLIPSIS}"
