"""A schema of every kind of type, random documents for it, and random rows, most of them good and some odd."""

import asyncio
import datetime as dt
import enum
import typing
from collections.abc import Generator, Iterator, Mapping
from typing import Any

import strawberry
from hypothesis import strategies as st

from schema.field import node, plain
from schema.scalars import EmailAddress


class Row:
    """Whatever attributes it is given; those left out raise."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__ |= attributes


class LeafRow(Row):
    pass


class BranchRow(Row):
    pass


class Bag:
    """Things in a row that are no list."""

    def __init__(self, things: list[Any]) -> None:
        self._things = things

    def __iter__(self) -> Iterator[Any]:
        return iter(self._things)


class Later:
    """A value that has to be awaited."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Generator[None, None, Any]:
        yield from asyncio.sleep(0).__await__()
        return self.value


@strawberry.enum
class Colour(enum.StrEnum):
    RED = "RED"
    BLUE = "BLUE"


@strawberry.enum
class Size(enum.Enum):
    SMALL = 1
    LARGE = strawberry.enum_value(2, name="BIG")


@strawberry.interface
class Named:
    name: str = plain("A name.")


@node(LeafRow, "Plain attributes of every kind.")
class Leaf(Named):
    id: strawberry.ID = plain("An id.")
    text: str | None = plain("A text.")
    number: int = plain("A number.")
    maybe: int | None = plain("A number, perhaps.")
    ratio: float = plain("A fraction.")
    flag: bool = plain("Yes or no.")
    colour: Colour = plain("An enum with names for values.")
    size: Size | None = plain("An enum with others.")
    at: dt.datetime | None = plain("A moment.")
    day: dt.date | None = plain("A day.")
    address: EmailAddress | None = plain("A scalar of ours.")


@strawberry.type
class Box:
    """No node: any object will do."""

    name: str = plain("A name.")
    leaf: Leaf | None = plain("What is in it.")


async def _sibling(root: strawberry.Parent[Any]) -> Any:
    await asyncio.sleep(0)
    return root.leaf


def _scaled(root: strawberry.Parent[Any], by: int = 2) -> Any:
    return root.number * by


@node(BranchRow, "Everything that leads on.")
class Branch(Named):
    leaf: Leaf = plain("A leaf.")
    maybe_leaf: Leaf | None = plain("A leaf, perhaps.")
    leaves: list[Leaf] = plain("Leaves.")
    maybe_leaves: list[Leaf | None] | None = plain("Leaves, perhaps.")
    grid: list[list[Leaf]] = plain("Leaves of leaves.")
    words: list[str] = plain("Texts.")
    colours: list[Colour | None] | None = plain("Enums.")
    box: Box | None = plain("No node.")
    named: Named | None = plain("Either.")
    either: typing.Union[Leaf, Box, None] = plain("Either.")  # noqa: UP007 - a union of GraphQL
    sibling: Leaf | None = strawberry.field(resolver=_sibling)
    scaled: int = strawberry.field(resolver=_scaled)


@strawberry.type
class Query:
    branch: Branch | None = plain("One.")
    branches: list[Branch] | None = plain("Many.")
    leaf: Leaf | None = plain("One.")
    leaves: list[Leaf | None] | None = plain("Many.")
    named: Named | None = plain("Either.")
    many_named: list[Named | None] | None = plain("Many.")
    box: Box | None = plain("No node.")


NOON = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
_ODD: list[Any] = [
    None, True, 0, 7, 1 << 31, 1.5, float("nan"), float("inf"), "", "text", "7", b"x", Colour.RED, Size.LARGE, "BLUE",
    dt.date(2026, 1, 31), NOON, NOON.astimezone(dt.timezone(dt.timedelta(hours=2))), dt.datetime(2026, 1, 1),  # noqa: DTZ001 - no zone
    [], ["a"], {}, ValueError("broken"), object(), Later("text"), Later(None),
]  # fmt: skip


def _mostly(*good: Any) -> st.SearchStrategy[Any]:
    return st.integers(0, 14).flatmap(lambda n: st.sampled_from(_ODD) if n == 0 else st.sampled_from(good))


def _row(kind: type, fields: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    whole = st.fixed_dictionaries(dict(fields)).map(lambda attributes: kind(**attributes))
    lacking = st.fixed_dictionaries({}, optional=dict(fields)).map(lambda attributes: kind(**attributes))
    return st.integers(0, 29).flatmap(lambda n: lacking if n == 0 else whole)


LEAVES = _row(
    LeafRow,
    {
        "name": _mostly("leaf"),
        "id": _mostly("leaf_1", "leaf_2"),
        "text": _mostly("text", None),
        "number": _mostly(1, -5),
        "maybe": _mostly(2, None),
        "ratio": _mostly(0.5, 1.0, 2),
        "flag": _mostly(True, False),
        "colour": _mostly(*Colour),
        "size": _mostly(*Size, None),
        "at": _mostly(NOON, None, NOON.replace(microsecond=5)),
        "day": _mostly(NOON.date(), None),
        "address": _mostly("a@example.com", None),
    },
)
BOXES = _row(Row, {"name": _mostly("box"), "leaf": st.one_of(LEAVES, st.none())})


def _lists(of: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(of, max_size=3)
    return st.one_of(lists, lists.map(tuple), lists, lists.map(Bag), st.sampled_from(_ODD))


BRANCHES = _row(
    BranchRow,
    {
        "name": _mostly("branch"),
        "number": _mostly(3),
        "leaf": st.one_of(LEAVES, LEAVES, LEAVES, LEAVES.map(Later), st.sampled_from(_ODD)),
        "maybe_leaf": st.one_of(LEAVES, st.none(), BOXES),
        "leaves": st.one_of(st.lists(LEAVES, max_size=3), _lists(st.one_of(LEAVES, st.none()))),
        "maybe_leaves": st.one_of(st.none(), _lists(st.one_of(LEAVES, st.none()))),
        "grid": st.lists(st.lists(LEAVES, max_size=2), max_size=2),
        "words": st.one_of(st.lists(_mostly("word"), max_size=2), st.just("text")),
        "colours": _lists(_mostly(*Colour, None)),
        "box": st.one_of(BOXES, st.none()),
        "named": st.one_of(LEAVES, st.none(), BOXES),
        "either": st.one_of(LEAVES, st.none()),
    },
)
ROOTS = _row(
    Row,
    {
        "branch": BRANCHES,
        "branches": st.lists(BRANCHES, max_size=3),
        "leaf": st.one_of(LEAVES, LEAVES, BRANCHES),
        "leaves": _lists(st.one_of(LEAVES, st.none())),
        "named": st.one_of(LEAVES, BRANCHES),
        "many_named": _lists(st.one_of(LEAVES, BRANCHES, st.none())),
        "box": BOXES,
    },
)

_LEAF_FIELDS = ["name", "id", "text", "number", "maybe", "ratio", "flag", "colour", "size", "at", "day", "address"]
FIELDS: dict[str, dict[str, str | None]] = {
    "Named": {"name": None, "__typename": None},
    "Leaf": dict.fromkeys([*_LEAF_FIELDS, "__typename"]),
    "Box": {"name": None, "__typename": None, "leaf": "Leaf"},
    "Branch": {
        "name": None, "words": None, "colours": None, "scaled": None, "__typename": None, "leaf": "Leaf",
        "maybeLeaf": "Leaf", "leaves": "Leaf", "maybeLeaves": "Leaf", "grid": "Leaf", "box": "Box", "named": "Named",
        "sibling": "Leaf", "either": "LeafBox",
    },
    "LeafBox": {"__typename": None},
    "Query": {
        "branch": "Branch", "branches": "Branch", "leaf": "Leaf", "leaves": "Leaf", "named": "Named",
        "manyNamed": "Named", "box": "Box", "__typename": None,
    },
}  # fmt: skip
CONDITIONS = {
    "Named": ["Named", "Leaf", "Branch"], "Leaf": ["Leaf", "Named"], "Branch": ["Branch", "Named"], "Box": ["Box"],
    "LeafBox": ["Leaf", "Box"], "Query": ["Query"],
}  # fmt: skip
_DIRECTIVES = ["", "", "", "", "", "", "", "", " @include(if: $yes)", " @skip(if: $yes)", " @include(if: false)"]
FRAGMENTS = ["Leaf", "Named", "Branch", "Box"]


@st.composite
def selections(draw: st.DrawFn, on: str, depth: int) -> str:
    """A selection set on a type: fields, aliases, directives, fragments."""
    parts = []
    for _ in range(draw(st.integers(1, 5))):
        directive = draw(st.sampled_from(_DIRECTIVES))
        conditions = CONDITIONS[on]
        match draw(st.integers(0, 11)):
            case 0 if depth:
                condition = draw(st.sampled_from(conditions))
                written = draw(st.sampled_from([f" on {condition}", ""])) if condition == on else f" on {condition}"
                parts.append(f"...{written}{directive} {draw(selections(condition, depth - 1))}")
            case 1 if depth and set(conditions) & set(FRAGMENTS):
                parts.append(f"...{draw(st.sampled_from(sorted(set(conditions) & set(FRAGMENTS))))}Parts{directive}")
            case _:
                field = draw(st.sampled_from(sorted(FIELDS[on])))
                kind = FIELDS[on][field]
                alias = draw(st.sampled_from(["", "", f"{field.strip('_')}Again: "]))
                arguments = "(by: 3)" if alias and field == "scaled" else ""
                if kind is not None and not depth:
                    parts.append("__typename")
                    continue
                below = f" {draw(selections(kind, depth - 1))}" if kind is not None else ""
                parts.append(f"{alias}{field}{arguments}{directive}{below}")
    return "{ " + " ".join(parts) + " }"


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A document: one operation, and a fragment for each type."""
    operation = f"query($yes: Boolean = {draw(st.sampled_from(['true', 'false']))}) {draw(selections('Query', 4))}"
    operation = f"{operation[:-1]} last: __typename @include(if: $yes) }}"
    fragments = [f"fragment {on}Parts on {on} {{ {draw(_plain(on))} }}" for on in FRAGMENTS]
    return "\n".join([operation, *(fragment for fragment in fragments if f"...{fragment.split()[1]}" in operation)])


@st.composite
def _plain(draw: st.DrawFn, on: str) -> str:
    plain_fields = [field for field, kind in FIELDS[on].items() if kind is None]
    return " ".join(draw(st.lists(st.sampled_from(sorted(plain_fields)), min_size=1, max_size=3)))
