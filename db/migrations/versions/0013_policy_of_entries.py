"""Entries are seen by looking up their transaction, never by reading all those of the account."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# EXISTS may be answered by a hash of every transaction of the account, and the trigger that adds up entries would build
# that for each entry written. A subquery for a value is asked for the one row.
_BY_TRANSACTION = "(SELECT t.account_id FROM credit_transaction t WHERE t.id = transaction_id) = (SELECT auth.uid())"
_BEFORE = "EXISTS (SELECT FROM credit_transaction t WHERE t.id = transaction_id)"


def upgrade() -> None:
    """Apply."""
    op.execute(f"ALTER POLICY own ON credit_entry USING ({_BY_TRANSACTION})")


def downgrade() -> None:
    """Take back."""
    op.execute(f"ALTER POLICY own ON credit_entry USING ({_BEFORE})")
