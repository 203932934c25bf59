"""The ledger of credits: double entry, append-only, with lots that may expire and holds of running tasks.

Ledger rows name accounts, tasks and purchases without a foreign key: they stay when an account or a task is deleted.
"""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, LargeBinary, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from db import ids
from db.models.table import Table, words

BALANCE_MAX = 2_147_483_647
"""The most that an account can hold: what a GraphQL Int can say."""


class CreditTransactionKind(StrEnum):
    """Kind of a ledger entry."""

    PURCHASED = "PURCHASED"
    GRANTED = "GRANTED"
    RESERVED = "RESERVED"
    SPENT = "SPENT"
    RELEASED = "RELEASED"
    DEDUCTED = "DEDUCTED"
    REFUNDED = "REFUNDED"
    CHARGED_BACK = "CHARGED_BACK"
    EXPIRED = "EXPIRED"


class Ledger(StrEnum):
    """The two sides of a user's credits, and the system accounts on the other side. Only a user has a balance row."""

    USER = "USER"
    HELD = "HELD"
    DEBT = "DEBT"
    CASH = "CASH"
    PROMOTION = "PROMOTION"
    REVENUE = "REVENUE"
    BREAKAGE = "BREAKAGE"


class CreditAccount(Table):
    """Balance of a user, kept beside the entries that it is the sum of. Its row is the lock of all that is below it."""

    __tablename__ = "credit_account"
    __table_args__ = (
        CheckConstraint("held >= 0 AND held <= balance AND debt >= 0", name="covered"),
        CheckConstraint(f"balance <= {BALANCE_MAX}", name="balance_max"),
    )

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    balance: Mapped[int] = mapped_column(default=0)
    held: Mapped[int] = mapped_column(default=0)
    debt: Mapped[int] = mapped_column(default=0)
    """What a payment that was taken back had paid for and was spent; the next grant pays it first."""
    updated_at: Mapped[datetime]

    @property
    def reserved(self) -> int:
        """Credits held by running tasks."""
        return self.held

    @property
    def available(self) -> int:
        """Credits free to use."""
        return self.balance - self.held


class CreditTransaction(Table):
    """One change of a balance or of what is reserved, as people see it."""

    __tablename__ = "credit_transaction"
    __table_args__ = (
        Index("ix_credit_transaction_account_id", "account_id", "seq"),
        Index("ix_credit_transaction_task_id", "task_id", postgresql_where=text("task_id IS NOT NULL")),
        Index("ix_credit_transaction_purchase_id", "purchase_id", postgresql_where=text("purchase_id IS NOT NULL")),
        CheckConstraint("balance_after >= 0", name="balance_after"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(Identity(always=True))
    """Given under the lock of the account, so it is the order in which its balance moved."""
    account_id: Mapped[UUID] = mapped_column(ForeignKey("credit_account.account_id"))
    kind: Mapped[CreditTransactionKind] = mapped_column(words(CreditTransactionKind))
    amount: Mapped[int]
    reserved_amount: Mapped[int]
    balance_after: Mapped[int]
    note: Mapped[str | None]
    actor_id: Mapped[UUID | None]
    task_id: Mapped[UUID | None]
    purchase_id: Mapped[UUID | None]
    external_ref: Mapped[str | None] = mapped_column(unique=True)
    """What it answers outside, e.g. a payment: applied once however often it is told."""
    idempotency_key: Mapped[str] = mapped_column(unique=True)
    """Operation and its scope first, so that the keys of two callers never meet."""
    request_hash: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]

    @property
    def global_id(self) -> str:
        """Public id."""
        return ids.global_id("transaction", self.id)


class CreditLot(Table):
    """Credits that came together and expire together."""

    __tablename__ = "credit_lot"
    __table_args__ = (
        CheckConstraint("held >= 0 AND held <= remaining AND remaining <= amount AND amount > 0", name="covered"),
        Index(
            "ix_credit_lot_account_id",
            "account_id",
            "priority",
            "expires_at",
            "created_at",
            postgresql_where=text("emptied_at IS NULL"),
        ),
        Index("ix_credit_lot_expires_at", "expires_at", postgresql_where=text("emptied_at IS NULL")),
        CheckConstraint("(emptied_at IS NULL) = (remaining > 0)", name="emptied"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("credit_account.account_id"))
    amount: Mapped[int]
    remaining: Mapped[int]
    held: Mapped[int]
    priority: Mapped[int] = mapped_column(SmallInteger)
    """Lots are used up in the order of this number, then of their expiry, then of their age."""
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    emptied_at: Mapped[datetime | None]
    """What the indexes ask for instead of `remaining`: changes of what an index names are new entries in it."""


class CreditEntry(Table):
    """One side of a transaction. Never changed, never deleted; those of a transaction add up to 0."""

    __tablename__ = "credit_entry"
    __table_args__ = (CheckConstraint("amount <> 0", name="amount"),)

    transaction_id: Mapped[UUID] = mapped_column(ForeignKey("credit_transaction.id"), primary_key=True)
    n: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    ledger: Mapped[Ledger] = mapped_column(words(Ledger))
    lot_id: Mapped[UUID | None] = mapped_column(ForeignKey("credit_lot.id"))
    amount: Mapped[int]


class CreditHold(Table):
    """Credits set aside for a task until its last verdict."""

    __tablename__ = "credit_hold"
    __table_args__ = (
        CheckConstraint("amount > 0 AND settled >= 0 AND released >= 0", name="amounts"),
        CheckConstraint("settled + released <= amount", name="resolved_once"),
        CheckConstraint("(closed_at IS NULL) = (settled + released < amount)", name="closed"),
        Index("ix_credit_hold_account_id", "account_id", postgresql_where=text("closed_at IS NULL")),
        Index("ix_credit_hold_task_id", "task_id"),
        # A task that is run again holds credits again, once the hold before is resolved.
        Index("uq_credit_hold_task_id_open", "task_id", unique=True, postgresql_where=text("closed_at IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("credit_account.account_id"))
    task_id: Mapped[UUID]
    amount: Mapped[int]
    settled: Mapped[int] = mapped_column(default=0)
    released: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class CreditHoldLot(Table):
    """What of a hold's rest lies in which lot."""

    __tablename__ = "credit_hold_lot"
    __table_args__ = (CheckConstraint("amount >= 0", name="amount"),)

    hold_id: Mapped[UUID] = mapped_column(ForeignKey("credit_hold.id"), primary_key=True)
    lot_id: Mapped[UUID] = mapped_column(ForeignKey("credit_lot.id"), primary_key=True)
    amount: Mapped[int]
