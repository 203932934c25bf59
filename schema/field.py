"""How the surface is declared: edges, guarded roots, mutations, pictures of rows and of the database's enums.

The annotation of a field is its GraphQL type. Its resolver gives rows, which the types are pictures of, and knows
nothing of the schema; so arguments are declared here, and passed on by name when they were given.
"""

import inspect
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from enum import Enum
from typing import Annotated, Any, TypeVar

import strawberry
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.base import get_object_definition
from strawberry.types.enum import StrawberryEnumDefinition

from db.models import ApiKeyScope
from resolvers import outcomes
from resolvers.context import Info

T = TypeVar("T")
Declared = Any
"""A field; typed so that the annotation beside it can be the GraphQL type."""

PUBLIC = "PUBLIC"
"""Anyone may ask, signed in or not."""
SESSION = "SESSION"
"""Needs a session: no key may do this."""

Needs = ApiKeyScope | str

ROWS: dict[type, type] = {}
"""Each picture with its row; the test of the house holds the one against the other."""

REQUIRED = inspect.Parameter.empty
"""The default of an argument that must be given."""


def argument(kind: Any, description: str, default: Any = strawberry.UNSET) -> inspect.Parameter:  # noqa: ANN401 - of any type
    """An argument of a field: its type, what it means, and its default where the schema shows one."""
    annotation = Annotated[kind, strawberry.argument(description=description)]
    return inspect.Parameter("argument", inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def plain(description: str, name: str | None = None) -> Declared:
    """Declare an attribute of the row."""
    return strawberry.field(description=description, name=name)


def optional(description: str) -> Declared:
    """Declare a field of an input that may be left out."""
    return strawberry.field(description=description, default=strawberry.UNSET)


def edge(resolver: Callable[..., Any], description: str, **arguments: inspect.Parameter) -> Declared:
    """Declare what is found by a resolver: another row, or something that takes arguments."""
    return strawberry.field(resolver=_asking(resolver, None, arguments), description=description)


def complete(cls: type, name: str, kind: Any, declared: Declared) -> None:  # noqa: ANN401 - of any type
    """Add a field to a type that was declared before `kind` could be: two types that lead to each other."""
    declared.python_name = name
    declared.origin = cls
    declared.type_annotation = StrawberryAnnotation(kind, namespace=vars(sys.modules[cls.__module__]))
    get_object_definition(cls, strict=True).fields.append(declared)


def root(resolver: Callable[..., Any], needs: Needs, description: str, **arguments: inspect.Parameter) -> Declared:
    """Declare a field of Query, and what the caller needs to ask for it."""
    resolve = _asking(resolver, needs, arguments)
    return strawberry.field(resolver=resolve, description=description, metadata={"needs": needs})


def stream(resolver: Callable[..., Any], needs: Needs, description: str, **arguments: inspect.Parameter) -> Declared:
    """Declare a field of Subscription, and what the caller needs to follow it."""

    async def resolve(info: Info, **given: Any) -> AsyncGenerator[Any, None]:  # noqa: ANN401 - of any type
        _guard(info, needs)
        async with aclosing(resolver(info, **_known(given))) as rows:
            async for row in rows:
                info.context.look_anew()
                yield row

    return strawberry.subscription(
        resolver=_signed(resolve, arguments), description=description, metadata={"needs": needs}
    )


def mutation(work: Callable[..., Awaitable[Any]], takes: type, needs: Needs, description: str) -> Declared:
    """Declare a mutation: the fields of its one input become the keywords of `work`; those left out are not given."""
    operation, names = _operation(takes, "Input"), list(takes.__annotations__)

    async def resolve(info: Info, **given: Any) -> Any:  # noqa: ANN401 - of any type
        _guard(info, needs)
        note: dict[str, Any] = {"name": operation}
        info.context.mutations.append(note)
        outcome = await work(info, **_known({name: getattr(given["input"], name) for name in names}))
        note |= outcomes.told(outcome)
        return outcome

    arguments = {"input": argument(takes, f"Everything {operation} needs.", REQUIRED)}
    return strawberry.mutation(
        resolver=_signed(resolve, arguments),
        description=description,
        metadata={"needs": needs},
    )


def node(row: type, description: str) -> Callable[[type[T]], type[T]]:
    """Declare a type that has a global id: the picture of `row`, told apart from other nodes by it."""
    return member(row, description)


def member(row: type, description: str) -> Callable[[type[T]], type[T]]:
    """Declare a type of a union: the picture of `row`, told apart from the others by it."""

    def decorate(cls: type[T]) -> type[T]:
        declared = picture(row, description)(cls)
        get_object_definition(declared, strict=True).is_type_of = lambda found, _info: isinstance(found, row)
        return declared

    return decorate


def picture(row: type, description: str) -> Callable[[type[T]], type[T]]:
    """Declare a type: the picture of `row`."""

    def decorate(cls: type[T]) -> type[T]:
        ROWS[cls] = row
        return strawberry.type(cls, description=description)

    return decorate


def payload(cls: type[T]) -> type[T]:
    """Declare what a mutation gives back, by whose name it is called: the picture of an outcome."""
    operation = _operation(cls, "Payload")
    either = "Either the result fields are set or `userErrors` is not empty."
    return picture(outcomes.Outcome, f"What {operation} gives back. {either}")(cls)


def words(enum: type[Enum], description: str, values: Mapping[str, str]) -> None:
    """Declare an enum of the database, which is the type of a field from then on: every value described."""
    if differing := {member.name for member in enum} ^ set(values):
        raise TypeError(f"{enum.__name__}: values and descriptions differ in {sorted(differing)}")
    definition: StrawberryEnumDefinition = vars(strawberry.enum(enum, description=description))[
        "__strawberry_definition__"
    ]
    for value in definition.values:
        value.description = values[value.name]


def _operation(cls: type, suffix: str) -> str:
    """Give the name of the mutation that an input or a payload belongs to."""
    name = cls.__name__.removesuffix(suffix)
    return name[0].lower() + name[1:]


def _asking(
    resolver: Callable[..., Any], needs: Needs | None, arguments: Mapping[str, inspect.Parameter]
) -> Callable[..., Any]:
    has_parent = "root" in inspect.signature(resolver).parameters

    async def resolve(info: Info, root: strawberry.Parent[Any], **given: Any) -> Any:  # noqa: ANN401 - of any type
        _guard(info, needs)
        known = _known(given)
        if has_parent:
            known["root"] = root
        return await resolver(info, **known)

    return _signed(resolve, arguments)


def _signed(resolve: Callable[..., Any], arguments: Mapping[str, inspect.Parameter]) -> Callable[..., Any]:
    """Give a resolver the arguments that it is declared with, in place of its `**given`."""
    signature = inspect.signature(resolve)
    own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    declared = [parameter.replace(name=name) for name, parameter in arguments.items()]
    resolve.__signature__ = signature.replace(parameters=[*own, *declared])  # type: ignore[attr-defined]  # for inspect
    resolve.__annotations__ |= {p.name: p.annotation for p in declared}
    return resolve


def _guard(info: Info, needs: Needs | None) -> None:
    if needs is not None and needs != PUBLIC:
        info.context.require(needs if isinstance(needs, ApiKeyScope) else None)


def _known(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _settled(value) for name, value in given.items() if value is not strawberry.UNSET}


def _settled(value: Any) -> Any:  # noqa: ANN401 - of any type
    """An input object with None for every field that was left out."""
    definition = get_object_definition(value)
    if definition is not None and definition.is_input:
        for declared in definition.fields:
            name = declared.python_name
            found = getattr(value, name)
            setattr(value, name, None if found is strawberry.UNSET else _settled(found))
    return value
