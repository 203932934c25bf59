"""Mutations that make, stop and check."""

import strawberry

from db.models import ApiKeyScope
from resolvers import credits, results, tasks
from schema.credits import Credits
from schema.errors import USER_ERRORS, UserError
from schema.field import edge, mutation, optional, payload, plain
from schema.scalars import Upload
from schema.tasks import Task
from schema.verdicts import EmailVerification

IDEMPOTENCY_KEY = (
    "Repeat-safe key, 1 to 64 characters, chosen by the caller. Counted per account and operation. The same key with "
    "the same input returns the first result (for ever where credits move, else for 24 hours); with other input it is "
    "refused with IDEMPOTENCY_CONFLICT."
)
_WEBHOOK_URL = "Told by a signed POST when the task ends. Addresses in private networks are refused."
_INTEGRATION = "Slug of the integration that it is for."
_COLUMN_MAPPING = "Which column holds what."
_TASK_ID = "Global id of the task."
_TASK = "The task."


@strawberry.input(description="Input of createTask.")
class CreateTaskInput:
    name: str | None = optional("1 to 200 characters; made from the time when left out.")
    emails: list[str] = strawberry.field(
        description="Addresses to verify, 1 to 10,000. Malformed ones get the verdict INVALID_SYNTAX; duplicates are "
        "checked and charged once. Longer lists are uploaded."
    )
    webhook_url: str | None = optional(_WEBHOOK_URL)
    integration: str | None = optional(_INTEGRATION)
    idempotency_key: str | None = optional(IDEMPOTENCY_KEY)


@payload
class CreateTaskPayload:
    task: Task | None = plain(_TASK)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Names one column, by header text or by position.", one_of=True)
class ColumnRefInput:
    name: strawberry.Maybe[str] = strawberry.field(description="Exact header text.")
    index: strawberry.Maybe[int] = strawberry.field(description="Position from 0.")


@strawberry.input(
    description="Which column holds what. Columns not named here are carried through to the results file."
)
class ColumnMappingInput:
    email: ColumnRefInput | None = optional("Column of the addresses. Found by itself when this is left out.")
    first_name: ColumnRefInput | None = optional("Column of the given names.")
    last_name: ColumnRefInput | None = optional("Column of the family names.")
    reference: ColumnRefInput | None = optional("Column of the caller's own row ids.")


@strawberry.input(description="Input of uploadTaskFile.")
class UploadTaskFileInput:
    file: Upload = strawberry.field(description="The file part.")
    name: str | None = optional("Name of the new task; the file name when left out.")
    has_header: bool = strawberry.field(
        description="The first row is a header. One that holds an address is read as data all the same.", default=True
    )
    column_mapping: ColumnMappingInput | None = optional(_COLUMN_MAPPING)
    start: bool = strawberry.field(description="False to see the quote first and start with startTask.", default=True)
    webhook_url: str | None = optional(_WEBHOOK_URL)
    integration: str | None = optional(_INTEGRATION)
    idempotency_key: str | None = optional(IDEMPOTENCY_KEY)


@payload
class UploadTaskFilePayload:
    task: Task | None = plain(_TASK)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of startTask.")
class StartTaskInput:
    task_id: strawberry.ID = strawberry.field(description=_TASK_ID)
    idempotency_key: str | None = optional(IDEMPOTENCY_KEY)


@payload
class StartTaskPayload:
    task: Task | None = plain(_TASK)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of updateTask.")
class UpdateTaskInput:
    task_id: strawberry.ID = strawberry.field(description=_TASK_ID)
    name: str | None = optional("New name, 1 to 200 characters.")
    column_mapping: ColumnMappingInput | None = optional(_COLUMN_MAPPING)
    webhook_url: str | None = optional("Told by a signed POST when the task ends; null: nobody but the webhooks.")


@payload
class UpdateTaskPayload:
    task: Task | None = plain(_TASK)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of cancelTask.")
class CancelTaskInput:
    task_id: strawberry.ID = strawberry.field(description=_TASK_ID)


@payload
class CancelTaskPayload:
    task: Task | None = plain(_TASK)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of retryTask.")
class RetryTaskInput:
    task_id: strawberry.ID = strawberry.field(description=_TASK_ID)
    idempotency_key: str | None = optional(IDEMPOTENCY_KEY)


@payload
class RetryTaskPayload:
    task: Task | None = plain(_TASK)
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of refreshTasks.")
class RefreshTasksInput:
    first: int = strawberry.field(description="Newest upstream tasks to look at, 1 to 1000.", default=100)


@payload
class RefreshTasksPayload:
    changed_count: int | None = plain("How many tasks were new or changed.")
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of deleteTask.")
class DeleteTaskInput:
    task_id: strawberry.ID = strawberry.field(description=_TASK_ID)


@payload
class DeleteTaskPayload:
    deleted_task_id: strawberry.ID | None = plain("Global id of the deleted task.")
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.input(description="Input of verifyEmail.")
class VerifyEmailInput:
    email: str = strawberry.field(description="The address; it may be malformed.")
    timeout_ms: int = strawberry.field(description="Longest wait in milliseconds, 1000 to 30000.", default=10_000)
    idempotency_key: str | None = optional(IDEMPOTENCY_KEY)


@payload
class VerifyEmailPayload:
    verification: EmailVerification | None = plain("What was found out.")
    credits: Credits | None = edge(credits.left, "Credits left.")
    user_errors: list[UserError] = plain(USER_ERRORS)


@strawberry.type
class TaskMutations:
    create_task: CreateTaskPayload | None = mutation(
        tasks.create_task,
        CreateTaskInput,
        ApiKeyScope.TASKS_WRITE,
        "Make a task from addresses and queue it. Holds one credit an address.",
    )
    upload_task_file: UploadTaskFilePayload | None = mutation(
        tasks.upload_task_file,
        UploadTaskFileInput,
        ApiKeyScope.TASKS_WRITE,
        "Upload a CSV, XLSX or TXT list of at most 100 MB and 1,000,000 rows (XLSX: 250,000). Answers with a quote, "
        "and starts unless `start` is false.",
    )
    start_task: StartTaskPayload | None = mutation(
        tasks.start_task, StartTaskInput, ApiKeyScope.TASKS_WRITE, "Start an uploaded task. Holds its cost."
    )
    update_task: UpdateTaskPayload | None = mutation(
        tasks.update_task,
        UpdateTaskInput,
        ApiKeyScope.TASKS_WRITE,
        "Rename a task, change whom its end is told, or map the columns of a DRAFT anew (its quote changes).",
    )
    cancel_task: CancelTaskPayload | None = mutation(
        tasks.cancel_task,
        CancelTaskInput,
        ApiKeyScope.TASKS_WRITE,
        "Stop a task at once. Verdicts so far are kept and charged; the rest is released and stays without a verdict.",
    )
    retry_task: RetryTaskPayload | None = mutation(
        tasks.retry_task,
        RetryTaskInput,
        ApiKeyScope.TASKS_WRITE,
        "Check the UNKNOWN addresses of a finished task again. Their new verdicts replace the old and are paid for "
        "like any.",
    )
    refresh_tasks: RefreshTasksPayload | None = mutation(
        tasks.refresh_tasks,
        RefreshTasksInput,
        ApiKeyScope.TASKS_WRITE,
        "Ask upstream now, for tasks made elsewhere too.",
    )
    delete_task: DeleteTaskPayload | None = mutation(
        tasks.delete_task, DeleteTaskInput, ApiKeyScope.TASKS_WRITE, "Delete a finished task with its results and file."
    )
    verify_email: VerifyEmailPayload | None = mutation(
        results.verify_email,
        VerifyEmailInput,
        ApiKeyScope.VERIFY,
        "Verify one address now. Costs one credit unless the verdict is UNKNOWN or INVALID_SYNTAX.",
    )
