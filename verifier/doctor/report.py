"""What the doctor found: lines with a level, what was seen and what to do, for people and for machines."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

import orjson


class Level(StrEnum):
    """How bad it is, the worst last."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at."""

    name: str
    level: Level
    found: str
    advice: str = ""
    """What to do; empty where nothing is."""


_TEXT_WIDTH_MIN = 40
_COLOURS = {Level.OK: "32", Level.WARN: "33", Level.FAIL: "31"}


def worst(lines: Iterable[Line]) -> Level:
    """Return the worst level of all."""
    order = list(Level)
    return max((line.level for line in lines), key=order.index, default=Level.OK)


def as_json(lines: Sequence[Line]) -> str:
    """Return everything as one line of JSON."""
    return orjson.dumps({"level": worst(lines), "checks": [asdict(line) for line in lines]}).decode() + "\n"


def as_text(lines: Sequence[Line], *, with_colour: bool, width: int) -> str:
    """Return the lines in columns for a reader, advice below what it is about."""
    broad = max((len(line.name) for line in lines), default=0)
    parts: list[str] = []
    for line in lines:
        level = f"{line.level.upper():<4}"
        mark = f"\x1b[{_COLOURS[line.level]}m{level}\x1b[0m" if with_colour else level
        found = _wrapped(_printable(line.found), indent=broad + 8, width=width)
        parts.append(f"{mark}  {line.name:<{broad}}  {found.lstrip()}")
        if line.advice:
            parts.append(_wrapped(f"-> {line.advice}", indent=broad + 8, width=width))
    return "\n".join(parts) + "\n"


def _wrapped(text: str, *, indent: int, width: int) -> str:
    blanks = " " * indent
    return textwrap.fill(
        text,
        max(width, indent + _TEXT_WIDTH_MIN),
        initial_indent=blanks,
        subsequent_indent=blanks,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _printable(text: str) -> str:
    """Return a text without what could move a terminal's cursor: banners are written by strangers."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
