"""Passwords that stand in many leaks: they are the first that anybody tries. A dated list of ours, asked offline."""

from functools import cache
from importlib import resources


def is_leaked(password: str) -> bool:
    """The password stands in the list, in whatever case of letters."""
    return password.lower() in _passwords()


@cache
def _passwords() -> frozenset[str]:
    text = resources.files("services.data").joinpath("leaked_passwords.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if not line.startswith("#"))
