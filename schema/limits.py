"""What one operation may ask for, measured once for each document and kept with its parse and its validation."""

import contextlib
import dataclasses
import functools
import typing
from collections.abc import Iterable, Iterator, Mapping

import strawberry
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
    parse,
    specified_rules,
)
from strawberry.extensions import SchemaExtension
from strawberry.schema import BaseSchema
from strawberry.schema.schema import validate_document
from strawberry.types.graphql import OperationType as StrawberryOperationType

from services import rates

# Documents kept, each with its tree and its validation errors: 0.8 MB each at the limit of tokens, some KB as a rule.
DOCUMENTS_KEPT = 100


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """The most that one operation may hold. Cost: one point an object, times the page sizes above it."""

    tokens: int = 2000
    definitions: int = 50
    variables: int = 50
    depth: int = 12
    fields: int = 500
    aliases: int = 30
    root_fields: int = 20
    root_mutations: int = 5
    directives: int = 30
    directives_on_one_node: int = 3
    introspection_depth: int = 4
    cost: int = 5000
    page_default: int = 20
    page_max: int = 100


LIMITS = Limits()


@dataclasses.dataclass(frozen=True, slots=True)
class Size:
    """What a selection set amounts to, fragments written out."""

    depth: int = 0
    fields: int = 0
    root_fields: int = 0
    aliases: int = 0
    directives: int = 0
    directives_on_one_node: int = 0
    introspection_depth: int = 0
    cost: int = 0

    def beside(self, other: "Size", *, times: int = 1) -> "Size":
        """Add up what counts and take the deeper of what nests; `other` costs `times` its cost."""
        return Size(
            depth=max(self.depth, other.depth),
            fields=self.fields + other.fields,
            root_fields=self.root_fields + other.root_fields,
            aliases=self.aliases + other.aliases,
            directives=self.directives + other.directives,
            directives_on_one_node=max(self.directives_on_one_node, other.directives_on_one_node),
            introspection_depth=max(self.introspection_depth, other.introspection_depth),
            cost=self.cost + times * other.cost,
        )


class Documents(SchemaExtension):
    """Parses, measures and validates each text once; later requests with the same text find the outcome.

    Stands in for ParserCache (which lets a syntax error escape on streams), ValidationCache (which hashes the whole
    tree each time) and the depth and alias limiters (exponential on fragments, and one class a request).
    """

    _prepared: "Prepared | None" = None

    def on_parse(self) -> Iterator[None]:
        context = self.execution_context
        context.parse_options["max_tokens"] = LIMITS.tokens
        if context.query:
            # A text that does not parse is left to the stock step, which reports it in the way each transport needs.
            self._prepared = prepared(context.schema, context.query)
            if self._prepared is not None:
                context.graphql_document = self._prepared.document
        yield

    def on_validate(self) -> Iterator[None]:
        prepared, context = self._prepared, self.execution_context
        if prepared is not None:
            context.pre_execution_errors = list(prepared.errors)
            # The library would run the first of several operations (specification, section 6.1: a request error).
            is_named = context._provided_operation_name is not None  # noqa: SLF001 - `operation_name` makes one up
            if len(prepared.operations) > 1 and not is_named:
                text = "The document holds several operations: name one in `operationName`."
                error = GraphQLError(text, extensions={"code": "OPERATION_RESOLUTION_FAILURE"})
                context.pre_execution_errors.append(error)
        yield

    def get_results(self) -> dict[str, object]:
        prepared, context = self._prepared, self.execution_context
        if prepared is None or prepared.errors or context.operation_type.value == "subscription":
            return {}
        return prepared.told()


def _left() -> dict[str, object]:
    """What the operation has left to its caller, where that is counted."""
    spent = rates.SPENT.get()
    if spent is None:
        return {}
    reset_at = spent.reset_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"rateLimit": {"limit": spent.limit, "remaining": spent.remaining, "cost": spent.cost, "resetAt": reset_at}}


@dataclasses.dataclass(frozen=True, slots=True)
class Prepared:
    """A document that parses, with what is known of it."""

    document: DocumentNode
    errors: tuple[GraphQLError, ...]
    """Shared by every request with this text: never change one."""
    cost: int
    operations: Mapping[str | None, OperationType]
    """By their names; of several with one name, which is an error, any."""

    def kind(self, name: str | None) -> OperationType | None:
        """Say what the operation of this name is, or the only one (None); None where no one operation is meant."""
        if name is not None:
            return self.operations.get(name)
        return next(iter(self.operations.values())) if len(self.operations) == 1 else None

    def is_runnable(self, name: str | None, allowed: Iterable[StrawberryOperationType]) -> bool:
        """Say whether the query or mutation of this name, or the only one (None), can be run and is allowed."""
        kind = self.kind(name)
        if self.errors or kind is None or kind is OperationType.SUBSCRIPTION:
            return False
        return any(kind.value == one.value for one in allowed)

    def told(self) -> dict[str, object]:
        """What an answer tells of cost and rates."""
        return {"cost": {"requested": self.cost, "maximum": LIMITS.cost}} | _left()


def price(schema: BaseSchema, text: str) -> int:
    """What an operation is charged, in points: its cost, and 1 where that is nothing or the text is no document.

    What asks for more than may run is refused, and charged as the dearest that may: nobody is kept out for years by one
    request from their network, and counters hold the sum.
    """
    found = prepared(typing.cast("strawberry.Schema", schema), text)
    return min(max(1, found.cost), LIMITS.cost) if found is not None else 1


def is_mutation(schema: BaseSchema, text: str, name: str | None) -> bool:
    """Say whether the operation of this name, or the only one (None), would change something."""
    found = prepared(typing.cast("strawberry.Schema", schema), text)
    return found is not None and found.kind(name) is OperationType.MUTATION


@functools.lru_cache(maxsize=DOCUMENTS_KEPT)
def prepared(schema: strawberry.Schema, text: str) -> Prepared | None:
    """Parse, measure and validate; None for a text that does not parse, which is kept too."""
    with contextlib.suppress(GraphQLError, RecursionError):
        return _prepared(schema._schema, text)  # noqa: SLF001 - the library's own extensions reach it in this way
    return None


def _prepared(schema: GraphQLSchema, text: str) -> Prepared:
    document = parse(text, max_tokens=LIMITS.tokens)
    errors, cost = check(schema, document)
    if not errors:
        errors = validate_document(schema, document, tuple(specified_rules))
        for error in errors:  # still ours alone: nobody has seen them yet
            error.extensions = {"code": "GRAPHQL_VALIDATION_FAILED", **(error.extensions or {})}
    operations = {
        node.name.value if node.name else None: node.operation
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode)
    }
    return Prepared(document, tuple(errors), cost, operations)


def check(schema: GraphQLSchema, document: DocumentNode, limits: Limits = LIMITS) -> tuple[list[GraphQLError], int]:
    """Give what `document` has too much of, and the highest cost of its operations.

    Runs before validation, on any document that parses, in time linear in its length.
    """
    if len(document.definitions) > limits.definitions:
        return [_excess("definitions", len(document.definitions), limits.definitions)], 0
    measurer = _Measurer(schema, document, limits)
    cost = 0
    for operation in document.definitions:
        if isinstance(operation, OperationDefinitionNode):
            size = measurer.operation(operation)
            cost = max(cost, size.cost)
            is_mutation = operation.operation is OperationType.MUTATION
            root_fields_max = limits.root_mutations if is_mutation else limits.root_fields
            for name, amount, most in (
                ("depth", size.depth, limits.depth),
                ("fields", size.fields, limits.fields),
                ("aliases", size.aliases, limits.aliases),
                ("root fields", size.root_fields, root_fields_max),
                ("directives", size.directives, limits.directives),
                ("directives on one node", size.directives_on_one_node, limits.directives_on_one_node),
                ("introspection depth", size.introspection_depth, limits.introspection_depth),
                ("variables", len(operation.variable_definitions or ()), limits.variables),
                ("cost", size.cost, limits.cost),
            ):
                if amount > most:
                    return [_excess(name, amount, most, operation)], cost
    return [], cost


def _excess(name: str, amount: int, most: int, node: OperationDefinitionNode | None = None) -> GraphQLError:
    return GraphQLError(
        f"The operation exceeds the limit for {name}: {min(amount, 10**9)} of {most}.",
        node,
        extensions={"code": "OPERATION_TOO_COMPLEX", "limit": name, "maximum": most},
    )


class _Measurer:
    """Walks each selection set once: what a fragment amounts to is remembered, however often it is spread."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, limits: Limits) -> None:
        self._schema = schema
        self._limits = limits
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._known: dict[tuple[str, int], Size] = {}
        self._open: set[str] = set()
        # Past this nesting the depth is over its limit in any case, and Python's stack stays flat.
        self._nesting_max = 4 * limits.depth

    def operation(self, node: OperationDefinitionNode) -> Size:
        root = self._schema.get_root_type(node.operation)
        return self._with_directives(node, self._selections(node.selection_set, root, 0, 0))

    def _selections(
        self, selection_set: SelectionSetNode | None, parent: GraphQLNamedType | None, introspection: int, nesting: int
    ) -> Size:
        if nesting > self._nesting_max:
            return Size(depth=self._nesting_max)
        total = Size()
        for node in selection_set.selections if selection_set else ():
            if isinstance(node, FieldNode):
                size = self._field(node, parent, introspection, nesting)
            elif isinstance(node, InlineFragmentNode):
                on = self._schema.get_type(node.type_condition.name.value) if node.type_condition else parent
                size = self._selections(node.selection_set, on, introspection, nesting + 1)
            else:
                size = self._fragment(node, introspection, nesting)
            total = total.beside(self._with_directives(node, size))
        return total

    def _fragment(self, spread: SelectionNode, introspection: int, nesting: int) -> Size:
        name = spread.name.value if hasattr(spread, "name") else ""
        fragment = self._fragments.get(name)
        if fragment is None or name in self._open:
            return Size()  # unknown fragments and circles are reported by validation
        key = (name, introspection)
        if key not in self._known:
            self._open.add(name)
            on = self._schema.get_type(fragment.type_condition.name.value)
            self._known[key] = self._selections(fragment.selection_set, on, introspection, nesting + 1)
            self._open.discard(name)
        return self._known[key]

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None, introspection: int, nesting: int) -> Size:
        name = node.name.value
        if name in ("__schema", "__type"):
            introspection = 1
        elif introspection and name in ("fields", "inputFields", "interfaces", "possibleTypes"):
            introspection = min(introspection + 1, self._limits.introspection_depth + 2)
        field: GraphQLField | None = getattr(parent, "fields", {}).get(name)
        kind = get_named_type(field.type) if field else None
        below = self._selections(node.selection_set, kind, introspection, nesting + 1)
        is_object = introspection or (kind is not None and is_composite_type(kind))
        page = self._page(node, field)
        is_list = field is not None and is_list_type(get_nullable_type(field.type))
        own = Size(
            # Introspection nests deep by nature and has its own limit.
            depth=0 if introspection or name.startswith("__") else below.depth + 1,
            fields=1,
            aliases=int(node.alias is not None),
            introspection_depth=max(introspection - 1, 0),
            cost=(page if is_list else 1) if is_object else 0,
        )
        return dataclasses.replace(own.beside(below, times=page), root_fields=1)

    def _page(self, node: FieldNode, field: GraphQLField | None) -> int:
        """How many objects a field may give: its page size, or the length of its list of ids."""
        if field is None or not {"first", "last", "ids"} & set(field.args):
            return 1
        for argument in node.arguments or ():
            value = argument.value
            if argument.name.value not in ("first", "last", "ids"):
                continue
            if isinstance(value, IntValueNode):
                return max(1, min(int(value.value[:9]), self._limits.page_max))
            return max(1, len(value.values)) if isinstance(value, ListValueNode) else self._limits.page_max
        return self._limits.page_default

    @staticmethod
    def _with_directives(node: SelectionNode | OperationDefinitionNode, size: Size) -> Size:
        count = len(node.directives or ())
        return size.beside(Size(directives=count, directives_on_one_node=count)) if count else size
