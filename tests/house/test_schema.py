"""The SDL is committed and described, its types are pictures of their rows, and no root field is open by accident."""

from collections.abc import Iterator

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    is_introspection_type,
    is_specified_directive,
    is_specified_scalar_type,
)

from schema import root
from tests.house import pictures, sdl, tree


def types() -> list[GraphQLNamedType]:
    """Return the types of our own: neither introspection nor the five scalars of the specification."""
    return [
        one
        for one in root.schema._schema.type_map.values()
        if not is_introspection_type(one) and not is_specified_scalar_type(one)
    ]


def undescribed_arguments(place: str, arguments: dict[str, GraphQLArgument]) -> Iterator[str]:
    """Yield the arguments without a description."""
    for name, argument in arguments.items():
        if not argument.description:
            yield f"{place}({name}:)"


def undescribed(one: GraphQLNamedType) -> Iterator[str]:
    """Yield what lacks a description in a type: itself, its fields, their arguments, its values."""
    if not one.description:
        yield one.name
    if isinstance(one, GraphQLObjectType | GraphQLInterfaceType):
        for name, field in one.fields.items():
            if not field.description:
                yield f"{one.name}.{name}"
            yield from undescribed_arguments(f"{one.name}.{name}", field.args)
    elif isinstance(one, GraphQLInputObjectType):
        yield from (f"{one.name}.{name}" for name, field in one.fields.items() if not field.description)
    elif isinstance(one, GraphQLEnumType):
        yield from (f"{one.name}.{name}" for name, value in one.values.items() if not value.description)


def test_the_committed_sdl_is_what_the_code_prints() -> None:
    assert tree.read("schema/schema.graphql") == sdl.text(), "uv run -m app sdl > schema/schema.graphql"


def test_everything_in_the_sdl_is_described() -> None:
    bare = [place for one in types() for place in undescribed(one)]
    for directive in root.schema._schema.directives:
        if not is_specified_directive(directive):
            bare += [] if directive.description else [f"@{directive.name}"]
            bare += undescribed_arguments(f"@{directive.name}", directive.args)
    assert not bare, tree.report(bare)


def test_every_plain_field_of_a_picture_is_on_its_row_and_may_be_null_where_the_row_may() -> None:
    problems = []
    for name, rows in pictures.rows().items():
        for plain in pictures.plain_fields(name, pictures.definitions()[name]):
            for row in rows:
                place = f"{name}.{plain.python_name} of {getattr(row, '__qualname__', row)}"
                try:
                    annotation = pictures.attribute(row, plain.python_name)
                except AttributeError:
                    problems.append(f"{place}: the row has no such attribute, or it is not annotated")
                    continue
                _, is_nullable = pictures.without_null(annotation)
                if is_nullable != plain.is_nullable:
                    problems.append(f"{place}: nullable in the SDL {plain.is_nullable}, on the row {is_nullable}")
    assert not problems, tree.report(problems)


@pytest.mark.parametrize("name", ["Task", "User", "TaskMetrics", "TaskResult"])
def test_the_row_test_sees_the_types_that_matter(name: str) -> None:
    assert pictures.rows().get(name), f"{name} is not known as a picture of a row: annotate what its resolvers return"
