"""Hidden keys at the verifier, integrations, answers to repeated requests, use by day."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
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
    op.create_table(
        "usage_day",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("api_key_id", sa.Uuid(), nullable=False),
        sa.Column("request_count", sa.BigInteger(), nullable=False),
        sa.Column("verification_count", sa.BigInteger(), nullable=False),
        sa.Column("credits_spent", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_usage_day_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", "day", "api_key_id", name=op.f("pk_usage_day")),
    )
    op.add_column("api_key", sa.Column("integration", sa.Text(), nullable=True))
    op.add_column("api_key", sa.Column("notes", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("task", sa.Column("integration", sa.Text(), nullable=True))
    op.add_column("task", sa.Column("api_key_id", sa.Uuid(), nullable=True))
    op.add_column("idempotency_key", sa.Column("answer", postgresql.JSONB(astext_type=sa.Text()), nullable=True))


def downgrade() -> None:
    """Take back."""
    op.drop_column("idempotency_key", "answer")
    op.drop_column("task", "api_key_id")
    op.drop_column("task", "integration")
    op.drop_column("api_key", "notes")
    op.drop_column("api_key", "integration")
    op.drop_table("usage_day")
    op.drop_table("upstream_key")
