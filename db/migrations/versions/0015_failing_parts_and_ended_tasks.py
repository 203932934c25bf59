"""Since when the calls for a part fail; the tasks that still have their rows, by their end."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("task_part", sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_task_finished_at",
        "task",
        ["finished_at"],
        unique=False,
        postgresql_where=sa.text("results_purged_at IS NULL"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_task_finished_at", table_name="task")
    op.drop_column("task_part", "failing_since")
