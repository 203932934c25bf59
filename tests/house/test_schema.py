"""The SDL is committed and described, its types are pictures of their rows, and no root field is open by accident."""

from collections.abc import Iterator

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
from strawberry.types.field import StrawberryField

from db.models import ApiKeyScope
from schema import field, root
from tests.house import pictures, tree

# Root fields that anybody may ask for, each with the reason.
PUBLIC_ROOTS = {
    "Query.viewer": "it is how a caller learns that nobody is signed in: null, not an error",
}


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
    printed = root.schema.as_str().rstrip() + "\n"
    assert tree.read("schema/schema.graphql") == printed, "print it: uv run -m app sdl --write"


def test_everything_in_the_sdl_is_described() -> None:
    bare = [place for one in types() for place in undescribed(one)]
    for directive in root.schema._schema.directives:
        if not is_specified_directive(directive):
            bare += [] if directive.description else [f"@{directive.name}"]
            bare += undescribed_arguments(f"@{directive.name}", directive.args)
    assert not bare, tree.report(bare)


def test_every_type_says_which_row_it_is_a_picture_of() -> None:
    without = [
        name
        for name, definition in pictures.definitions().items()
        if pictures.shows_a_row(name) and pictures.row_of(definition) is None
    ]
    assert not without, tree.report(without)


def test_every_plain_field_is_on_its_row_and_may_be_null_where_the_row_may() -> None:
    problems = []
    for name, definition in pictures.definitions().items():
        row = pictures.row_of(definition)
        for plain in pictures.plain_fields(definition) if row else ():
            place = f"{name}.{plain.name} of {row}"
            try:
                annotation = pictures.attribute(row, plain.name)
            except AttributeError:
                problems.append(f"{place}: the row has no such attribute, or it is not annotated")
                continue
            if pictures.allows_none(annotation) != plain.is_nullable:
                problems.append(f"{place}: nullable in the SDL: {plain.is_nullable}; the row says {annotation}")
    assert not problems, tree.report(problems)


def roots() -> Iterator[tuple[str, StrawberryField]]:
    """Yield the root fields as `Query.task`, with their declarations."""
    for name in ("Query", "Mutation", "Subscription"):
        for one in pictures.definitions()[name].fields:
            yield f"{name}.{one.python_name}", one


def guards(one: StrawberryField) -> list[field.Needs]:
    """Return what the guards of a field ask for."""
    return [extension.needs for extension in one.extensions if isinstance(extension, field.Guard)]


def test_every_root_field_asks_for_a_scope_or_is_public_with_a_reason() -> None:
    open_ones = [name for name, one in roots() if len(guards(one)) != 1]
    assert not open_ones, tree.report([f"{name}: not declared with a guard" for name in open_ones])
    public = {name for name, one in roots() if guards(one) == [field.PUBLIC]}
    assert public == set(PUBLIC_ROOTS), (
        "the public list of this test, with its reasons, is not what the schema declares"
    )
    assert all(PUBLIC_ROOTS.values())


def test_a_scope_that_is_asked_for_is_one_that_a_key_can_have() -> None:
    for name, one in roots():
        (needs,) = guards(one)
        assert isinstance(needs, ApiKeyScope) or needs in {field.PUBLIC, field.SESSION}, name
