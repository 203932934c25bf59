"""Runs queries and mutations whose document is known to be good, without the library's hooks around each step.

The hooks make a dozen context managers an operation, which take as long as reading a row. What they do is done here by
the same functions (`schema.observe`, `schema.limits`).
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import strawberry
from graphql import DocumentNode, GraphQLError, GraphQLObjectType, GraphQLResolveInfo, execute
from graphql import ExecutionResult as CoreResult
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.schema import DEFAULT_ALLOWED_OPERATION_TYPES
from strawberry.types import ExecutionContext, ExecutionResult, Info
from strawberry.types.arguments import StrawberryArgument, convert_arguments
from strawberry.types.base import StrawberryOptional
from strawberry.types.field import StrawberryField
from strawberry.types.graphql import OperationType

from schema import limits, observe


class DirectSchema(strawberry.Schema):
    """A schema that runs good documents itself, and leaves the library what is not one, and every stream."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as the library has them
        """Make the schema as the library does; resolvers are called without the layers for its field extensions."""
        super().__init__(*args, **kwargs)
        for kind in self._schema.type_map.values():
            if isinstance(kind, GraphQLObjectType) and kind is not self._schema.subscription_type:
                for field in kind.fields.values():
                    declared = field.extensions.get("strawberry-definition")
                    if isinstance(declared, StrawberryField) and _is_plain(declared):
                        field.resolve = self._resolve(declared)

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Leave the logging of errors to `observe`: the library's own writes every typo of a caller."""

    async def execute(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any | None = None,  # noqa: ANN401 - of any kind
        root_value: Any | None = None,  # noqa: ANN401 - of any kind
        operation_name: str | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> ExecutionResult:
        """Run one operation."""
        allowed = DEFAULT_ALLOWED_OPERATION_TYPES if allowed_operation_types is None else allowed_operation_types
        prepared = limits.prepared(self, query) if query else None
        if prepared is None or not prepared.is_runnable(operation_name, allowed):
            return await super().execute(
                query, variable_values, context_value, root_value, operation_name, allowed, operation_extensions
            )
        context = ExecutionContext(
            query=query,
            schema=self,
            allowed_operations=allowed,
            context=context_value,
            root_value=root_value,
            variables=variable_values,
            provided_operation_name=operation_name,
            operation_extensions=operation_extensions,
            graphql_document=prepared.document,
        )
        observe.count(context_value)
        with observe.Line(context) as line:
            errors: Sequence[Exception] | None
            try:
                data, errors = await self._run(prepared.document, context)
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller is told what may be told
                data, errors = None, [error]
                line.outcome = "failed"
            told = observe.all_tellable(errors, context) if errors else None
            result = context.result = ExecutionResult(data, told, prepared.told())
        return result

    def _resolve(self, field: StrawberryField) -> Callable[..., Awaitable[Any]]:
        """Give what calls a resolver, with arguments and parent made of graphql-core's as the library makes them."""
        declared: Any = field.base_resolver
        call: Callable[..., Awaitable[Any]] = declared.wrapped_func
        parent = declared.parent_parameter or declared.root_parameter
        arguments, info_class = field.arguments, self.config.info_class
        registry = self.schema_converter.scalar_registry
        as_given = {self.config.name_converter.from_argument(a): a.python_name for a in arguments if _is_as_given(a)}
        is_converting = len(as_given) < len(arguments)

        def resolve(source: Any, info: GraphQLResolveInfo[Any], **given: Any) -> Awaitable[Any]:  # noqa: ANN401 - of any type
            known: Info[Any, Any] = info_class(_raw_info=info, _field=field)
            if is_converting:
                named = convert_arguments(given, arguments, registry, self.config, known)
            else:
                named = {as_given[name]: value for name, value in given.items()}
            if parent is not None:
                named[parent.name] = source
            return call(info=known, **named)

        return resolve

    async def _run(
        self, document: DocumentNode, context: ExecutionContext
    ) -> tuple[dict[str, Any] | None, Sequence[Exception] | None]:
        """Have graphql-core execute the operation; gives data and errors."""
        async with observe.time_limit(context.context):
            found = execute(
                self._schema,
                document,
                root_value=context.root_value,
                context_value=context.context,
                variable_values=context.variables,
                operation_name=context.operation_name,
                executor_class=self.execution_context_class,
                is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]  # it guards no type, and says the same
                operation_extensions=context.operation_extensions,
            )
            result = found if isinstance(found, CoreResult) else await found
        return result.data, result.errors


def _is_as_given(argument: StrawberryArgument) -> bool:
    """Say whether the library would leave the values of an argument as graphql-core gives them."""
    kind = argument.type
    return (kind.of_type if isinstance(kind, StrawberryOptional) else kind) in (bool, float, int, str, strawberry.ID)


def _is_plain(field: StrawberryField) -> bool:
    """Say whether a field has a coroutine for a resolver that takes `info`, and nothing around it."""
    resolver = field.base_resolver
    return (
        resolver is not None
        and not field.extensions
        and inspect.iscoroutinefunction(resolver.wrapped_func)
        and resolver.info_parameter is not None
        and resolver.info_parameter.name == "info"
        and resolver.self_parameter is None
    )
