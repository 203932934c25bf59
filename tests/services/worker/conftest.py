"""The worker's own clock, and lists that are cut into parts of few addresses."""

from collections.abc import Callable

import pytest

from services import intake
from tests.services.worker.following import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cut_into(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Cut lists into parts of so many addresses."""
    return lambda addresses: monkeypatch.setattr(intake, "PART_ADDRESSES_MAX", addresses)
