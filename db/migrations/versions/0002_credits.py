"""Credits: the ledger, its guards, and the view of its broken invariants."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KINDS = (
    "PURCHASED",
    "GRANTED",
    "RESERVED",
    "SPENT",
    "RELEASED",
    "DEDUCTED",
    "REFUNDED",
    "CHARGED_BACK",
    "EXPIRED",
)
_LEDGERS = ("USER", "HELD", "DEBT", "CASH", "PROMOTION", "REVENUE", "BREAKAGE")

_APPEND_ONLY = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$
"""

_BALANCED = """
CREATE FUNCTION require_balanced_transaction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT sum(amount) FROM credit_entry WHERE transaction_id = NEW.transaction_id) <> 0 THEN
        RAISE EXCEPTION 'entries of transaction % do not add up to 0', NEW.transaction_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$
"""

_BALANCED_TRIGGER = """
CREATE CONSTRAINT TRIGGER is_balanced AFTER INSERT ON credit_entry
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION require_balanced_transaction()
"""

# Numbered as in the design. Every row is a fault; the view is empty as long as the ledger is sound.
_VIOLATIONS = """
CREATE VIEW credit_violation AS
WITH entry AS (
    SELECT t.id, t.account_id, t.amount, t.reserved_amount, sum(e.amount) AS total,
        coalesce(sum(e.amount) FILTER (WHERE e.ledger IN ('USER', 'HELD')), 0) AS owned,
        coalesce(sum(e.amount) FILTER (WHERE e.ledger = 'HELD'), 0) AS held,
        coalesce(sum(e.amount) FILTER (WHERE e.ledger = 'DEBT'), 0) AS debt
    FROM credit_transaction t LEFT JOIN credit_entry e ON e.transaction_id = t.id
    GROUP BY t.id
), entries AS (
    SELECT account_id, sum(owned) AS owned, sum(held) AS held, sum(debt) AS debt FROM entry GROUP BY account_id
), lots AS (
    SELECT account_id, sum(remaining) AS remaining, sum(held) AS held FROM credit_lot GROUP BY account_id
), holds AS (
    SELECT account_id, sum(amount - settled - released) AS rest FROM credit_hold GROUP BY account_id
), hold_lots AS (
    SELECT hold_id, sum(amount) AS rest FROM credit_hold_lot GROUP BY hold_id
), charges AS (
    SELECT task_id, -sum(amount) AS amount FROM credit_transaction
    WHERE kind = 'SPENT' AND task_id IS NOT NULL GROUP BY task_id
)
SELECT 1 AS invariant, 'the entries of a transaction do not add up to 0' AS problem, id AS subject_id
FROM entry WHERE total IS DISTINCT FROM 0
UNION ALL
SELECT 1, 'a transaction is not what its entries say', id
FROM entry WHERE amount <> owned OR reserved_amount <> held
UNION ALL
SELECT 2, 'the balance is not the sum of the entries', a.account_id
FROM credit_account a LEFT JOIN entries e USING (account_id)
WHERE a.balance <> coalesce(e.owned, 0) OR a.held <> coalesce(e.held, 0) OR a.debt <> -coalesce(e.debt, 0)
UNION ALL
SELECT 2, 'the balance is not the sum of the lots', a.account_id
FROM credit_account a LEFT JOIN lots l USING (account_id)
WHERE a.balance <> coalesce(l.remaining, 0) OR a.held <> coalesce(l.held, 0)
UNION ALL
SELECT 3, 'what is held is not the sum of the open holds', a.account_id
FROM credit_account a LEFT JOIN holds h USING (account_id) WHERE a.held <> coalesce(h.rest, 0)
UNION ALL
SELECT 3, 'the rest of a hold is not the sum of its lots', h.id
FROM credit_hold h LEFT JOIN hold_lots l ON l.hold_id = h.id
WHERE h.amount - h.settled - h.released <> coalesce(l.rest, 0)
UNION ALL
SELECT 4, 'more is held than owned', account_id
FROM credit_account WHERE held < 0 OR held > balance OR debt < 0
UNION ALL
SELECT 5, 'a hold was resolved otherwise than once', id
FROM credit_hold
WHERE settled + released > amount OR (closed_at IS NULL) <> (settled + released < amount)
UNION ALL
SELECT 5, 'a hold was released twice', task_id
FROM credit_transaction WHERE kind = 'RELEASED' GROUP BY task_id HAVING count(*) > 1
UNION ALL
SELECT 6, 'a key or an outside reference has two transactions', min(id::text)::uuid
FROM credit_transaction GROUP BY idempotency_key HAVING count(*) > 1
UNION ALL
SELECT 6, 'a key or an outside reference has two transactions', min(id::text)::uuid
FROM credit_transaction WHERE external_ref IS NOT NULL GROUP BY external_ref HAVING count(*) > 1
UNION ALL
SELECT 7, 'the charge of a task is not its count of verdicts that cost', t.id
FROM task t LEFT JOIN charges c ON c.task_id = t.id
WHERE coalesce(c.amount, 0) <> CASE WHEN t.charge_policy IS NULL THEN 0 ELSE t.chargeable_count END
"""


def _words(name: str, values: tuple[str, ...]) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, length=40)


def upgrade() -> None:
    """Apply."""
    op.add_column("task", sa.Column("charge_policy", sa.BigInteger(), nullable=True))
    op.create_table(
        "credit_account",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("debt", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("balance <= 2147483647", name=op.f("ck_credit_account_balance_max")),
        sa.CheckConstraint("held >= 0 AND held <= balance AND debt >= 0", name=op.f("ck_credit_account_covered")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_credit_account")),
    )
    op.create_table(
        "credit_transaction",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("kind", _words("credittransactionkind", _KINDS), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reserved_amount", sa.BigInteger(), nullable=False),
        sa.Column("balance_after", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("task_id", sa.Uuid(), nullable=True),
        sa.Column("external_ref", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("balance_after >= 0", name=op.f("ck_credit_transaction_balance_after")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["credit_account.account_id"], name=op.f("fk_credit_transaction_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_transaction")),
        sa.UniqueConstraint("external_ref", name=op.f("uq_credit_transaction_external_ref")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_credit_transaction_idempotency_key")),
    )
    op.create_index("ix_credit_transaction_account_id", "credit_transaction", ["account_id", "seq"], unique=False)
    op.create_index(
        "ix_credit_transaction_task_id",
        "credit_transaction",
        ["task_id"],
        unique=False,
        postgresql_where=sa.text("task_id IS NOT NULL"),
    )
    op.create_table(
        "credit_lot",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("remaining", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("emptied_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(emptied_at IS NULL) = (remaining > 0)", name=op.f("ck_credit_lot_emptied")),
        sa.CheckConstraint(
            "held >= 0 AND held <= remaining AND remaining <= amount AND amount > 0",
            name=op.f("ck_credit_lot_covered"),
        ),
        sa.ForeignKeyConstraint(["account_id"], ["credit_account.account_id"], name=op.f("fk_credit_lot_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_lot")),
    )
    op.create_index(
        "ix_credit_lot_account_id",
        "credit_lot",
        ["account_id", "priority", "expires_at", "created_at"],
        unique=False,
        postgresql_where=sa.text("emptied_at IS NULL"),
    )
    op.create_index(
        "ix_credit_lot_expires_at",
        "credit_lot",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("emptied_at IS NULL"),
    )
    op.create_table(
        "credit_entry",
        sa.Column("transaction_id", sa.Uuid(), nullable=False),
        sa.Column("n", sa.SmallInteger(), nullable=False),
        sa.Column("ledger", _words("ledger", _LEDGERS), nullable=False),
        sa.Column("lot_id", sa.Uuid(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_credit_entry_amount")),
        sa.ForeignKeyConstraint(["lot_id"], ["credit_lot.id"], name=op.f("fk_credit_entry_lot_id")),
        sa.ForeignKeyConstraint(
            ["transaction_id"], ["credit_transaction.id"], name=op.f("fk_credit_entry_transaction_id")
        ),
        sa.PrimaryKeyConstraint("transaction_id", "n", name=op.f("pk_credit_entry")),
    )
    op.create_table(
        "credit_hold",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("settled", sa.BigInteger(), nullable=False),
        sa.Column("released", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("amount > 0 AND settled >= 0 AND released >= 0", name=op.f("ck_credit_hold_amounts")),
        sa.CheckConstraint("settled + released <= amount", name=op.f("ck_credit_hold_resolved_once")),
        sa.CheckConstraint("(closed_at IS NULL) = (settled + released < amount)", name=op.f("ck_credit_hold_closed")),
        sa.ForeignKeyConstraint(["account_id"], ["credit_account.account_id"], name=op.f("fk_credit_hold_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_hold")),
        sa.UniqueConstraint("task_id", name=op.f("uq_credit_hold_task_id")),
    )
    op.create_index(
        "ix_credit_hold_account_id",
        "credit_hold",
        ["account_id"],
        unique=False,
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "credit_hold_lot",
        sa.Column("hold_id", sa.Uuid(), nullable=False),
        sa.Column("lot_id", sa.Uuid(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_credit_hold_lot_amount")),
        sa.ForeignKeyConstraint(["hold_id"], ["credit_hold.id"], name=op.f("fk_credit_hold_lot_hold_id")),
        sa.ForeignKeyConstraint(["lot_id"], ["credit_lot.id"], name=op.f("fk_credit_hold_lot_lot_id")),
        sa.PrimaryKeyConstraint("hold_id", "lot_id", name=op.f("pk_credit_hold_lot")),
    )
    _guard()


def _guard() -> None:
    op.execute(_APPEND_ONLY)
    for table in ("credit_transaction", "credit_entry"):
        op.execute(
            f"CREATE TRIGGER is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    op.execute(_BALANCED)
    op.execute(_BALANCED_TRIGGER)
    op.execute(_VIOLATIONS)


def downgrade() -> None:
    """Take back."""
    op.execute("DROP VIEW credit_violation")
    for table in ("credit_hold_lot", "credit_hold", "credit_entry", "credit_lot"):
        op.drop_table(table)
    op.drop_table("credit_transaction")
    op.drop_table("credit_account")
    op.execute("DROP FUNCTION require_balanced_transaction")
    op.execute("DROP FUNCTION refuse_change")
    op.drop_column("task", "charge_policy")
