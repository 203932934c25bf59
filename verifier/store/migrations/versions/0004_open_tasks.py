"""The open tasks, which are few among all that there ever were: every look at the metrics adds them up."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create it."""
    op.execute("CREATE INDEX task_open ON task (id) WHERE finished_at IS NULL")
