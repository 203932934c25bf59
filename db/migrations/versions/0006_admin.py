"""The audit log, accounts that are being deleted, a task's verdicts by day, and notes that can be forgotten."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_COUNTS = {
    "exists_count": "verdict = 'EXISTS'",
    "not_exists_count": "verdict = 'NOT_EXISTS'",
    "catchall_count": "verdict = 'CATCHALL'",
    "invalid_syntax_count": "verdict = 'INVALID_SYNTAX'",
    "unknown_count": "verdict = 'UNKNOWN'",
    "role_based_count": "is_role",
    "disposable_count": "is_disposable",
}


def _add_up(rows: str) -> str:
    """The statement that adds rows of (task_id, verdict, is_role, is_disposable, verified_at, n) to task_day."""
    sums = ", ".join(f"coalesce(sum(n) FILTER (WHERE {condition}), 0)" for condition in _COUNTS.values())
    added = ", ".join(f"{name} = d.{name} + excluded.{name}" for name in _COUNTS)
    return f"""
    INSERT INTO task_day AS d (task_id, date, {", ".join(_COUNTS)}, last_verified_at)
    SELECT task_id, (verified_at AT TIME ZONE 'UTC')::date, {sums}, max(verified_at)
    FROM ({rows}) AS changed GROUP BY 1, 2
    ON CONFLICT (task_id, date) DO UPDATE
    SET {added}, last_verified_at = greatest(d.last_verified_at, excluded.last_verified_at)
    """  # noqa: S608 - names of ours


_COLUMNS = "task_id, verdict, is_role, is_disposable, verified_at"

# What was malformed at intake is not among them: it is in the task's own counters, and never changes.
_FILL = f"SELECT {_COLUMNS}, 1 AS n FROM task_address WHERE verdict IS NOT NULL AND email IS NOT NULL"  # noqa: S608 - names of ours

_CHANGED = f"""
    SELECT {_COLUMNS}, 1 AS n FROM new_address WHERE verdict IS NOT NULL AND email IS NOT NULL
    UNION ALL
    SELECT {_COLUMNS}, -1 FROM old_address WHERE verdict IS NOT NULL AND email IS NOT NULL
"""  # noqa: S608 - names of ours

_COUNT_DAYS = f"""
CREATE FUNCTION count_task_days() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {_add_up(_CHANGED)};
    RETURN NULL;
END $$
"""

_COUNT_DAYS_TRIGGER = """
CREATE TRIGGER days_are_counted AFTER UPDATE ON task_address
REFERENCING OLD TABLE AS old_address NEW TABLE AS new_address
FOR EACH STATEMENT EXECUTE FUNCTION count_task_days()
"""

_KEEP_BUT_NOTES = """
CREATE FUNCTION refuse_change_but_of_notes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.note IS NOT NULL OR to_jsonb(NEW) - 'note' <> to_jsonb(OLD) - 'note' THEN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$
"""

_KEEP = """
CREATE TRIGGER is_append_only BEFORE {events} ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""

_KEEP_BUT_NOTES_TRIGGER = """
CREATE TRIGGER is_kept_but_for_notes BEFORE UPDATE ON credit_transaction
FOR EACH ROW EXECUTE FUNCTION refuse_change_but_of_notes()
"""


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "audit_event",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("subject_id", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("ip_address", sa.Text(), nullable=True),
        sa.Column("user_agent", sa.Text(), nullable=True),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_event")),
    )
    op.create_index("ix_audit_event_created_at", "audit_event", ["created_at", "id"], unique=False)
    op.create_index("ix_audit_event_actor_id", "audit_event", ["actor_id", "created_at", "id"], unique=False)
    op.execute(_KEEP.format(events="UPDATE OR DELETE OR TRUNCATE", table="audit_event"))

    op.add_column("account", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_account_created_at", "account", ["created_at", "id"], unique=False)
    op.create_index(
        "ix_account_deleted_at",
        "account",
        ["deleted_at"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    created_at_utc = sa.text("(created_at AT TIME ZONE 'UTC'::text)")
    op.create_index("ix_task_created_at_utc", "task", [created_at_utc, "id"], unique=False)

    op.create_table(
        "task_day",
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _COUNTS),
        sa.Column("last_verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_task_day_task_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("task_id", "date", name=op.f("pk_task_day")),
    )
    op.execute(_COUNT_DAYS)
    op.execute(_COUNT_DAYS_TRIGGER)
    op.execute(_add_up(_FILL))

    op.execute("DROP TRIGGER is_append_only ON credit_transaction")
    op.execute(_KEEP.format(events="DELETE OR TRUNCATE", table="credit_transaction"))
    op.execute(_KEEP_BUT_NOTES)
    op.execute(_KEEP_BUT_NOTES_TRIGGER)


def downgrade() -> None:
    """Take back."""
    op.execute("DROP TRIGGER is_kept_but_for_notes ON credit_transaction")
    op.execute("DROP FUNCTION refuse_change_but_of_notes")
    op.execute("DROP TRIGGER is_append_only ON credit_transaction")
    op.execute(_KEEP.format(events="UPDATE OR DELETE OR TRUNCATE", table="credit_transaction"))
    op.execute("DROP TRIGGER days_are_counted ON task_address")
    op.execute("DROP FUNCTION count_task_days")
    op.drop_table("task_day")
    op.drop_index("ix_task_created_at_utc", table_name="task")
    op.drop_index("ix_account_deleted_at", table_name="account")
    op.drop_index("ix_account_created_at", table_name="account")
    op.drop_column("account", "deleted_at")
    op.drop_table("audit_event")
