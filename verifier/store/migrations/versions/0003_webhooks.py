"""Webhooks: what is to be told, to whom it is signed. Days of tasks whose results were purged."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# The service's own credential has no user; its webhooks are signed with the secret of the nil UUID.
# The end of a task is noted by the database itself, in the transaction that ends it: no writer can forget it.
STATEMENTS = (
    """
    CREATE TABLE webhook_secret (
        user_id uuid PRIMARY KEY,
        secret bytea NOT NULL,
        old_secret bytea,
        rotated_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE webhook_delivery (
        task_id uuid PRIMARY KEY REFERENCES task ON DELETE CASCADE,
        tries integer NOT NULL DEFAULT 0,
        due_at timestamptz DEFAULT now(),
        delivered_at timestamptz,
        given_up_at timestamptz,
        last_status integer,
        last_problem text
    )
    """,
    "CREATE INDEX webhook_delivery_due ON webhook_delivery (due_at) WHERE due_at IS NOT NULL",
    """
    CREATE FUNCTION note_end_of_task() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO webhook_delivery (task_id) VALUES (NEW.id) ON CONFLICT DO NOTHING;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER task_ended AFTER UPDATE OF finished_at ON task FOR EACH ROW
    WHEN (OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL AND NEW.webhook_url IS NOT NULL)
    EXECUTE FUNCTION note_end_of_task()
    """,
    """
    CREATE TABLE task_day (
        task_id uuid NOT NULL REFERENCES task ON DELETE CASCADE,
        day date NOT NULL,
        completed integer NOT NULL,
        failed integer NOT NULL,
        exists_count integer NOT NULL,
        not_exists_count integer NOT NULL,
        catchall_count integer NOT NULL,
        invalid_syntax_count integer NOT NULL,
        unknown_count integer NOT NULL,
        role_based_count integer NOT NULL,
        disposable_count integer NOT NULL,
        last_checked_at timestamptz NOT NULL,
        PRIMARY KEY (task_id, day)
    )
    """,
)


def upgrade() -> None:
    """Create all of it."""
    for statement in STATEMENTS:
        op.execute(statement)
