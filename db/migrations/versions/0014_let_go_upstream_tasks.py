"""Tasks upstream that were ours: known after the task here was deleted, or its part made again."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "let_go_upstream_task",
        sa.Column("upstream_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_let_go_upstream_task_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("upstream_id", name=op.f("pk_let_go_upstream_task")),
    )
    op.create_index("ix_let_go_upstream_task_account_id", "let_go_upstream_task", ["account_id"], unique=False)


def downgrade() -> None:
    """Take back."""
    op.drop_table("let_go_upstream_task")
