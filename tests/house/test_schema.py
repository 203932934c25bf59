"""The SDL is committed and described, its types are pictures of their rows, and no root field is open by accident."""

from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    build_schema,
    find_breaking_changes,
    is_introspection_type,
    is_specified_directive,
    is_specified_scalar_type,
)
from strawberry.types.field import StrawberryField

from db.models import ApiKeyScope
from schema import field, root
from services.errors import Unauthenticated
from tests import surface
from tests.house import pictures, tree

# Root fields that anybody may ask for, each with the reason.
PUBLIC_ROOTS = {
    "Query.node": "the kind of object decides what is needed: each is guarded where it is found, in resolvers.nodes",
    "Query.nodes": "as node",
    "Mutation.sign_up": "nobody has an account before it",
    "Mutation.sign_in": "it is how a session begins",
    "Mutation.refresh_session": "the access token may have expired: the refresh token is the credential",
    "Mutation.request_password_reset": "who forgot the password cannot sign in; the answer tells nothing",
    "Mutation.reset_password": "the token of the link is the credential",
    "Mutation.confirm_email": "the token of the link is the credential",
    "Mutation.request_email_confirmation": "who has not confirmed cannot sign in; the answer tells nothing",
    "Query.credit_packages": "prices are told before anybody signs up",
    "Query.rate_limit": "it is about who asks, signed in or not",
    "Query.integrations": "a catalogue that says nothing of anybody",
    "Query.viewer": "it is how a caller learns that nobody is signed in: null, not an error",
}


def types() -> list[GraphQLNamedType]:
    """Return the types of our own: neither introspection nor the five scalars of the specification."""
    return [
        one
        for one in surface.SCHEMA.type_map.values()
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


def test_nothing_that_was_released_is_broken() -> None:
    released, now = build_schema(tree.read("schema/released.graphql")), build_schema(tree.read("schema/schema.graphql"))
    broken = [f"{change.type.name}: {change.description}" for change in find_breaking_changes(released, now)]
    assert not broken, tree.report([*broken, "this breaks callers: see docs/changing.md, 'Make a release'"])


def test_everything_in_the_sdl_is_described() -> None:
    bare = [place for one in types() for place in undescribed(one)]
    for directive in surface.SCHEMA.directives:
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
        for plain in pictures.plain_fields(definition) if pictures.shows_a_row(name) else ():
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


class Nobody:
    """The context of a caller who is not signed in: nothing may be done, and nothing is there to do it with."""

    def __init__(self) -> None:
        self.asked: list[ApiKeyScope | None] = []

    def require(self, scope: ApiKeyScope | None) -> None:
        """Note what was asked for and refuse, as the real context does without an actor."""
        self.asked.append(scope)
        raise Unauthenticated


def test_every_root_field_asks_for_a_scope_or_is_public_with_a_reason() -> None:
    needs = {name: one.metadata.get("needs") for name, one in roots()}
    odd = [f"{name}: {need}" for name, need in needs.items() if need not in {*ApiKeyScope, field.SESSION, field.PUBLIC}]
    assert not odd, tree.report(odd)
    assert {name for name, need in needs.items() if need == field.PUBLIC} == set(PUBLIC_ROOTS)
    assert all(PUBLIC_ROOTS.values())


async def test_a_guard_refuses_before_anything_is_done() -> None:
    for name, one in roots():
        if name in PUBLIC_ROOTS:
            continue
        nobody = Nobody()
        assert one.base_resolver, name
        resolve: Any = one.base_resolver.wrapped_func
        parent = {"root": None} if name.startswith("Query") else {}
        answer = resolve(info=SimpleNamespace(context=nobody), **parent)
        with pytest.raises(Unauthenticated):
            await (anext(answer) if isinstance(answer, AsyncIterator) else answer)
        needs = one.metadata["needs"]
        assert nobody.asked == [None if needs == field.SESSION else needs], name
