"""graphql-core's executor, which leaves what is nothing but attributes to compiled functions."""

import contextlib
from collections import OrderedDict
from typing import Any

from graphql import (
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    OperationDefinitionNode,
    get_named_type,
    is_abstract_type,
)
from graphql.execution.collect_fields import FieldDetailsList
from graphql.pyutils import Path
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from schema import limits
from schema.execution import compiler

Key = tuple[object, ...]
Functions = dict[Key, compiler.Complete | None]
"""By return type and the identities of the field's nodes. None: graphql-core has to do it."""

# The functions of as many operations as documents are kept (`schema.limits`), which find them again; the last used
# stands last. An operation is kept beside them, so that no other can take its identity.
_functions: OrderedDict[int, tuple[OperationDefinitionNode, Functions]] = OrderedDict()


def _of(operation: OperationDefinitionNode) -> Functions:
    """The functions of an operation."""
    found = _functions.get(id(operation))
    if found is None:
        if len(_functions) >= limits.DOCUMENTS_KEPT:
            _functions.popitem(last=False)
        found = _functions[id(operation)] = operation, {}
    else:
        _functions.move_to_end(id(operation))
    return found[1]


class CompiledExecutor(StrawberryGraphQLCoreExecutionContext):
    """For `strawberry.Schema(execution_context_class=…)`.

    Resolvers, arguments, permissions and errors stay with graphql-core. A compiled function reads attributes, which
    has no effects: when it raises, graphql-core completes the same value from the start.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - graphql-core's own
        """As graphql-core makes it."""
        super().__init__(*args, **kwargs)
        self._functions = _of(self.operation)
        # A middleware sees every field, so none may be left out.
        self._is_compiling = self.middleware_manager is None or not self.middleware_manager.middlewares

    def complete_value(
        self,
        return_type: GraphQLOutputType,
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: object,
        position_context: Any,  # noqa: ANN401 - graphql-core's own
    ) -> Any:  # noqa: ANN401 - what an answer holds
        """Complete what a field's resolver gave (specification, section 6.4.3)."""
        if result is not None and field_details_list[0].node.selection_set is not None and self._is_compiling:
            function = self._function(return_type, field_details_list)
            if function is not None:
                try:
                    return function(result)
                except Exception:  # noqa: BLE001, S110 - whatever it is, graphql-core comes upon it again and tells it
                    pass
        return super().complete_value(return_type, field_details_list, info, path, result, position_context)

    def complete_object_value(
        self,
        return_type: GraphQLObjectType,
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: object,
        position_context: Any,  # noqa: ANN401 - graphql-core's own
    ) -> Any:  # noqa: ANN401 - what an answer holds
        """Complete an object; the type of one behind an interface is known only here."""
        if self._is_compiling and is_abstract_type(get_named_type(info.return_type)):
            function = self._function(return_type, field_details_list)
            if function is not None:
                try:
                    return function(result)
                except Exception:  # noqa: BLE001, S110 - graphql-core comes upon it again
                    pass
        return super().complete_object_value(return_type, field_details_list, info, path, result, position_context)

    def _function(self, kind: GraphQLOutputType, details: FieldDetailsList) -> compiler.Complete | None:
        key: Key = (kind, *[id(detail.node) for detail in details])
        if key in self._functions:
            return self._functions[key]
        selections = [detail.node.selection_set for detail in details if detail.node.selection_set is not None]
        function: compiler.Complete | None = None
        with contextlib.suppress(compiler.Uncompilable):
            function = compiler.compiled(self.schema, self.fragment_definitions, kind, selections)
        self._functions[key] = function
        return function
