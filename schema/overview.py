"""The front page."""

from db import models
from resolvers import credits, overview, profiles
from schema.credits import Credits
from schema.field import argument, edge, picture, plain
from schema.metrics import TaskMetrics
from schema.profiles import Profile
from schema.tasks import Task
from schema.usage import UsageSeries


@picture(models.TaskStatusCount, "How many tasks have a status.")
class TaskStatusCount:
    status: models.TaskStatus = plain("The status.")
    count: int = plain("Number of tasks.")


@picture(models.Overview, "The front page in one query. What hangs on it asks for the scope of its own root field.")
class Overview:
    profile: Profile = edge(profiles.own, "Who is signed in.")
    credits: Credits = edge(credits.own, "Balance at the moment of asking.")
    usage: UsageSeries = edge(overview.use, "Use in the span: totals and a point for every day.")
    task_counts: list[TaskStatusCount] = plain("Tasks made in the span by their status, every status once.")
    metrics: TaskMetrics = plain("Verdicts of every task made in the span, added up.")
    recent_tasks: list[Task] = edge(
        overview.recent_tasks,
        "Newest tasks first; 1 to 20, 5 when left out.",
        first=argument(int, "How many, 1 to 20.", default=5),
    )
