"""Writes the table of the sandbox's domains into the lab's README."""

from pathlib import Path

from verifier.lab.catalogue import CATALOGUE
from verifier.lab.domain import Domain, Expected

PATH = Path(__file__).with_name("README.md")
START = "<!-- the catalogue -->\n"


def table() -> str:
    """Return the catalogue as a table in Markdown."""
    rows = [
        f"| `{domain.name}` | {domain.about} | {_words(domain.known, domain)} | {_words(domain.unknown, domain)} |"
        for domain in CATALOGUE
    ]
    return "\n".join(["| domain | what it does | for a mailbox | for others |", "|---|---|---|---|", *rows]) + "\n"


def whole(readme: str) -> str:
    """Return the README with the table as it must be."""
    return readme.partition(START)[0] + START + table()


def _words(expected: Expected, domain: Domain) -> str:
    told = f"{expected.status}, {expected.reason}"
    other = domain.or_else
    return told if other is None or other == expected else f"{told}; or {other.status}, {other.reason}"


if __name__ == "__main__":
    PATH.write_text(whole(PATH.read_text(encoding="utf-8")), encoding="utf-8")
