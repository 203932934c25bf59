"""The files of this project as the house tests see them: what is tracked, and what would be at the next `git add`."""

import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("app", "schema", "resolvers", "services", "db", "verifier")


@cache
def files() -> tuple[Path, ...]:
    """Return every file that git tracks or would track, relative to the root, in the order of their names."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return tuple(sorted(path for name in listed.split("\0") if name and (ROOT / (path := Path(name))).is_file()))


def ours() -> tuple[Path, ...]:
    """Return the files that we wrote: not those of others that we keep a copy of."""
    return tuple(path for path in files() if "vendor" not in path.parts)


def read(path: Path | str) -> str:
    """Return the text of a file; bytes that are not UTF-8 are kept as surrogates, so that pictures can be read too."""
    return (ROOT / path).read_text(encoding="utf-8", errors="surrogateescape")


def python() -> tuple[Path, ...]:
    """Return every Python file of the project, scripts without a suffix included."""
    return tuple(
        path
        for path in files()
        if path.suffix == ".py" or (not path.suffix and read(path).startswith("#!/usr/bin/env python3"))
    )


@cache
def project() -> dict[str, Any]:
    """Return pyproject.toml, parsed."""
    return tomllib.loads(read("pyproject.toml"))


def report(problems: list[str]) -> str:
    """Return the problems one a line, as the message of a failing assertion."""
    return "\n" + "\n".join(problems)
