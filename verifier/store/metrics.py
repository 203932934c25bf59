"""The verifier's metrics as Prometheus text (exposition format 0.0.4)."""

from collections.abc import Iterable, Mapping

from verifier.store.database import Pool
from verifier.store.queries import figures

MAIL_HOSTS_MAX = 200

_COUNTERS = {
    "addresses": "Addresses that a conversation was about.",
    "connections": "Connections that gave an answer.",
    "refusals": "Recipients refused, for now or for good.",
    "slowdowns": "Chunks after which the mail host is asked more slowly.",
    "pauses": "Chunks after which the mail host is left alone for a while.",
}
_VERDICTS = ("exists", "not_exists", "catchall", "unknown")

Sample = tuple[Mapping[str, str], float]


async def prometheus(pool: Pool) -> str:
    """Return everything that is counted: queue, tasks, workers, and the busiest mail hosts one by one."""
    jobs, totals = await figures.queue(pool), await figures.totals(pool)
    hosts = await figures.by_mail_host(pool, limit=MAIL_HOSTS_MAX)
    lines: list[str] = []

    def add(name: str, kind: str, about: str, samples: Iterable[Sample]) -> None:
        lines.append(f"# HELP verifier_{name} {about}")
        lines.append(f"# TYPE verifier_{name} {kind}")
        lines.extend(f"verifier_{name}{_labels(labels)} {value:.15g}" for labels, value in samples)

    add("workers", "gauge", "Workers seen in the last 30 seconds.", [({}, totals["workers"])])
    add("tasks_open", "gauge", "Tasks with addresses that lack a verdict.", [({}, totals["tasks"])])
    add("addresses_open", "gauge", "Addresses of open tasks without a verdict.", [({}, totals["addresses"])])
    add("addresses_processing", "gauge", "Addresses that are being asked about.", [({}, totals["processing"])])
    by_state = [({"entrypoint": row["entrypoint"], "state": row["state"]}, row) for row in jobs]
    add("queue_jobs", "gauge", "Jobs in the queue.", [(labels, row["jobs"]) for labels, row in by_state])
    add(
        "queue_oldest_seconds",
        "gauge",
        "How long the oldest job has been due.",
        [(labels, row["oldest_seconds"]) for labels, row in by_state if labels["state"] != "delayed"],
    )
    for name, about in _COUNTERS.items():
        add(f"mail_host_{name}_total", "counter", about, [(_host(row), row[name]) for row in hosts])
    add(
        "mail_host_verdicts_total",
        "counter",
        "What the addresses came to; an unknown one may be asked again.",
        [({**_host(row), "status": status}, row[f"{status}_count"]) for row in hosts for status in _VERDICTS],
    )
    add(
        "mail_host_answer_seconds_sum",
        "counter",
        "Time from the connection to each answer about a recipient, summed.",
        [(_host(row), row["answer_seconds"]) for row in hosts],
    )
    add(
        "mail_host_answer_seconds_count",
        "counter",
        "Answers about recipients.",
        [(_host(row), row["answers"]) for row in hosts],
    )
    named = [row for row in hosts if row["slots"] is not None]
    add("mail_host_slots", "gauge", "Chunks that may be asked at a time.", [(_host(r), r["slots"]) for r in named])
    add(
        "mail_host_gap_seconds",
        "gauge",
        "Least time between two chunks.",
        [(_host(r), r["gap_seconds"]) for r in named],
    )
    add("mail_host_paused", "gauge", "1 while the mail host is left alone.", [(_host(r), r["paused"]) for r in hosts])
    return "\n".join(lines) + "\n"


def _host(row: Mapping[str, object]) -> dict[str, str]:
    return {"mail_host": str(row["mail_host"])}


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
