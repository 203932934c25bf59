"""An account's tasks by the time of their last change: what its events are found by."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index("ix_task_account_id_updated_at", "task", ["account_id", "updated_at"], unique=False)


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_task_account_id_updated_at", table_name="task")
