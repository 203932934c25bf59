"""What the benchmark of the API asks for, and the rows that it asks about."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from db import ids

METRICS = """metrics {
  totalEmailAddresses jobStatus { pending processing completed failed } progress progressPercent
  verificationStatus { exists notExists catchall invalidSyntax unknown roleBased disposableDomainEmails }
  lastVerificationRequestedAt lastVerificationCompletedAt }"""
TASK = f"id name status source emailCount createdAt updatedAt finishedAt {METRICS}"
PAGE_INFO = "pageInfo { hasNextPage endCursor }"

# What the web app's first page asks for.
OVERVIEW = f"""query Overview {{ overview {{
  profile {{ displayName version updatedAt }}
  credits {{ balance reserved available updatedAt }}
  usage {{ total {{ requestCount verificationCount creditsSpent }}
    points {{ date requestCount verificationCount creditsSpent }} }}
  taskCounts {{ status count }}
  {METRICS}
  recentTasks(first: 5) {{ {TASK} }} }} }}"""
TASKS = f"query Tasks {{ tasks(first: 100) {{ nodes {{ {TASK} }} {PAGE_INFO} }} }}"
ONE = f"query Task($id: ID!) {{ task(id: $id) {{ {TASK} }} }}"
RESULTS = f"""query Results($id: ID!) {{ task(id: $id) {{ id results(first: 100) {{
  nodes {{ id rowNumber input verification {{ verdict reason score isRole isDisposable verifiedAt }} }}
  {PAGE_INFO} }} }} }}"""

PASSWORD = "a long password of the benchmark"  # noqa: S105 - of accounts that live as long as a run
ADDRESSES_A_TASK = 100
ASKED_TASKS = 50
"""Different tasks that C asks for in turns."""

SIGN_UP = """mutation($input: SignUpInput!) {
  signUp(input: $input) { tokens { accessToken } user { id } userErrors { message } } }"""

TASK_ROWS = """
INSERT INTO task (id, account_id, name, status, source, email_count, domain_count, total_count, malformed_count,
  processing_count, completed_count, failed_count, exists_count, not_exists_count, catchall_count,
  invalid_syntax_count, unknown_count, role_based_count, disposable_count, chargeable_count, charge_policy,
  created_at, started_at, updated_at, finished_at, refreshed_at, last_verification_requested_at,
  last_verification_completed_at)
SELECT gen_random_uuid(), $1::uuid, 'List ' || n, $4::text, 'INLINE', $3::int, 10, $3::int, 0, 0,
  CASE $4::text WHEN 'RUNNING' THEN 0 ELSE $3::int END, 0,
  60, 20, 5, 5, 10, 3, 2, 90, NULL, t, t, t, CASE $4::text WHEN 'RUNNING' THEN NULL ELSE t END, $5::timestamptz, t, t
FROM (SELECT n, now() - n * interval '61 seconds' AS t FROM generate_series(1, $2::int) n) AS made
"""
ADDRESS_ROWS = """
INSERT INTO task_address (task_id, n, part, email, domain, verdict, reason, score, is_role, is_disposable, is_free,
  verified_at)
SELECT task.id, n, 0, 'person' || n || '@example' || n % 10 || '.com', 'example' || n % 10 || '.com', 'EXISTS',
  'ACCEPTED', 95, false, false, false, task.created_at
FROM task, generate_series(1, $2::int) n WHERE account_id = $1
"""
ROW_ROWS = """
INSERT INTO task_row (task_id, row_number, address_n, input)
SELECT task.id, n, n, 'person' || n || '@example' || n % 10 || '.com'
FROM task, generate_series(1, $2::int) n WHERE account_id = $1
"""


@dataclass(frozen=True, slots=True)
class User:
    """An account with its tasks."""

    account_id: UUID
    token: str
    tasks: int
    task_ids: tuple[UUID, ...]
    """The newest."""

    @property
    def public_task_ids(self) -> list[str]:
        """The same as the API has them."""
        return [ids.global_id("task", task_id) for task_id in self.task_ids]


async def sign_up(graphql: str, name: str) -> tuple[UUID, str]:
    """Make an account; gives its id and the token of its session."""
    variables = {"input": {"email": f"{name}@example.com", "password": PASSWORD}}
    async with httpx.AsyncClient(trust_env=False, timeout=30.0) as client:
        answer = (await client.post(graphql, json={"query": SIGN_UP, "variables": variables})).json()
    given: dict[str, Any] = answer["data"]["signUp"]
    account_id = ids.parse("user", given["user"]["id"])
    assert account_id is not None
    return account_id, given["tokens"]["accessToken"]


async def user(
    connection: asyncpg.Connection, graphql: str, name: str, tasks: int, *, is_running: bool = False
) -> User:
    """Make an account with so many tasks, finished ones with 100 results each."""
    account_id, token = await sign_up(graphql, name)
    status = "RUNNING" if is_running else "COMPLETED"
    # A running task that was never refreshed would be asked for upstream, which is not there.
    refreshed_at = datetime.now(UTC) + timedelta(days=1)
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = origin")  # the triggers that add up
        await connection.execute(TASK_ROWS, account_id, tasks, ADDRESSES_A_TASK, status, refreshed_at)
    if not is_running:
        await connection.execute(ADDRESS_ROWS, account_id, ADDRESSES_A_TASK)
        await connection.execute(ROW_ROWS, account_id, ADDRESSES_A_TASK)
    newest = "SELECT id FROM task WHERE account_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2"
    rows = await connection.fetch(newest, account_id, tasks if is_running else ASKED_TASKS)
    return User(account_id, token, tasks, tuple(row["id"] for row in rows))
