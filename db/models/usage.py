"""Use of the service, added up by day."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from db.models.table import Table

NO_KEY = UUID(int=0)
"""Stands for a session where an API key would be named."""


class UsageDay(Table):
    """What an account used on one UTC day through one API key, or through sessions (`NO_KEY`)."""

    __tablename__ = "usage_day"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    api_key_id: Mapped[UUID] = mapped_column(primary_key=True)
    request_count: Mapped[int]
    verification_count: Mapped[int]
    credits_spent: Mapped[int]


@dataclass(frozen=True, slots=True)
class UsageTotal:
    """Use added up."""

    request_count: int
    verification_count: int
    credits_spent: int


@dataclass(frozen=True, slots=True)
class UsageSeriesPoint:
    """Use on one day."""

    date: date
    request_count: int
    verification_count: int
    credits_spent: int


@dataclass(frozen=True, slots=True)
class UsageSeries:
    """Use over time: a point a day, and the points added up."""

    points: list[UsageSeriesPoint]

    @property
    def total(self) -> UsageTotal:
        """The points added up."""
        return UsageTotal(
            request_count=sum(point.request_count for point in self.points),
            verification_count=sum(point.verification_count for point in self.points),
            credits_spent=sum(point.credits_spent for point in self.points),
        )
