"""Hidden keys at the verifier."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "upstream_key",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("origin", sa.Enum("MADE", "ENTERED", name="keyorigin", native_enum=False, length=40), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("kid", sa.Text(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(sealed IS NULL) = (kid IS NULL) AND (sealed IS NULL) = (made_at IS NULL)",
            name=op.f("ck_upstream_key_whole"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_upstream_key_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_upstream_key")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("upstream_key")
