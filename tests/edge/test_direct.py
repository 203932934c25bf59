"""Operations that are run without the library's hooks: they give and log what the library with its hooks does."""

import json
from typing import Any

import pytest
import strawberry
from graphql import GraphQLObjectType
from structlog.testing import capture_logs

from schema import observe, root
from tests.edge import small

OPERATIONS: list[tuple[str, dict[str, Any], str | None]] = [
    ("{ hello }", {}, None),
    ("query Q($n: String!) { hello(name: $n) again: hello }", {"n": "Ann"}, None),
    ("query Q($n: String!) { hello(name: $n) }", {"n": 1}, None),
    ("query Q($n: String!) { hello(name: $n) }", {}, "Q"),
    ("query A { hello } query B { requestId }", {}, "B"),
    ("query A { hello } query B { requestId }", {}, "C"),
    ("query A { hello } query B { requestId }", {}, None),
    ("{ missing coded hello }", {}, None),
    ("{ broken }", {}, None),
    ("{ tooBig }", {}, None),
    ("{ manyErrors { name items(first: 2) { name } } }", {}, None),
    ('mutation { rename(name: "x") }', {}, None),
    ("subscription { count }", {}, None),
    ("{ hello", {}, None),
    ("{ nothing }", {}, None),
    ("fragment F on Query { hello }", {}, None),
    ("{ sleepy(seconds: 5) }", {}, None),
    ("", {}, None),
]


async def outcome(execute: Any, document: str, variables: dict[str, Any], name: str | None) -> object:
    """What an operation gives or raises, and what is logged of it, without times and ids."""
    allowed = {strawberry.types.graphql.OperationType.QUERY, strawberry.types.graphql.OperationType.MUTATION}
    with capture_logs() as logged:
        try:
            result = await execute(
                small.schema,
                document,
                variable_values=variables,
                context_value=small.Context(None, "request-1"),
                operation_name=name,
                allowed_operation_types=allowed,
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
            given: object = (type(error), str(error))
        else:
            errors = [error.formatted for error in result.errors or ()]
            given = json.loads(json.dumps([result.data, errors, result.extensions], sort_keys=True))
    lines = [{key: value for key, value in line.items() if key not in ("duration_ms", "exc_info")} for line in logged]
    return _without_ids((given, lines))


def _without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        names = ("errorId", "error_id")
        return {key: ("id" if key in names else _without_ids(inner)) for key, inner in value.items()}
    return [_without_ids(inner) for inner in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize(("document", "variables", "name"), OPERATIONS)
async def test_an_operation_gives_what_it_gives_with_the_hooks(
    document: str, variables: dict[str, Any], name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observe, "OPERATION_SECONDS_MAX", 0.05)
    given = await outcome(type(small.schema).execute, document, variables, name)
    assert given == await outcome(strawberry.Schema.execute, document, variables, name)


async def test_a_good_query_is_run_without_a_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: observe.TimeLimit) -> None:
        raise ValueError

    monkeypatch.setattr(observe.TimeLimit, "on_execute", broken)
    result = await small.schema.execute("{ hello }", context_value=small.Context(None, "r"))
    assert (result.data, result.errors) == ({"hello": "hello you"}, None)


def test_every_resolver_of_ours_is_called_without_the_layers_for_extensions() -> None:
    core = root.schema._schema
    resolvers = [
        (kind.name, name, field.resolve)
        for kind in core.type_map.values()
        if isinstance(kind, GraphQLObjectType) and kind is not core.subscription_type
        for name, field in kind.fields.items()
        if getattr(field.extensions.get("strawberry-definition"), "base_resolver", None) is not None
    ]
    assert len(resolvers) > 50
    assert [name for *name, resolve in resolvers if "DirectSchema" not in getattr(resolve, "__qualname__", "")] == []
