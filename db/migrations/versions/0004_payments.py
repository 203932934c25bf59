"""Purchases and payment events; the ledger names purchases, and its view of broken invariants looks at them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# The older invariants stay as they are in a view of their own.
_VIOLATIONS = """
CREATE VIEW credit_violation AS
SELECT invariant, problem, subject_id FROM ledger_violation
UNION ALL
SELECT 8, 'a purchase is not what the ledger says of it', p.id
FROM purchase p LEFT JOIN (
    SELECT t.purchase_id, -sum(e.amount) AS amount
    FROM credit_transaction t JOIN credit_entry e ON e.transaction_id = t.id
    WHERE t.purchase_id IS NOT NULL AND e.ledger = 'CASH' GROUP BY t.purchase_id
) b ON b.purchase_id = p.id
WHERE coalesce(b.amount, 0) <> CASE WHEN p.paid_at IS NULL THEN 0 ELSE p.credits - p.taken_back END
"""


def _words(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, length=40)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "purchase",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("package", sa.Text(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column(
            "status",
            _words("purchasestatus", "OPEN", "PAID", "CANCELED", "REFUNDED", "CHARGED_BACK"),
            nullable=False,
        ),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("checkout_page", sa.Text(), nullable=True),
        sa.Column("payment_ref", sa.Text(), nullable=True),
        sa.Column("taken_back", sa.BigInteger(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("credits > 0 AND price_minor > 0", name=op.f("ck_purchase_amounts")),
        sa.CheckConstraint("taken_back >= 0 AND taken_back <= credits", name=op.f("ck_purchase_taken_back")),
        sa.CheckConstraint("paid_at IS NOT NULL OR taken_back = 0", name=op.f("ck_purchase_paid_first")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_purchase")),
    )
    op.create_index(
        "uq_purchase_account_id_idempotency_key", "purchase", ["account_id", "idempotency_key"], unique=True
    )
    op.create_index("uq_purchase_provider_payment_ref", "purchase", ["provider", "payment_ref"], unique=True)
    op.create_index("ix_purchase_account_id_created_at", "purchase", ["account_id", "created_at", "id"])
    op.create_index("ix_purchase_expires_at", "purchase", ["expires_at"], postgresql_where=sa.text("status = 'OPEN'"))
    _create_events()
    op.add_column("credit_transaction", sa.Column("purchase_id", sa.Uuid(), nullable=True))
    op.create_index(
        "ix_credit_transaction_purchase_id",
        "credit_transaction",
        ["purchase_id"],
        postgresql_where=sa.text("purchase_id IS NOT NULL"),
    )
    op.execute("ALTER VIEW credit_violation RENAME TO ledger_violation")
    op.execute(_VIOLATIONS)


def _create_events() -> None:
    op.create_table(
        "payment_event",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column(
            "fact",
            _words("paymentfact", "PAID", "CANCELED", "REFUNDED", "CHARGED_BACK", "REINSTATED"),
            nullable=False,
        ),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("payment_ref", sa.Text(), nullable=True),
        sa.Column("purchase_id", sa.Uuid(), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.CheckConstraint("due_at IS NULL OR applied_at IS NULL", name=op.f("ck_payment_event_applied_once")),
        sa.CheckConstraint("amount_minor >= 0", name=op.f("ck_payment_event_amount_minor")),
        sa.PrimaryKeyConstraint("provider", "event_id", name=op.f("pk_payment_event")),
    )
    op.create_index(
        "ix_payment_event_due_at", "payment_event", ["due_at"], postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.create_index(
        "ix_payment_event_problem", "payment_event", ["received_at"], postgresql_where=sa.text("problem IS NOT NULL")
    )
    op.create_index("ix_payment_event_purchase_id", "payment_event", ["purchase_id"])


def downgrade() -> None:
    """Take back."""
    op.execute("DROP VIEW credit_violation")
    op.execute("ALTER VIEW ledger_violation RENAME TO credit_violation")
    op.drop_index("ix_credit_transaction_purchase_id", table_name="credit_transaction")
    op.drop_column("credit_transaction", "purchase_id")
    op.drop_table("payment_event")
    op.drop_table("purchase")
