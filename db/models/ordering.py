"""How lists can be sorted."""

from enum import StrEnum


class OrderDirection(StrEnum):
    """Sort direction."""

    ASC = "ASC"
    DESC = "DESC"


class TaskOrderField(StrEnum):
    """What tasks can be sorted by."""

    CREATED_AT = "CREATED_AT"
    NAME = "NAME"
    TOTAL = "TOTAL"
