"""`uv run -m tests.house.prove_laws` breaks each law of the house in a copy of the tree and shows that its check fails.

Not part of the test suite: it runs the checks some sixty times. Arguments are parts of the names of laws or checks.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.house import tree
from tests.house.laws import LAWS, Check, Law

GIT = ("git", "-c", "user.name=laws", "-c", "user.email=laws@mailverdict.test", "-c", "core.hooksPath=/dev/null")
CANNOT = "COULD NOT BE BROKEN"


def copy_tree(folder: Path) -> None:
    """Copy what git would track into `folder` and commit it there, so that each break can be undone."""
    for path in tree.files():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((tree.ROOT / path).read_bytes())
        target.chmod((tree.ROOT / path).stat().st_mode)
    for command in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message", "copy")):
        subprocess.run([*GIT, *command], cwd=folder, check=True)


def undo(folder: Path) -> None:
    """Bring the copy back to what was committed; caches stay."""
    for command in (("reset", "--quiet", "--hard"), ("clean", "--quiet", "--force", "-d")):
        subprocess.run([*GIT, *command], cwd=folder, check=True)


def run(check: Check, folder: Path) -> tuple[int, str]:
    """Run a check in the copy with the packages of this environment; return its exit code and all that it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "VIRTUAL_ENV"))}
    environment["PYTHONPATH"] = str(folder / ".fake")
    done = subprocess.run(
        check.command(),
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def prove(law: Law, folder: Path) -> str:
    """Break one law in the copy; return what the check said about it, or an empty string when it did not notice."""
    try:
        law.break_it(folder)
        code, output = run(law.check, folder)
    except LookupError as problem:
        return f"{CANNOT}: {problem}"
    finally:
        undo(folder)
    said = [line.strip("_ ") for line in output.splitlines() if law.expected in line]
    return said[-1] if code and said else ""


def main(wanted: list[str]) -> int:
    """Prove the wanted laws, a line for each, then all as a table; return 1 when one was not seen to fail."""
    console = Console(width=150)
    laws = [law for law in LAWS if not wanted or any(part in f"{law.name} {law.check.name}" for part in wanted)]
    table = Table("law", "check", "what it said", "s", title="Each law, broken")
    unproven = []
    with tempfile.TemporaryDirectory(prefix="mailverdict-laws-") as name:
        folder = Path(name)
        copy_tree(folder)
        red = {check for check in dict.fromkeys(law.check for law in laws) if run(check, folder)[0]}
        for law in laws:
            began = time.monotonic()
            said = "" if law.check in red else prove(law, folder)
            if not said or said.startswith(CANNOT):
                unproven.append(law.name)
                said = said or ("RED BEFORE IT WAS BROKEN" if law.check in red else "NOTHING: NOT SEEN TO FAIL")
            seconds = f"{time.monotonic() - began:.1f}"
            table.add_row(law.name, law.check.name, said[:70], seconds)
            console.log(f"{law.name}: {said[:70]} ({seconds} s)", highlight=False, markup=False)
    console.print(table)
    console.print(f"{len(laws) - len(unproven)} of {len(laws)} laws were seen to fail when broken")
    return 1 if unproven else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
