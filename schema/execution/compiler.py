"""Writes a Python function that completes one subtree of an operation, where that subtree is nothing but attributes.

The function gives what graphql-core would give, or raises: then graphql-core does it, errors and all. It handles the
expected alone: values of the very class that a scalar is made of, null where it may be, lists and tuples.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    SelectionSetNode,
    Undefined,
)
from strawberry.types.field import StrawberryField

Complete = Callable[[Any], Any]
"""Takes what a resolver gave, gives what the answer holds; raises where graphql-core must do it."""

# Values that a scalar writes as they are. Every other is left to the scalar itself.
_AS_IT_IS: Mapping[str, str] = {
    "Boolean": "{0}.__class__ is bool",
    "Date": "{0}.__class__ is date",
    "DateTime": "{0}.__class__ is datetime and {0}.tzinfo is utc",
    "EmailAddress": "{0}.__class__ is str",
    "Float": "{0}.__class__ is float and {0} - {0} == 0.0",  # neither infinite nor no number
    "ID": "{0}.__class__ is str",
    "Int": "{0}.__class__ is int and -2147483648 <= {0} <= 2147483647",
    "String": "{0}.__class__ is str",
    "URL": "{0}.__class__ is str",
}


class Uncompilable(Exception):
    """The subtree holds more than attributes: a resolver, an argument, a directive, an abstract type."""


class Surprise(Exception):
    """A value is not what its type promises."""


def compiled(
    schema: GraphQLSchema,
    fragments: Mapping[str, FragmentDefinitionNode],
    kind: GraphQLOutputType,
    selections: Sequence[SelectionSetNode],
) -> Complete:
    """Give the function that completes a value of `kind`, of which `selections` are asked.

    Raises:
        Uncompilable: graphql-core has to do it.

    """
    return _Compiler(schema, fragments).function(kind, selections)


class _Compiler:
    """One function with those that it calls. Names in the text are keys of the schema and the document, or our own."""

    def __init__(self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._schema = schema
        self._fragments = fragments
        self._lines: list[str] = []
        self._names: dict[str, Any] = {"Surprise": Surprise, "date": dt.date, "datetime": dt.datetime, "utc": dt.UTC}

    def function(self, kind: GraphQLOutputType, selections: Sequence[SelectionSetNode]) -> Complete:
        expression = self._value(kind, selections, "value")
        self._lines += ["def complete(value):", f"    return {expression}"]
        exec("\n".join(self._lines), self._names)  # noqa: S102 - the text is made above, of names alone
        complete: Complete = self._names["complete"]
        return complete

    def _name(self, value: object = None) -> str:
        """Make a name, bound to `value` in the text's globals."""
        name = f"n{len(self._names)}"
        self._names[name] = value
        return name

    def _value(self, kind: GraphQLOutputType, selections: Sequence[SelectionSetNode], of: str) -> str:
        """Write the expression that completes the variable `of`."""
        if isinstance(kind, GraphQLNonNull):
            return self._present(kind.of_type, selections, of, is_nullable=False)
        return self._present(kind, selections, of, is_nullable=True)

    def _present(
        self, kind: GraphQLOutputType, selections: Sequence[SelectionSetNode], of: str, *, is_nullable: bool
    ) -> str:
        if isinstance(kind, GraphQLScalarType | GraphQLEnumType):
            return self._leaf(kind, of, is_nullable=is_nullable)
        if isinstance(kind, GraphQLObjectType):
            written = f"{self._object(kind, selections)}({of})"
        elif isinstance(kind, GraphQLList):
            written = f"{self._list(kind, selections)}({of})"
        else:
            raise Uncompilable
        # What is null where it must not be has no attributes and is no list: that raises.
        return f"(None if {of} is None else {written})" if is_nullable else written

    def _leaf(self, kind: GraphQLScalarType | GraphQLEnumType, of: str, *, is_nullable: bool) -> str:
        slow = f"{self._name(_leaf(kind, is_nullable=is_nullable))}({of})"
        if isinstance(kind, GraphQLEnumType):
            members = getattr(kind, "wrapped_cls", None)
            if members is None or any(name != member.name for name, member in _members(kind, members)):
                return slow
            return f"({of}._name_ if {of}.__class__ is {self._name(members)} else {slow})"
        as_it_is = _AS_IT_IS.get(kind.name)
        if as_it_is is None:
            return slow
        condition = as_it_is.format(of)
        return f"({of} if {f'{of} is None or ' if is_nullable else ''}{condition} else {slow})"

    def _list(self, kind: GraphQLList[Any], selections: Sequence[SelectionSetNode]) -> str:
        name = self._name()
        item = self._value(kind.of_type, selections, "item")
        self._lines += [
            f"def {name}(items):",
            "    if items.__class__ is not list and items.__class__ is not tuple: raise Surprise",
            f"    return [{item} for item in items]",
        ]
        return name

    def _object(self, kind: GraphQLObjectType, selections: Sequence[SelectionSetNode]) -> str:
        name = self._name()
        lines, items = [f"def {name}(row):"], []
        if kind.is_type_of is not None:
            lines.append(f"    if {self._name(kind.is_type_of)}(row, None) is not True: raise Surprise")
        lines.append("    if isinstance(row, Exception): raise Surprise")
        for number, (key, nodes) in enumerate(self._fields(kind, selections).items()):
            if nodes[0].name.value == "__typename":
                items.append(f"{key!r}: {kind.name!r}")
                continue
            field = kind.fields[nodes[0].name.value]
            lines.append(f"    f{number} = row.{_attribute(field, nodes)}")
            below = [node.selection_set for node in nodes if node.selection_set is not None]
            items.append(f"{key!r}: {self._value(field.type, below, f'f{number}')}")
        self._lines += [*lines, f"    return {{{', '.join(items)}}}"]
        return name

    def _fields(self, kind: GraphQLObjectType, selections: Iterable[SelectionSetNode]) -> dict[str, list[FieldNode]]:
        """Collect the fields that are asked of an object, by response key (specification, section 6.3.2)."""
        found: dict[str, list[FieldNode]] = {}
        visited: set[str] = set()

        def collect(selection_set: SelectionSetNode) -> None:
            for node in selection_set.selections:
                if node.directives:
                    raise Uncompilable
                if isinstance(node, FieldNode):
                    found.setdefault((node.alias or node.name).value, []).append(node)
                    continue
                fragment: Any = node
                if isinstance(node, FragmentSpreadNode):
                    if node.name.value in visited:
                        continue
                    visited.add(node.name.value)
                    fragment = self._fragments[node.name.value]
                    if node.arguments or fragment.variable_definitions:
                        raise Uncompilable
                if fragment.type_condition is None or self._applies(fragment.type_condition.name.value, kind):
                    collect(fragment.selection_set)

        for selection_set in selections:
            collect(selection_set)
        return found

    def _applies(self, condition: str, kind: GraphQLObjectType) -> bool:
        named = self._schema.get_type(condition)
        if isinstance(named, GraphQLInterfaceType | GraphQLUnionType):
            return self._schema.is_sub_type(named, kind)
        return named is kind


def _attribute(field: Any, nodes: Sequence[FieldNode]) -> str:  # noqa: ANN401 - a GraphQLField of any source
    """The attribute that a field is, where it is no more than that."""
    declared = field.extensions.get("strawberry-definition")
    if not isinstance(declared, StrawberryField) or not declared.is_basic_field or field.args:
        raise Uncompilable
    if declared.default_resolver is not getattr or any(node.arguments for node in nodes):
        raise Uncompilable
    return declared.python_name


def _members(kind: GraphQLEnumType, members: Any) -> Iterable[tuple[str, Any]]:  # noqa: ANN401 - an enum class
    """Each name of a GraphQL enum with the member that it stands for."""
    return [(name, members(value.value)) for name, value in kind.values.items()]


def _leaf(kind: GraphQLScalarType | GraphQLEnumType, *, is_nullable: bool) -> Complete:
    """Give the slow way to complete a leaf: by its type, as graphql-core does."""
    coerce = kind.coerce_output_value

    def complete(value: Any) -> Any:  # noqa: ANN401 - whatever a row holds
        if value is None and is_nullable:
            return None
        if isinstance(value, Exception) or hasattr(value, "__await__"):
            raise Surprise
        coerced = coerce(value)
        if value is None or value is Undefined or coerced is None or coerced is Undefined:
            raise Surprise
        return coerced

    return complete
