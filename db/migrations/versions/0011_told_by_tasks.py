"""An address that a task names for its end; whoever acts for an account may tell its webhooks of low credits."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_OWN = "account_id = (SELECT auth.uid())"
_WALLED = {
    "webhook": "SELECT",
    "webhook_delivery": "INSERT",
}


def upgrade() -> None:
    """Apply."""
    op.add_column("task", sa.Column("webhook_url", sa.Text(), nullable=True))
    for table, rights in _WALLED.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY service ON {table} TO CURRENT_USER USING (true) WITH CHECK (true)")
        op.execute(f"CREATE POLICY own ON {table} TO mailverdict_account USING ({_OWN}) WITH CHECK ({_OWN})")
        op.execute(f"GRANT {rights} ON {table} TO mailverdict_account")


def downgrade() -> None:
    """Take back."""
    for table in _WALLED:
        op.execute(f"REVOKE ALL ON {table} FROM mailverdict_account")
        op.execute(f"DROP POLICY own ON {table}")
        op.execute(f"DROP POLICY service ON {table}")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.drop_column("task", "webhook_url")
