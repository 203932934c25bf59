"""A task from a file, over REST."""

from collections.abc import AsyncGenerator

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import Response

from verifier.api import authentication, bodies, errors, negotiation, parts, webhook_url
from verifier.api import tasks as task_routes
from verifier.files import problems, reading

MULTIPART = "multipart/form-data"
FIELDS = ("file", "webhook_url")
SECONDS_MAX = 600.0
FRAME_BYTES_MAX = 16 * 1024  # boundaries, headers and the other field, beside the file


async def create(request: Request) -> Response:
    """POST /tasks/batch/upload: answers with the task, its id included."""
    caller = await authentication.caller_of(request)
    negotiation.require_content_type(request, MULTIPART, is_required=True)
    shared = parts.of(request)
    form = await _form(request, shared.settings.upload_bytes_max)
    try:
        file, url = _fields(form)
        async with shared.files:
            name, kind = file.filename or "", file.content_type or ""
            emails = await reading.addresses(file.file, name, kind, count_max=task_routes.ADDRESSES_MAX)
    except problems.TooManyAddresses as error:
        raise errors.BadRequest(str(error), field="file", code="too_many_addresses") from error
    except problems.Unreadable as error:
        raise errors.BadRequest(str(error), field="file", code="unreadable_file") from error
    finally:
        await form.close()
    return await task_routes.made(request, caller, emails, url)


class _Form(MultiPartParser):
    """A form that must come to its end: what was begun is let go of otherwise."""

    _is_complete = False

    def on_end(self) -> None:
        self._is_complete = True

    async def parse(self) -> FormData:
        form = await super().parse()
        if not self._is_complete:
            for file in self._files_to_close_on_error:
                file.close()
            raise MultiPartException("The form is cut off.")
        return form


async def _form(request: Request, file_bytes_max: int) -> FormData:
    """Read the form; a file over 1 MB goes to disk, without a name there. Raises TooLarge and BadRequest."""
    try:
        async with bodies.in_time(SECONDS_MAX):
            return await _Form(
                request.headers,
                _bounded(request, file_bytes_max + FRAME_BYTES_MAX),
                max_files=1,
                max_fields=len(FIELDS),
                max_part_size=FRAME_BYTES_MAX,
            ).parse()
    except MultiPartException as error:
        raise errors.BadRequest(error.message, code="invalid_multipart") from error


async def _bounded(request: Request, bytes_max: int) -> AsyncGenerator[bytes, None]:
    """Hand the body on as it comes, and stop where it is too long; one that says so is not even begun."""
    refusal = errors.TooLarge(f"the file has more than {bytes_max - FRAME_BYTES_MAX} bytes", field="file")
    told = request.headers.get("content-length", "0")
    if told.isdigit() and int(told[:20]) > bytes_max:
        raise refusal
    received = 0
    async for piece in request.stream():
        received += len(piece)
        if received > bytes_max:
            raise refusal
        yield piece


def _fields(form: FormData) -> tuple[UploadFile, str | None]:
    """Return the file and the webhook URL; raise BadRequest for anything else."""
    names = [name for name, _ in form.multi_items()]
    for name in names:
        if name == "user_id":
            raise errors.BadRequest("the user is known from the credential; leave user_id out", field="user_id")
        if name not in FIELDS or names.count(name) > 1:
            raise errors.BadRequest(f"the form takes {' and '.join(FIELDS)}, once each", field=name[:100])
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise errors.BadRequest("a file with a name is required", field="file")
    return file, webhook_url.read(form.get("webhook_url"))
