"""Drafts, retries, uploads without an id upstream, purged results; a task holds credits once a run."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_OPEN = sa.text("closed_at IS NULL")
_ONCE_A_TASK = """SELECT 5, 'a hold was released twice', task_id
FROM credit_transaction WHERE kind = 'RELEASED' GROUP BY task_id HAVING count(*) > 1"""
_ONCE_A_HOLD = """SELECT 5, 'a hold was released twice', t.task_id
FROM credit_transaction t WHERE t.kind = 'RELEASED' GROUP BY t.task_id
HAVING count(*) > (SELECT count(*) FROM credit_hold h WHERE h.task_id = t.task_id)"""

# As in 0002 but for the one about releases.
_VIOLATIONS = """
CREATE OR REPLACE VIEW ledger_violation AS
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
{released_twice}
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


def upgrade() -> None:
    """Apply."""
    op.add_column("task", sa.Column("malformed_row_count", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("task", sa.Column("retry_count", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("task", sa.Column("is_awaiting_upstream", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("task", sa.Column("results_purged_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("task_part", sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "uq_task_part_upstream_id",
        "task_part",
        ["upstream_id"],
        unique=True,
        postgresql_where=sa.text("upstream_id IS NOT NULL"),
    )
    op.drop_constraint(op.f("uq_credit_hold_task_id"), "credit_hold", type_="unique")
    op.create_index("ix_credit_hold_task_id", "credit_hold", ["task_id"])
    op.create_index("uq_credit_hold_task_id_open", "credit_hold", ["task_id"], unique=True, postgresql_where=_OPEN)
    op.execute(_VIOLATIONS.format(released_twice=_ONCE_A_HOLD))


def downgrade() -> None:
    """Take back."""
    op.execute(_VIOLATIONS.format(released_twice=_ONCE_A_TASK))
    op.drop_index("uq_credit_hold_task_id_open", "credit_hold")
    op.drop_index("ix_credit_hold_task_id", "credit_hold")
    op.create_unique_constraint(op.f("uq_credit_hold_task_id"), "credit_hold", ["task_id"])
    op.drop_index("uq_task_part_upstream_id", "task_part")
    op.drop_column("task_part", "sent_at")
    for column in ("results_purged_at", "is_awaiting_upstream", "retry_count", "malformed_row_count"):
        op.drop_column("task", column)
