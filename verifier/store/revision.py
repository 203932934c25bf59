"""Which revision of the tables this program was written for, told without loading Alembic."""

from pathlib import Path

VERSIONS = Path(__file__).parent / "migrations" / "versions"


def head() -> str:
    """Return the newest revision: the number that the last migration's file begins with."""
    return max(path.name.partition("_")[0] for path in VERSIONS.glob("[0-9]*.py"))
