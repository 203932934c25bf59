"""Pacing that learns, rest-chunks, workers that can be seen, figures by mail host, and what a purge goes by."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = """
ALTER TABLE mx_gate ALTER COLUMN slots TYPE real;
ALTER TABLE mx_gate ADD COLUMN gap_seconds real NOT NULL DEFAULT 0;
ALTER TABLE mx_gate ADD COLUMN next_at timestamptz NOT NULL DEFAULT '-infinity';
ALTER TABLE mx_gate ADD COLUMN slowed_at timestamptz NOT NULL DEFAULT '-infinity';
ALTER TABLE mx_gate ADD COLUMN paused_until timestamptz NOT NULL DEFAULT '-infinity';
ALTER TABLE mx_gate ADD COLUMN pauses integer NOT NULL DEFAULT 0;
ALTER TABLE mx_gate ADD COLUMN refusal jsonb;
ALTER TABLE mx_gate ADD COLUMN used_at timestamptz NOT NULL DEFAULT now();

ALTER TABLE chunk ADD COLUMN waits integer NOT NULL DEFAULT 0;
ALTER TABLE chunk ADD COLUMN pauses integer NOT NULL DEFAULT 0;
UPDATE chunk SET waits = retries;

ALTER TABLE task ADD COLUMN read_at timestamptz;
ALTER TABLE task ADD COLUMN purged_at timestamptz;
CREATE INDEX task_unpurged ON task (finished_at) WHERE finished_at IS NOT NULL AND purged_at IS NULL;
CREATE INDEX task_unplanned_share ON task (coalesce(user_id, id)) WHERE planned_at IS NULL AND canceled_at IS NULL;

CREATE TABLE worker (
    id uuid PRIMARY KEY,
    egress text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE mail_host_figures (
    mail_host text PRIMARY KEY,
    addresses bigint NOT NULL DEFAULT 0,
    exists_count bigint NOT NULL DEFAULT 0,
    not_exists_count bigint NOT NULL DEFAULT 0,
    catchall_count bigint NOT NULL DEFAULT 0,
    unknown_count bigint NOT NULL DEFAULT 0,
    connections bigint NOT NULL DEFAULT 0,
    refusals bigint NOT NULL DEFAULT 0,
    slowdowns bigint NOT NULL DEFAULT 0,
    pauses bigint NOT NULL DEFAULT 0,
    answers bigint NOT NULL DEFAULT 0,
    answer_seconds double precision NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now()
);
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
