"""Figures by mail host, summed over all workers; and what is in the queue."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

from verifier.store.database import Pool, Record


@dataclass(slots=True)
class Figures:
    """Counters of one mail host. `answer_seconds` sums the time from the connection to each of `answers` replies."""

    addresses: int = 0
    exists_count: int = 0
    not_exists_count: int = 0
    catchall_count: int = 0
    unknown_count: int = 0
    connections: int = 0
    refusals: int = 0
    slowdowns: int = 0
    pauses: int = 0
    answers: int = 0
    answer_seconds: float = 0.0


COLUMNS: Final = tuple(field.name for field in fields(Figures))


async def add(pool: Pool, by_host: Mapping[str, Figures]) -> None:
    """Add counters to those of the table."""
    hosts = sorted(by_host)  # everybody locks rows in the same order
    given = ", ".join(f"${place}::float[]" for place in range(2, len(COLUMNS) + 2))
    await pool.execute(
        f"""
        INSERT INTO mail_host_figures AS f (mail_host, {", ".join(COLUMNS)})
        SELECT * FROM unnest($1::text[], {given}) AS t
        ON CONFLICT (mail_host) DO UPDATE SET updated_at = now(),
            {", ".join(f"{name} = f.{name} + excluded.{name}" for name in COLUMNS)}
        """,  # noqa: S608 - our own column names
        hosts, *([float(getattr(by_host[host], name)) for host in hosts] for name in COLUMNS),
    )  # fmt: skip


async def by_mail_host(pool: Pool, *, limit: int) -> list[Record]:
    """Return the counters of the busiest mail hosts with their pace, and those of all others as one named `other`."""
    rows: list[Record] = await pool.fetch(
        f"""
        WITH ranked AS (
            SELECT *, row_number() OVER (ORDER BY addresses DESC, mail_host) <= $1 AS is_named FROM mail_host_figures
        )
        SELECT CASE WHEN is_named THEN ranked.mail_host ELSE 'other' END AS mail_host,
            {", ".join(f"sum(ranked.{name})::float AS {name}" for name in COLUMNS)},
            min(slots) FILTER (WHERE is_named) AS slots, min(gap_seconds) FILTER (WHERE is_named) AS gap_seconds,
            count(*) FILTER (WHERE paused_until > now()) AS paused
        FROM ranked LEFT JOIN mx_gate ON mx_gate.mail_host = ranked.mail_host GROUP BY 1 ORDER BY 1
        """,  # noqa: S608 - our own column names
        limit,
    )
    return rows


async def queue(pool: Pool) -> list[Record]:
    """Return, by entry point and state, how many jobs there are and how long the oldest has been due, in seconds."""
    rows: list[Record] = await pool.fetch(
        """
        SELECT split_part(entrypoint, '@', 1) AS entrypoint,
            CASE WHEN status = 'queued' AND execute_after > now() THEN 'delayed' ELSE status::text END AS state,
            count(*) AS jobs,
            greatest(extract(epoch FROM now() - min(greatest(execute_after, created))), 0)::float AS oldest_seconds
        FROM pgqueuer GROUP BY 1, 2 ORDER BY 1, 2
        """
    )
    return rows


async def totals(pool: Pool) -> Record:
    """Return how many tasks are open, how many of their addresses lack a verdict, and how many workers live."""
    row: Record = await pool.fetchrow(
        """
        SELECT count(*) AS tasks, coalesce(sum(email_count - completed - failed), 0)::bigint AS addresses,
            coalesce(sum(processing), 0)::bigint AS processing,
            (SELECT count(*) FROM worker WHERE seen_at > now() - interval '30 seconds') AS workers
        FROM task WHERE finished_at IS NULL
        """
    )
    return row
