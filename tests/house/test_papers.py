"""The papers are true: links lead somewhere, commands are the ones that CI runs, decisions keep their form."""

import argparse
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import cli
from tests.house import tree
from verifier import __main__ as verifier

LINK = re.compile(r"(?<!!)\[[^\]]+\]\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
NAMED_FILE = re.compile(r"`(?P<name>[\w.-]+/[\w./-]+\.(?:py|md|toml|ya?ml|graphql|csv))`")
COMMAND = re.compile(r"-m (?P<program>app|verifier) (?P<command>[a-z][\w-]+)")
DECISION_PARTS = ("Context", "Decision", "Consequences", "Alternatives", "What enforces it")


def papers() -> list[Path]:
    """Return every Markdown file of the project."""
    return [path for path in tree.files() if path.suffix == ".md"]


def links(path: Path) -> Iterator[str]:
    """Yield the targets of a paper's links to files of this project and to headings."""
    for match in LINK.finditer(FENCE.sub("", tree.read(path))):
        if not re.match(r"[a-z]+:", match["target"]):
            yield match["target"]


def anchors(path: Path) -> set[str]:
    """Return the anchors of a paper's headings, made as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", tree.read(path)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def commands(parser: argparse.ArgumentParser) -> set[str]:
    """Return the names of a program's commands."""
    return {name for action in parser._actions if isinstance(action.choices, dict) for name in action.choices}


def leads_somewhere(path: Path, target: str) -> bool:
    """Tell whether a link's file is there and, where it names a heading of a paper, the heading too."""
    name, _, anchor = target.partition("#")
    file = Path(os.path.normpath(path.parent / name)) if name else path
    if not (tree.ROOT / file).exists():
        return False
    return not anchor or file.suffix != ".md" or anchor in anchors(file)


def test_every_link_to_a_file_of_ours_leads_somewhere() -> None:
    dead = [f"{path}: {target}" for path in papers() for target in links(path) if not leads_somewhere(path, target)]
    assert not dead, tree.report(dead)


def test_every_file_of_ours_that_a_paper_names_is_there() -> None:
    gone = [
        f"{path}: {match['name']}"
        for path in papers()
        for match in NAMED_FILE.finditer(tree.read(path))
        if not any((tree.ROOT / folder / match["name"]).exists() for folder in (".", path.parent))
    ]
    assert not gone, tree.report(gone)


def test_every_command_that_a_paper_names_is_one() -> None:
    known = {"app": commands(cli.parser()), "verifier": commands(verifier._parser())}
    unknown = [
        f"{path}: {match.group()}"
        for path in papers()
        for match in COMMAND.finditer(tree.read(path))
        if match["command"] not in known[match["program"]]
    ]
    assert not unknown, tree.report(unknown)


@pytest.mark.parametrize("command", ["pip install uv", "uv run -m app", "uv run pytest", "uv run pytest -m slow"])
def test_the_readme_gives_the_commands_that_are_promised(command: str) -> None:
    lines = [line for block in FENCE.findall(tree.read("README.md")) for line in block.splitlines()]
    assert command in lines


def test_ci_runs_the_tests_with_the_command_of_the_readme() -> None:
    for command in ('"tests" uv run pytest\n', '"slow tests" uv run pytest -m slow\n'):
        assert command in tree.read(".ci/run")
    assert ".ci/run" in tree.read("CONTRIBUTING.md")
    assert ".ci/run" in tree.read(".github/workflows/ci.yml")


def test_ci_runs_every_check() -> None:
    steps = tree.read(".ci/run")
    for command in (
        "ruff format --check",
        "ruff check",
        "mypy --strict",
        "lint-imports",
        "lock --check",
        "sdl_unchanged",
    ):
        assert re.search(rf'^step "[\w ]+" .*{re.escape(command)}', steps, re.MULTILINE), command


@pytest.mark.parametrize("script", [".ci/run", "scripts/lock"])
def test_a_script_can_be_run_in_a_fresh_clone(script: str) -> None:
    mode = subprocess.run(
        ["git", "ls-files", "--stage", script], cwd=tree.ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert mode.startswith("100755"), f"{script} is not committed as executable"


def test_every_decision_has_the_same_five_parts() -> None:
    decisions = [path for path in papers() if path.parent == Path("docs/decisions")]
    assert decisions
    for path in decisions:
        assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", path.name), path
        headings = re.findall(r"^## (.+)$", tree.read(path), re.MULTILINE)
        assert tuple(headings) == DECISION_PARTS, path


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = sorted(int(path.name[:4]) for path in papers() if path.parent == Path("docs/decisions"))
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_line_of_the_security_page_is_held_by_the_tests_that_it_names() -> None:
    named = {}
    for number, files in re.findall(r"^\| (\d+) \|.*\| ([^|]+) \|$", tree.read("docs/security.md"), re.MULTILINE):
        named[int(number)] = sorted(re.findall(r"`([^`]+)`", files))
    held: dict[int, set[str]] = {}
    for path in tree.python():
        for numbers in re.findall(
            r"^\s*(?:async )?def test_security_(\d+(?:_and_\d+)*)_", tree.read(path), re.MULTILINE
        ):
            for number in numbers.split("_and_"):
                held.setdefault(int(number), set()).add(str(path))
    assert named == {number: sorted(files) for number, files in sorted(held.items())}
    assert list(named) == list(range(1, len(named) + 1))
