"""What may stand in the lab's command log, whoever the engine was asked about."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from verifier.lab.log import Entry

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
_LOCAL = rf'(?:{_ATOM}(?:\.{_ATOM})*|"(?:[\x20\x21\x23-\x5b\x5d-\x7e\u0080-\U0010ffff]|\\[\x20-\x7e])*")'
_NAME = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
_COMMAND = re.compile(
    rf"(?:EHLO|HELO) {_NAME}|STARTTLS|RSET|QUIT"
    rf"|MAIL FROM:<(?:{_LOCAL}@{_NAME})?>(?: SMTPUTF8)?|RCPT TO:<(?P<recipient>{_LOCAL}@{_NAME})>"
)
_RANDOM_RECIPIENT = re.compile(r"[a-q]{9}\.[a-q]{11}")


def read(path: Path) -> list[Entry]:
    """Read the log that a lab has written."""
    return [Entry(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def commands(entries: Iterable[Entry]) -> list[Entry]:
    """Every command line, in the order in which they came."""
    return [entry for entry in entries if entry.kind == "command"]


def malformed(entries: Iterable[Entry]) -> list[str]:
    """The lines that are no command that the engine may send; DATA is not among those."""
    return [entry.text for entry in commands(entries) if not _COMMAND.fullmatch(entry.text)]


def strangers(entries: Iterable[Entry], asked_about: Iterable[str]) -> list[str]:
    """Recipients that nobody asked about and that are no random recipients."""
    known = set(asked_about)
    found = [match["recipient"] for entry in commands(entries) if (match := _COMMAND.fullmatch(entry.text))]
    return [
        recipient
        for recipient in found
        if recipient and recipient not in known and not _RANDOM_RECIPIENT.fullmatch(recipient.rpartition("@")[0])
    ]


def refusals_max(entries: Iterable[Entry]) -> int:
    """The most recipients that were refused in one connection."""
    counts = Counter(entry.connection for entry in entries if entry.kind == "refusal")
    return max(counts.values(), default=0)


def open_max(entries: Iterable[Entry]) -> Counter[str]:
    """The most connections that were open to each mail host at a time."""
    now: Counter[str] = Counter()
    most: Counter[str] = Counter()
    for entry in entries:
        now[entry.host] += {"connection": 1, "disconnection": -1}.get(entry.kind, 0)
        most[entry.host] = max(most[entry.host], now[entry.host])
    return most


def without_goodbye(entries: Sequence[Entry]) -> set[str]:
    """Mail hosts that were left without QUIT while they were still listening to a greeted client.

    A connection that the host itself has ended (421, or hanging up) needs no goodbye, so only hosts whose every
    connection ended without one are told.
    """
    by_connection: dict[int, list[str]] = {}
    hosts: dict[int, str] = {}
    for entry in commands(entries):
        by_connection.setdefault(entry.connection, []).append(entry.text)
        hosts[entry.connection] = entry.host
    polite = {hosts[number] for number, lines in by_connection.items() if "QUIT" in lines}
    return set(hosts.values()) - polite
