"""Schema types beside their rows: what a plain field promises, and what the annotation of the row says."""

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Mapped
from strawberry.types.base import StrawberryObjectDefinition, StrawberryOptional

from schema import field, root
from tests import surface

NOTHING = type(None)
ROOTS = ("Query", "Mutation", "Subscription")


@dataclass(frozen=True)
class Plain:
    """A field that is read from the row: no resolver, no arguments."""

    name: str
    is_nullable: bool


def definitions() -> dict[str, StrawberryObjectDefinition]:
    """Return every object type of the schema by its GraphQL name; interfaces and inputs are left out."""
    found = {}
    for name in surface.SCHEMA.type_map:
        definition = root.schema.get_type_by_name(name)
        if isinstance(definition, StrawberryObjectDefinition) and not (definition.is_interface or definition.is_input):
            found[name] = definition
    return found


def row_of(definition: StrawberryObjectDefinition) -> type | None:
    """Return the row class that a type declares itself to be a picture of."""
    return field.ROWS.get(definition.origin)


def shows_a_row(name: str) -> bool:
    """Tell whether a type must be a picture: all but the roots and the payloads of mutations, which show an outcome."""
    return name not in ROOTS and not name.endswith("Payload")


def plain_fields(definition: StrawberryObjectDefinition) -> Iterator[Plain]:
    """Yield the fields of a type that are read from its row."""
    for one in definition.fields:
        if one.base_resolver is None:
            yield Plain(one.python_name, isinstance(one.type, StrawberryOptional))


def allows_none(annotation: Any) -> bool:
    """Tell whether an annotation, Mapped or not, allows None."""
    while typing.get_origin(annotation) in {typing.Annotated, Mapped}:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        return NOTHING in typing.get_args(annotation)
    return annotation is NOTHING


def attribute(row: type | None, name: str) -> Any:
    """Return the annotation of a row's attribute, a property's included.

    Raises:
        AttributeError: the row has none of this name, or it is not annotated.

    """
    member = getattr(row, name, None)
    function = member.fget if isinstance(member, property) else getattr(member, "func", None)
    hints = typing.get_type_hints(function) if callable(function) else typing.get_type_hints(row)
    annotation = hints.get("return" if callable(function) else name)
    if annotation is None:
        raise AttributeError(name)
    return annotation
