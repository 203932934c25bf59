"""Tasks, addresses, verdicts, chunks, leases of mail hosts, API keys, and PgQueuer's own tables."""

import asyncpg
from alembic import op
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment
from pgqueuer.domain.settings import DBSettings, Durability

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Addresses and results carry no foreign key: they are written ten thousand at a time and leave by task.
TABLES = """
CREATE TABLE api_key (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    secret_hash bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

CREATE TABLE task (
    id uuid PRIMARY KEY,
    user_id uuid,
    idempotency_key text,
    body_hash bytea NOT NULL,
    webhook_url text,
    email_count integer NOT NULL,
    domain_count integer NOT NULL,
    processing integer NOT NULL DEFAULT 0,
    completed integer NOT NULL DEFAULT 0,
    failed integer NOT NULL DEFAULT 0,
    exists_count integer NOT NULL DEFAULT 0,
    not_exists_count integer NOT NULL DEFAULT 0,
    catchall_count integer NOT NULL DEFAULT 0,
    invalid_syntax_count integer NOT NULL DEFAULT 0,
    unknown_count integer NOT NULL DEFAULT 0,
    role_based_count integer NOT NULL DEFAULT 0,
    disposable_count integer NOT NULL DEFAULT 0,
    last_seq bigint NOT NULL DEFAULT 0,
    plan_attempts integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    planned_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    canceled_at timestamptz,
    last_requested_at timestamptz,
    last_completed_at timestamptz
);
CREATE UNIQUE INDEX task_idempotency
    ON task (coalesce(user_id, '00000000-0000-0000-0000-000000000000'::uuid), idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX task_newest ON task (created_at DESC, id DESC);
CREATE INDEX task_newest_of_user ON task (user_id, created_at DESC, id DESC);
CREATE INDEX task_unplanned ON task (created_at) WHERE planned_at IS NULL AND canceled_at IS NULL;

CREATE TABLE address (
    task_id uuid NOT NULL,
    n integer NOT NULL,
    email text NOT NULL,
    normalised text,
    PRIMARY KEY (task_id, n)
);

CREATE TABLE result (
    task_id uuid NOT NULL,
    n integer NOT NULL,
    seq bigint NOT NULL,
    status text NOT NULL,
    reason text,
    role_based boolean NOT NULL,
    disposable boolean NOT NULL,
    free_provider boolean NOT NULL,
    suggestion text,
    score smallint,
    score_reasons text[] NOT NULL,
    mail_host text,
    evidence jsonb NOT NULL,
    checked_at timestamptz NOT NULL,
    PRIMARY KEY (task_id, n)
);
CREATE UNIQUE INDEX result_in_order ON result (task_id, seq);

CREATE SEQUENCE chunk_token;
CREATE TABLE chunk (
    id uuid PRIMARY KEY,
    task_id uuid NOT NULL REFERENCES task ON DELETE CASCADE,
    share_key uuid NOT NULL,
    mail_host text,
    is_in_zone boolean NOT NULL,
    ns integer[] NOT NULL,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'dropped')),
    priority integer NOT NULL,
    token bigint,
    attempt integer NOT NULL DEFAULT 0,
    stalls integer NOT NULL DEFAULT 0,
    retries integer NOT NULL DEFAULT 0,
    in_flight integer NOT NULL DEFAULT 0,
    not_before timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX chunk_of_task ON chunk (task_id);
CREATE INDEX chunk_open ON chunk (not_before) WHERE state IN ('queued', 'running');
CREATE INDEX chunk_share ON chunk (share_key) WHERE state = 'queued';

CREATE TABLE mx_gate (
    mail_host text PRIMARY KEY,
    slots integer NOT NULL DEFAULT 4
);
CREATE TABLE mx_slot (
    mail_host text NOT NULL,
    slot integer NOT NULL,
    holder uuid NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (mail_host, slot)
);
"""


def upgrade() -> None:
    """Create everything, PgQueuer's tables with a log that need not survive a crash."""
    queue = QueryBuilderEnvironment(DBSettings(durability=Durability.balanced))
    _script(TABLES)
    _script(queue.build_install_query(create_schema=False))
    _script(queue.build_optimize_autovacuum_query())


def _script(sql: str) -> None:
    """Run several statements, which a prepared statement could not hold, in the migration's transaction."""

    async def run(connection: asyncpg.Connection) -> None:
        await connection.execute(sql)

    bind = op.get_bind()
    bind.exec_driver_sql("SELECT 1")  # begins the transaction, which SQLAlchemy does at the first statement
    dbapi_connection = bind.connection.dbapi_connection
    if dbapi_connection is None:
        raise RuntimeError("the migration has lost its connection")
    dbapi_connection.run_async(run)
