"""What can be followed live."""

import datetime as dt
from typing import Annotated

import strawberry

from db.models import ApiKeyScope
from resolvers import events, progress
from schema.credits import Credits
from schema.field import REQUIRED, argument, member, picture, plain, stream
from schema.tasks import Task


@picture(progress.TaskProgress, "A step of a task.")
class TaskProgress:
    task: Task = plain("The task as it is now.")
    occurred_at: dt.datetime = plain("When this was so.")


_EVENT_ID = "Id of the event, for `after`."
_OCCURRED_AT = "When it happened."


@member(events.TaskChanged, "A task was made, moved on or finished.")
class TaskChangedEvent:
    event_id: strawberry.ID = plain(_EVENT_ID)
    task: Task = plain("The task as it is now.")
    occurred_at: dt.datetime = plain(_OCCURRED_AT)


@member(events.CreditsChanged, "The balance changed.")
class CreditsChangedEvent:
    event_id: strawberry.ID = plain(_EVENT_ID)
    credits: Credits = plain("The balance as it is now.")
    occurred_at: dt.datetime = plain(_OCCURRED_AT)


@member(events.Heartbeat, "The stream is alive; sent first, and after every 30 seconds of silence.")
class HeartbeatEvent:
    event_id: strawberry.ID = plain("Id of the latest event, for `after`.")
    occurred_at: dt.datetime = plain("When it was sent.")


ViewerEvent = Annotated[
    TaskChangedEvent | CreditsChangedEvent | HeartbeatEvent,
    strawberry.union(
        "ViewerEvent",
        description="Something that happened to the viewer's things. New members may be added: ignore those you do not "
        "know.",
    ),
]


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
    viewer_events: ViewerEvent = stream(
        events.viewer_events,
        ApiKeyScope.TASKS_READ,
        "Everything that happens to your things: your tasks, and with CREDITS_READ your balance. Sends a Heartbeat "
        "first, and again whenever nothing happened for 30 seconds. A change may be told twice after `after`.",
        after=argument(strawberry.ID | None, "Replay what happened after this event, up to 1 hour back."),
    )
