"""What the lab was asked: counters of everything, and the last lines word for word."""

import json
import time
from collections import Counter, deque
from pathlib import Path
from typing import NamedTuple, TextIO

OTHERS = ("…", "…")
"""Where questions are counted once there were too many different ones."""
_NAMES_MAX = 10_000


class Entry(NamedTuple):
    """One thing that a client did. `at` is seconds since the epoch, `host` a mail host's or domain's name.

    `connection` tells one SMTP connection from the others; it is 0 for a question.
    """

    at: float
    kind: str
    host: str
    connection: int
    text: str


class Log:
    """Counts connections, commands and DNS questions; keeps the last `entries_max` of them.

    Counters are kept for the life of the lab: `connections[host]`, `commands[host, verb]`, `questions[name, type]`.
    """

    def __init__(self, path: Path | None = None, entries_max: int = 20_000) -> None:
        self.connections: Counter[str] = Counter()
        self.open_connections: Counter[str] = Counter()
        self.open_connections_max: Counter[str] = Counter()
        self.open_max = 0
        """The most connections that were open at a time, to all hosts together."""
        self.refusals_max: Counter[str] = Counter()
        """The most recipients that a host refused in one connection, of those that have ended."""
        self.commands: Counter[tuple[str, str]] = Counter()
        self.questions: Counter[tuple[str, str]] = Counter()
        self.entries: deque[Entry] = deque(maxlen=entries_max)
        self._number = 0
        self._open = 0
        self._refusals: dict[int, int] = {}
        self._file: TextIO | None = path.open("a", encoding="utf-8") if path else None

    def connection(self, host: str) -> int:
        """A client connected to a mail host; returns the connection's number."""
        self._number += 1
        self.connections[host] += 1
        self.open_connections[host] += 1
        self.open_connections_max[host] = max(self.open_connections_max[host], self.open_connections[host])
        self._open += 1
        self.open_max = max(self.open_max, self._open)
        self._refusals[self._number] = 0
        self._note("connection", host, self._number, "")
        return self._number

    def disconnection(self, host: str, connection: int) -> None:
        """A connection ended, by either side."""
        self.open_connections[host] -= 1
        self._open -= 1
        refusals = self._refusals.pop(connection, 0)
        self.refusals_max[host] = max(self.refusals_max[host], refusals)
        self._note("disconnection", host, connection, "")

    def command(self, host: str, connection: int, verb: str, line: str) -> None:
        """A client sent a command line."""
        self.commands[host, verb] += 1
        self._note("command", host, connection, line)

    def refusal(self, host: str, connection: int, line: str) -> None:
        """A recipient was refused, for now or for ever; a block counts, too many recipients at a time do not."""
        self._refusals[connection] += 1
        self._note("refusal", host, connection, line)

    def question(self, name: str, record_type: str, transport: str) -> None:
        """A client asked the name server."""
        key = (name, record_type)
        self.questions[key if key in self.questions or len(self.questions) < _NAMES_MAX else OTHERS] += 1
        self._note("question", name, 0, f"{record_type} over {transport}")

    def verbs(self, verb: str) -> int:
        """How often a command was sent, to all hosts together."""
        return sum(count for (_, sent), count in self.commands.items() if sent == verb)

    def reset(self) -> None:
        """Begin counting anew; connections that are open stay open."""
        for counter in (self.connections, self.open_connections_max, self.refusals_max, self.commands, self.questions):
            counter.clear()
        self.open_connections_max.update(+self.open_connections)
        self.open_max = self._open
        self.entries.clear()

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file:
            self._file.close()
            self._file = None

    def _note(self, kind: str, host: str, connection: int, text: str) -> None:
        entry = Entry(time.time(), kind, host, connection, text)
        self.entries.append(entry)
        if self._file:
            self._file.write(json.dumps(entry._asdict(), ensure_ascii=False) + "\n")
            self._file.flush()
