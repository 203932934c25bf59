"""`python -m app upstream-key set`: the key comes on standard input, and nothing shows it."""

import subprocess
import sys

from app import settings
from conftest import ROOT
from db.models import Account
from db.session import Database
from services.sealing import Box
from services.upstream.http import HttpUpstream
from services.upstream_keys import UpstreamKeys

SECRET = "the-secret-of-the-tests-0123456789abcdef"


def entered(database_url: str, email: str, key: str) -> subprocess.CompletedProcess[str]:
    inherited = settings.child_environment(settings.process_environment())
    return subprocess.run(
        [sys.executable, "-m", "app", "upstream-key", "set", email],
        cwd=ROOT,
        env=inherited | {"DATABASE_URL": database_url, "SECRET_KEY": SECRET},
        input=key,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


async def test_a_key_that_was_entered_is_the_accounts(
    db: Database, service_database_url: str, account: Account
) -> None:
    done = entered(service_database_url, "Owner@Example.com", "hosted-key\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert "hosted-key" not in done.stdout
    upstream = HttpUpstream("http://127.0.0.1:9/api/v1")
    assert await UpstreamKeys(db, Box(SECRET), upstream, "").of(account.id) == "hosted-key"
    await upstream.close()


async def test_a_mistake_is_told_in_one_line(service_database_url: str, account: Account) -> None:
    for email, key in (("nobody@example.com", "key"), (account.email, ""), (account.email, "two words")):
        done = entered(service_database_url, email, key)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
