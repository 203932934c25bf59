"""Ended tasks added up by account, day and status: what the front page reads instead of the tasks."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_SUMMED = (
    "total_count",
    "processing_count",
    "completed_count",
    "failed_count",
    "exists_count",
    "not_exists_count",
    "catchall_count",
    "invalid_syntax_count",
    "unknown_count",
    "role_based_count",
    "disposable_count",
)
_LATEST = ("last_verification_requested_at", "last_verification_completed_at")
_COLUMNS = ", ".join(("account_id", "date", "status", "task_count", *_SUMMED, *_LATEST))
_OPEN = "status IN ('DRAFT', 'QUEUED', 'RUNNING')"


def _key(row: str) -> str:
    return f"{row}.account_id, ({row}.created_at AT TIME ZONE 'UTC')::date, {row}.status"


def _row(row: str) -> str:
    return ", ".join(f"{row}.{name}" for name in (*_SUMMED, *_LATEST))


_ADDED = ", ".join(
    [f"{name} = d.{name} + excluded.{name}" for name in ("task_count", *_SUMMED)]
    + [f"{name} = greatest(d.{name}, excluded.{name})" for name in _LATEST]
)
_TAKEN = ", ".join(["task_count = task_count - 1", *(f"{name} = {name} - OLD.{name}" for name in _SUMMED)])

# An account may be deleted in the transaction that ended its tasks: then there is nothing to add to.
_COUNT = f"""
CREATE FUNCTION count_account_days() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND NOT OLD.{_OPEN} THEN
        UPDATE account_day SET {_TAKEN} WHERE (account_id, date, status) = ({_key("OLD")});
    END IF;
    IF TG_OP <> 'DELETE' AND NOT NEW.{_OPEN} THEN
        INSERT INTO account_day AS d ({_COLUMNS}) SELECT {_key("NEW")}, 1, {_row("NEW")}
        WHERE EXISTS (SELECT FROM account WHERE id = NEW.account_id)
        ON CONFLICT (account_id, date, status) DO UPDATE SET {_ADDED};
    END IF;
    RETURN NULL;
END $$
"""  # noqa: S608 - names of ours

_CHANGED = f"({_key('OLD')}, {_row('OLD')}) IS DISTINCT FROM ({_key('NEW')}, {_row('NEW')})"
_TRIGGERS = {
    "INSERT": f"NOT NEW.{_OPEN}",
    "UPDATE": f"(NOT OLD.{_OPEN} OR NOT NEW.{_OPEN}) AND {_CHANGED}",
    "DELETE": f"NOT OLD.{_OPEN}",
}

_FILL = f"""
INSERT INTO account_day ({_COLUMNS})
SELECT {_key("t")}, count(*), {", ".join([*(f"sum({n})" for n in _SUMMED), *(f"max({n})" for n in _LATEST)])}
FROM task t WHERE NOT t.{_OPEN} GROUP BY 1, 2, 3
"""  # noqa: S608 - names of ours


def upgrade() -> None:
    """Apply."""
    status = sa.Enum(
        "DRAFT", "QUEUED", "RUNNING", "COMPLETED", "FAILED", "CANCELED", name="taskstatus", native_enum=False, length=40
    )
    op.create_table(
        "account_day",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("status", status, nullable=False),
        sa.Column("task_count", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _SUMMED),
        *(sa.Column(name, sa.DateTime(timezone=True), nullable=True) for name in _LATEST),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_account_day_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", "date", "status", name=op.f("pk_account_day")),
    )
    op.create_index(
        "ix_task_account_id_open", "task", ["account_id", "created_at"], unique=False, postgresql_where=sa.text(_OPEN)
    )
    op.execute("LOCK TABLE task IN SHARE MODE")  # nothing ends between the filling and the triggers
    op.execute(_FILL)
    op.execute(_COUNT)
    for event, condition in _TRIGGERS.items():
        # At the commit: the day's lock is the last that a transaction takes, so that none waits for it with others.
        op.execute(
            f"CREATE CONSTRAINT TRIGGER account_days_are_counted_{event.lower()} AFTER {event} ON task "
            f"DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION count_account_days()"
        )


def downgrade() -> None:
    """Take back."""
    for event in _TRIGGERS:
        op.execute(f"DROP TRIGGER account_days_are_counted_{event.lower()} ON task")
    op.execute("DROP FUNCTION count_account_days")
    op.drop_index("ix_task_account_id_open", table_name="task")
    op.drop_table("account_day")
