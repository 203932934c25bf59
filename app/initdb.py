"""Makes a PostgreSQL cluster with its databases: whole, or not at all."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from app import processes
from app.os_user import OsUser
from app.postgres_binaries import Installation

BUILTIN_LOCALE_MAJOR = 17
ENVIRONMENT: Mapping[str, str] = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}


class ClusterFailed(Exception):
    """The embedded PostgreSQL could not be made or did not start; the sentence holds what it said."""


def make(
    cluster: Path,
    installation: Installation,
    user: OsUser | None,
    *,
    superuser: str,
    password: str,
    databases: Iterable[str],
    is_durable: bool,
) -> None:
    """Make `cluster` under another name first, in its folder, which `user` owns: a half-made one is never used.

    Raises ClusterFailed.
    """
    staging = cluster.with_name(f"{cluster.name}.new")
    shutil.rmtree(staging, ignore_errors=True)
    password_file = cluster.with_name("initial-password")
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    if user is not None:
        user.own(password_file)
    options = ["-U", superuser, "-E", "UTF8", "--auth=scram-sha-256", "--data-checksums", *_locale(installation)]
    if not is_durable:
        options.append("--no-sync")
    try:
        _run(installation, user, "initdb", "-D", staging, f"--pwfile={password_file}", "--no-instructions", *options)
    finally:
        password_file.unlink()
    # In single-user mode, as no client is needed for it.
    statements = "".join(f"CREATE DATABASE {name};\n" for name in databases)
    options = ["-c", "exit_on_error=on"] + ([] if is_durable else ["-F"])
    _run(installation, user, "postgres", "--single", "-D", staging, *options, "postgres", stdin=statements)
    staging.rename(cluster)


def _locale(installation: Installation) -> tuple[str, ...]:
    """The same sorting everywhere: the server's own C.UTF-8 where it has one, else the system's."""
    if installation.major >= BUILTIN_LOCALE_MAJOR:
        return ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
    return ("--locale=C.UTF-8",) if sys.platform == "linux" else ("--locale=C",)


def _run(
    installation: Installation, user: OsUser | None, program: str, *arguments: str | Path, stdin: str = ""
) -> None:
    ended = subprocess.run(
        [installation.bin / program, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=ENVIRONMENT,
        preexec_fn=processes.tied_to_us(signal.SIGKILL),
        **(user.identity() if user else {}),
    )
    if ended.returncode != 0:
        raise ClusterFailed(f"{program} failed: {ended.stderr.strip()[-1000:]}")
