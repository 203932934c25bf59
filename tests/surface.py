"""The schema as graphql-core has it: what a test asks of it, with types."""

from collections.abc import Mapping, Sequence

from graphql import GraphQLField, GraphQLInterfaceType, GraphQLObjectType

from schema import root

SCHEMA = root.schema._schema


def fields(name: str) -> Mapping[str, GraphQLField]:
    """The fields of an object type."""
    kind = SCHEMA.type_map[name]
    assert isinstance(kind, GraphQLObjectType)
    found: Mapping[str, GraphQLField] = kind.fields
    return found


def nodes() -> Sequence[GraphQLObjectType]:
    """Every type that has a global id."""
    kind = SCHEMA.type_map["Node"]
    assert isinstance(kind, GraphQLInterfaceType)
    return SCHEMA.get_possible_types(kind)
