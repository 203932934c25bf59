"""The compiled executor beside graphql-core's own: random documents over random rows, good and bad ones."""

import asyncio
from typing import Any

import pytest
import strawberry
from graphql import GraphQLError
from hypothesis import given, settings
from strawberry.schema.config import StrawberryConfig

from app.graphql import codec
from schema import limits
from schema.execution import executor
from schema.execution.executor import CompiledExecutor
from schema.scalars import SCALARS
from tests.edge import odd


class Counting(CompiledExecutor):
    """Counts the fields that graphql-core executes itself."""

    fields = 0

    def execute_field(self, *args: Any, **kwargs: Any) -> Any:
        Counting.fields += 1
        return super().execute_field(*args, **kwargs)


class Quiet(strawberry.Schema):
    """As the library has it, but that it logs no error."""

    def process_errors(self, errors: list[GraphQLError], execution_context: Any = None) -> None:
        pass


def _schema(kind: Any) -> strawberry.Schema:
    return Quiet(
        odd.Query,
        types=[odd.Leaf, odd.Branch],
        execution_context_class=kind,
        config=StrawberryConfig(scalar_map=SCALARS),
    )


STANDARD, COMPILED = _schema(None), _schema(Counting)
LEAF = odd.LeafRow(
    name="leaf", id="leaf_1", text=None, number=1, maybe=None, ratio=0.5, flag=True, colour=odd.Colour.RED,
    size=odd.Size.LARGE, at=odd.NOON, day=None, address=None,
)  # fmt: skip
BRANCH = odd.BranchRow(name="branch", number=3, leaf=LEAF, leaves=[LEAF] * 100, maybe_leaf=None)


def answer(schema: strawberry.Schema, document: str, root: Any, **variables: Any) -> tuple[bytes, list[Any]]:
    """What a document gives: its data as JSON, keys in order, and its errors."""
    result = asyncio.run(schema.execute(document, variables, root_value=root))
    errors = [(error.message, error.path, error.locations) for error in result.errors or ()]
    return codec.encode(result.data), errors


# graphql-core leaves resolvers beside one that failed to themselves, and the loop ends before they were begun.
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited", "ignore:Exception ignored in")
@given(odd.documents(), odd.ROOTS)
@settings(max_examples=80, deadline=None, derandomize=True, database=None)
def test_both_executors_give_the_same_data_and_the_same_errors(document: str, root: Any) -> None:
    assert answer(COMPILED, document, root) == answer(STANDARD, document, root)


@pytest.mark.parametrize(
    ("document", "fields"),
    [
        ("{ branch { leaves { name number colour size at } } }", 1),
        (
            "{ branch { ...B } } fragment B on Named { ... on Branch { leaves { ...L } } } fragment L on Leaf { id }",
            1,
        ),
        ("{ named { name ... on Branch { leaves { flag } } ... on Leaf { id } } }", 1),
        ("{ branches { scaled leaf { name number text } } }", 3),  # those with a resolver beside them, not those below
    ],
)
def test_what_is_only_attributes_is_left_to_one_function(document: str, fields: int) -> None:
    root = odd.Row(branch=BRANCH, branches=[BRANCH], named=BRANCH)
    Counting.fields = 0
    given = answer(COMPILED, document, root)
    assert Counting.fields == fields
    assert given == answer(STANDARD, document, root)


def test_a_fragment_in_two_places_does_not_take_the_one_for_the_other() -> None:
    document = """{
      first: branch { ...B leaf { text } } second: branch { ...B } third: branch { leaf { number } ...B }
    } fragment B on Branch { leaf { name } }"""
    root = odd.Row(branch=BRANCH)
    data, errors = answer(COMPILED, document, root)
    assert (data, errors) == answer(STANDARD, document, root)
    assert data == (
        b'{"first":{"leaf":{"name":"leaf","text":null}},"second":{"leaf":{"name":"leaf"}},'
        b'"third":{"leaf":{"number":1,"name":"leaf"}}}'
    )


def test_a_directive_by_a_variable_is_looked_at_each_time() -> None:
    document = "query($yes: Boolean!) { branch { name leaf @include(if: $yes) { name } } }"
    root = odd.Row(branch=BRANCH)
    for yes in (True, False, True):
        assert answer(COMPILED, document, root, yes=yes) == answer(STANDARD, document, root, yes=yes)


def test_what_is_kept_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DOCUMENTS_KEPT", 10)
    executor._functions.clear()
    root = odd.Row(branch=BRANCH)
    for number in range(50):
        answer(COMPILED, f"{{ branch {{ n{number}: name }} }}", root)
    assert len(executor._functions) == 10
    operations = [operation.loc.source.body for operation, _ in executor._functions.values() if operation.loc]
    assert operations == [f"{{ branch {{ n{number}: name }} }}" for number in range(40, 50)]
