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
    """One thing that a client did. `at` is seconds since the epoch, `host` a mail host's or domain's name."""

    at: float
    kind: str
    host: str
    text: str


class Log:
    """Counts connections, commands and DNS questions; keeps the last `entries_max` of them.

    Counters are kept for the life of the lab: `connections[host]`, `commands[host, verb]`, `questions[name, type]`.
    """

    def __init__(self, path: Path | None = None, entries_max: int = 20_000) -> None:
        self.connections: Counter[str] = Counter()
        self.open_connections: Counter[str] = Counter()
        self.open_connections_max: Counter[str] = Counter()
        self.commands: Counter[tuple[str, str]] = Counter()
        self.questions: Counter[tuple[str, str]] = Counter()
        self.entries: deque[Entry] = deque(maxlen=entries_max)
        self._file: TextIO | None = path.open("a", encoding="utf-8") if path else None

    def connection(self, host: str) -> None:
        """A client connected to a mail host."""
        self.connections[host] += 1
        self.open_connections[host] += 1
        self.open_connections_max[host] = max(self.open_connections_max[host], self.open_connections[host])
        self._note("connection", host, "")

    def disconnection(self, host: str) -> None:
        """A connection ended, by either side."""
        self.open_connections[host] -= 1
        self._note("disconnection", host, "")

    def command(self, host: str, verb: str, line: str) -> None:
        """A client sent a command line."""
        self.commands[host, verb] += 1
        self._note("command", host, line)

    def question(self, name: str, record_type: str, transport: str) -> None:
        """A client asked the name server."""
        key = (name, record_type)
        self.questions[key if key in self.questions or len(self.questions) < _NAMES_MAX else OTHERS] += 1
        self._note("question", name, f"{record_type} over {transport}")

    def verbs(self, verb: str) -> int:
        """How often a command was sent, to all hosts together."""
        return sum(count for (_, sent), count in self.commands.items() if sent == verb)

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file:
            self._file.close()
            self._file = None

    def _note(self, kind: str, host: str, text: str) -> None:
        entry = Entry(time.time(), kind, host, text)
        self.entries.append(entry)
        if self._file:
            self._file.write(json.dumps(entry._asdict(), ensure_ascii=False) + "\n")
            self._file.flush()
