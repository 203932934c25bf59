"""Reads a GraphQL request out of a query string, a JSON body or a multipart form; whatever is malformed is a 400."""

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Mapping

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from app.graphql import codec, negotiation
from app.graphql.refusal import Refused

DOCUMENT_BYTES_MAX = 32 * 1024
FILES_MAX = 5
FORM_FIELDS_MAX = 2  # operations and map
FORM_FIELD_BYTES_MAX = 1024 * 1024
JSON_SECONDS_MAX = 30.0
FORM_SECONDS_MAX = 900.0


@dataclasses.dataclass(frozen=True, slots=True)
class Operation:
    """A well-formed request (GraphQL over HTTP, section 5): what it says is not looked at yet."""

    query: str
    variables: dict[str, object] | None = None
    operation_name: str | None = None
    extensions: dict[str, object] | None = None


@contextlib.asynccontextmanager
async def reading(request: Request) -> AsyncIterator[Operation]:
    """Give the operation of `request`; uploaded files stay open until the block is left. Raises Refused."""
    try:
        yield operation(await _parameters(request))
    finally:
        await request.close()


def operation(parameters: object) -> Operation:
    """Check the shape of request parameters. Raises Refused (400)."""
    if isinstance(parameters, list):
        raise Refused(400, "Batches are not supported: send one operation a request.")
    if not isinstance(parameters, dict):
        raise Refused(400, "The request must be a JSON object with a `query`.")
    query, name = parameters.get("query"), parameters.get("operationName")
    variables, extensions = parameters.get("variables"), parameters.get("extensions")
    if not isinstance(extensions, dict | None) or not isinstance(variables, dict | None):
        raise Refused(400, "`variables` and `extensions` must be objects or null.")
    if query is None and "persistedQuery" in (extensions or {}):
        raise Refused(400, "PersistedQueryNotSupported", code="PERSISTED_QUERY_NOT_SUPPORTED")
    if not isinstance(query, str) or not query.strip():
        raise Refused(400, "`query` must be a string that holds a GraphQL document.")
    if len(query.encode(errors="surrogatepass")) > DOCUMENT_BYTES_MAX:
        raise Refused(400, f"The document exceeds {DOCUMENT_BYTES_MAX} bytes.", code="OPERATION_TOO_COMPLEX")
    if not isinstance(name, str | None):
        raise Refused(400, "`operationName` must be a string or null.")
    return Operation(query, variables, name or None, extensions)


async def _parameters(request: Request) -> object:
    if request.method == "GET":
        return _from_query_string(request.query_params)
    media_type, _ = negotiation.content_type(request.headers.get("content-type"))
    is_form = media_type == negotiation.MULTIPART
    try:
        async with asyncio.timeout(FORM_SECONDS_MAX if is_form else JSON_SECONDS_MAX):
            return await _from_form(request) if is_form else _decoded(await request.body(), "The body")
    except TimeoutError:
        raise Refused(408, "The body did not arrive in time.", headers={"connection": "close"}) from None


def _from_query_string(parameters: Mapping[str, str]) -> dict[str, object]:
    read: dict[str, object] = dict(parameters)
    for name in ("variables", "extensions"):
        if text := parameters.get(name):
            read[name] = _decoded(text, f"`{name}`")
        else:
            read.pop(name, None)
    return read


def _decoded(data: bytes | str, what: str) -> object:
    try:
        return codec.decode(data)
    except json.JSONDecodeError:
        raise Refused(400, f"{what} is not valid JSON in UTF-8.") from None


class _Form(MultiPartParser):
    """A form that must come to its end: one that is cut off is not a shorter list. Files over 1 MiB go to disk."""

    _is_complete = False

    def on_end(self) -> None:
        self._is_complete = True

    async def parse(self) -> FormData:
        form = await super().parse()
        if not self._is_complete:
            for file in self._files_to_close_on_error:
                file.close()
            raise MultiPartException("it is cut off")
        return form


async def _from_form(request: Request) -> object:
    """Read the GraphQL multipart request specification: `operations`, `map`, then the files that `map` names."""
    limits = {"max_files": FILES_MAX, "max_fields": FORM_FIELDS_MAX, "max_part_size": FORM_FIELD_BYTES_MAX}
    try:
        async with contextlib.aclosing(request.stream()) as pieces:
            form = await _Form(request.headers, pieces, **limits).parse()
    except (MultiPartException, ValueError) as error:
        raise Refused(400, f"The multipart body cannot be read: {error}") from None
    request._form = form  # noqa: SLF001 - what is closed with the request
    operations, places = form.get("operations"), form.get("map")
    if not isinstance(operations, str) or not isinstance(places, str):
        raise Refused(400, "A multipart request needs the fields `operations` and `map`, both JSON.")
    parameters = _decoded(operations, "`operations`")
    if not isinstance(parameters, dict):
        raise Refused(400, "`operations` must be a JSON object.")
    _put_files(parameters, _decoded(places, "`map`"), form)
    return parameters


def _put_files(parameters: dict[str, object], places: object, form: FormData) -> None:
    files = {name: part for name, part in form.multi_items() if isinstance(part, UploadFile)}
    if not isinstance(places, dict) or len(places) > FILES_MAX or set(places) != set(files):
        raise Refused(400, "`map` must name every file of the form, and no other.")
    for name, paths in places.items():
        if not isinstance(paths, list) or not 1 <= len(paths) <= FILES_MAX:
            raise Refused(400, "`map` must hold a list of paths for each file.")
        for path in paths:
            _put(parameters, str(path), files[name])


def _put(parameters: dict[str, object], path: str, file: UploadFile) -> None:
    """Set the variable at `path`, for example `variables.input.file`, which must be null until then."""
    first, *keys = path.split(".")
    target: object = parameters.get("variables")
    if first != "variables" or not keys:
        raise Refused(400, f"`{path[:100]}` in `map` is no path of a variable.")
    try:
        for key in keys[:-1]:
            target = _at(target, key)
        if _at(target, keys[-1]) is not None:
            raise KeyError(path)
    except (KeyError, IndexError, ValueError):
        raise Refused(400, f"`{path[:100]}` in `map` does not lead to a variable that is null.") from None
    if isinstance(target, dict):
        target[keys[-1]] = file
    elif isinstance(target, list):
        target[int(keys[-1])] = file


def _at(target: object, key: str) -> object:
    if isinstance(target, dict):
        return target[key]
    if isinstance(target, list) and key.isascii() and key.isdigit():
        return target[int(key)]
    raise KeyError(key)
