"""Counts of tasks, in the upstream verifier's own words."""

import datetime as dt

from db import models
from schema.field import picture, plain


@picture(models.JobStatusCounts, "Addresses by where their check stands.")
class JobStatusCounts:
    pending: int = plain("Waiting, also for a greylisting server's window.")
    processing: int = plain("Being checked.")
    completed: int = plain("Checked, with a verdict, UNKNOWN included.")
    failed: int = plain("Given up by a fault of our own after every try; the verdict is UNKNOWN too.")


@picture(
    models.VerificationStatusCounts,
    "Addresses by verdict. The first five count each finished address once; the last two are flags.",
)
class VerificationStatusCounts:
    exists: int = plain("The mailbox exists.")
    not_exists: int = plain("The mailbox or its domain does not exist.")
    catchall: int = plain("The domain accepts every address.")
    invalid_syntax: int = plain("Not an address.")
    unknown: int = plain("Could not be told; never charged.")
    role_based: int = plain("Shared mailboxes such as info@.")
    disposable_domain_emails: int = plain("At a throw-away provider.")


@picture(models.TaskMetrics, "Counts of one or more tasks, in the upstream verifier's own words.")
class TaskMetrics:
    total_email_addresses: int = plain("Distinct addresses in the task, malformed ones included.")
    job_status: JobStatusCounts = plain("Addresses by where their check stands. The four add up to the total.")
    progress: float = plain("(completed + failed) / total, 0 to 1.")
    progress_percent: int = plain("The same, 0 to 100, rounded down: 100 only when nothing is left.")
    verification_status: VerificationStatusCounts = plain(
        "Finished addresses by verdict, and two flags counted beside them."
    )
    last_verification_requested_at: dt.datetime | None = plain(
        "When a check was last asked for; null before the first."
    )
    last_verification_completed_at: dt.datetime | None = plain("When a check last ended; null before the first.")
