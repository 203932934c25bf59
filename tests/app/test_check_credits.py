"""`python -m app check-credits`: sound is said, unsound is told line by line, and the exit code differs."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

from conftest import ROOT
from db.session import Database
from tests import factories


def check(database_url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", "check-credits"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_a_ledger_is_proved_sound_and_a_balance_changed_by_hand_is_found(
    db: Database, service_database_url: str, raw: Any
) -> None:
    account = await factories.account(db, balance=10)
    found = check(service_database_url)
    assert (found.returncode, found.stdout) == (0, "The ledger is sound.\n")
    await raw("UPDATE credit_account SET balance = balance + 1, updated_at = :now RETURNING 1", now=datetime.now(UTC))
    found = check(service_database_url)
    assert found.returncode == 1
    assert found.stdout.splitlines() == [
        f"invariant 2: the balance is not the sum of the entries ({account.id})",
        f"invariant 2: the balance is not the sum of the lots ({account.id})",
        "2 faults: nothing was changed.",
    ]
    await raw("UPDATE credit_account SET balance = balance - 1 RETURNING 1")
