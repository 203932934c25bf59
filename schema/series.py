"""Numbers by day."""

import datetime as dt

from db import models
from resolvers import series
from schema.field import complete, edge, picture, plain
from schema.metrics import TaskMetrics
from schema.ranges import OPTIONAL_RANGE
from schema.tasks import Task


@picture(models.TaskSeriesPoint, "Tasks made on one day.")
class TaskSeriesPoint:
    date: dt.date = plain("The UTC day.")
    task_count: int = plain("Tasks made.")
    metrics: TaskMetrics = plain("Sums over those tasks.")


@picture(models.TaskSeries, "Tasks over time.")
class TaskSeries:
    points: list[TaskSeriesPoint] = plain("Every point of the span in order, with zeros where nothing happened.")


@picture(models.TaskDay, "One day of a task.")
class TaskDay:
    date: dt.date = plain("The UTC day.")
    metrics: TaskMetrics = plain("Counts of the addresses that got their verdict on that day.")


complete(
    Task,
    "series",
    list[TaskDay],
    edge(
        series.of_task,
        "The verdicts by the UTC day on which they were found, a point a day. Without a range: the last 7 days; at "
        "most 90.",
        range=OPTIONAL_RANGE,
    ),
)
