"""What can be followed live."""

import datetime as dt

import strawberry

from db.models import ApiKeyScope
from resolvers import progress
from schema.field import REQUIRED, argument, picture, plain, stream
from schema.tasks import Task


@picture(progress.TaskProgress, "A step of a task.")
class TaskProgress:
    task: Task = plain("The task as it is now.")
    occurred_at: dt.datetime = plain("When this was so.")


@strawberry.type(
    description="Everything that can be followed, over graphql-transport-ws or SSE. A stream starts with the present "
    "state and ends when nothing more can come."
)
class Subscription:
    task_progress: TaskProgress = stream(
        progress.task_progress,
        ApiKeyScope.TASKS_READ,
        "Progress of one task of yours, at most twice a second; completes after the final state.",
        task_id=argument(strawberry.ID, "Global id of the task.", REQUIRED),
    )
