"""Which row class each schema type is a picture of, read from the annotations of resolvers and rows.

A resolver declared as returning `models.Task | None` on a field of type `Task` says that `Task` is a picture of
`models.Task`; a plain field of an object type says the same by the annotation of the row's attribute.
"""

import functools
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Mapped
from strawberry.types.base import StrawberryContainer, StrawberryObjectDefinition, StrawberryOptional
from strawberry.types.field import StrawberryField

from schema import root

NOTHING = type(None)
FLOORS = {"db", "services", "resolvers"}  # where rows are declared


@dataclass(frozen=True)
class Plain:
    """A field that is read from the row: no resolver, no arguments."""

    type_name: str
    python_name: str
    is_nullable: bool
    inner: str
    """Name of the GraphQL type without list and null."""


def definitions() -> dict[str, StrawberryObjectDefinition]:
    """Return every object type of the schema by its GraphQL name, interfaces and inputs left out."""
    found = {}
    for name in root.schema._schema.type_map:
        definition = root.schema.get_type_by_name(name)
        if isinstance(definition, StrawberryObjectDefinition) and not (definition.is_interface or definition.is_input):
            found[name] = definition
    return found


def inner_name(field_type: Any) -> str:
    """Return the GraphQL name of a field's type without list and null; empty for scalars and unions."""
    while isinstance(field_type, StrawberryContainer):
        field_type = field_type.of_type
    definition = getattr(field_type, "__strawberry_definition__", None)
    return root.schema.config.name_converter.from_type(definition) if definition else ""


def plain_fields(name: str, definition: StrawberryObjectDefinition) -> Iterator[Plain]:
    """Yield the fields of a type that are read from its row."""
    for field in definition.fields:
        if field.base_resolver is None:
            yield Plain(name, field.python_name, isinstance(field.type, StrawberryOptional), inner_name(field.type))


def without_null(annotation: Any) -> tuple[Any, bool]:
    """Return an annotation without `None` and `Mapped`, and whether it allowed `None`."""
    while typing.get_origin(annotation) in {typing.Annotated, Mapped}:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        kept = tuple(one for one in typing.get_args(annotation) if one is not NOTHING)
        inner = functools.reduce(lambda left, right: left | right, kept)
        return inner, len(kept) < len(typing.get_args(annotation))
    return annotation, annotation is NOTHING


def rows_in(annotation: Any) -> Iterator[Any]:
    """Yield the classes (or generic classes with their arguments) of which an annotation holds one or many."""
    annotation, _ = without_null(annotation)
    origin = typing.get_origin(annotation)
    if origin is not None and origin.__module__ in {"collections.abc", "builtins", "types", "typing"}:
        for one in typing.get_args(annotation):
            yield from rows_in(one)
    elif isinstance(origin or annotation, type) and (origin or annotation).__module__.split(".")[0] in FLOORS:
        yield annotation


def attribute(row: Any, name: str) -> Any:
    """Return the annotation of a row's attribute, or raise AttributeError when there is none."""
    origin = typing.get_origin(row) or row
    member = getattr(origin, name, None)
    function = member.fget if isinstance(member, property) else getattr(member, "func", None)
    hints = typing.get_type_hints(function) if function else typing.get_type_hints(origin)
    annotation = hints.get("return" if function else name)
    if annotation is None:
        raise AttributeError(name)
    parameters = getattr(origin, "__parameters__", None) or ()
    given = dict(zip(parameters, typing.get_args(row), strict=False))
    if given and getattr(annotation, "__parameters__", None):
        return annotation[tuple(given[one] for one in annotation.__parameters__)]
    return given.get(annotation, annotation) if given else annotation


def returned(field: StrawberryField) -> Any:
    """Return the annotation of what a field's resolver returns."""
    function = field.base_resolver.wrapped_func if field.base_resolver else None
    return typing.get_type_hints(function).get("return") if function else None


@functools.cache
def rows() -> dict[str, set[Any]]:
    """Return, for each object type that shows a row, the classes that it is a picture of."""
    found: dict[str, set[Any]] = {}
    kinds = definitions()
    size = -1
    while size != sum(map(len, found.values())):
        size = sum(map(len, found.values()))
        for name, definition in kinds.items():
            for field in definition.fields:
                target = inner_name(field.type)
                if target not in kinds:
                    continue
                if field.base_resolver is not None:
                    found.setdefault(target, set()).update(rows_in(returned(field)))
                    continue
                for row in tuple(found.get(name, ())):
                    try:
                        found.setdefault(target, set()).update(rows_in(attribute(row, field.python_name)))
                    except AttributeError:
                        continue  # the row test tells it
    return {name: classes for name, classes in found.items() if classes}
