"""The worker's own clock."""

import pytest

from tests.services.worker.following import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()
