"""How an update is told what was left out, where None says that it is to be removed."""

from enum import Enum


class Keep(Enum):
    """The value of what was left out: it stays as it is."""

    AS_IT_IS = "as it is"
