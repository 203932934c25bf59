"""The laws that no linter knows: names, sizes, words, reasons, and what may stand in a file that strangers read."""

import ast
import importlib.metadata
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import tree

FILE_LINES_MAX = 400  # 300 is the aim; past it a file becomes a folder of the same name
FUNCTION_LINES_MAX = 60
NAMES_WITHOUT_MEANING = {"utils", "util", "helpers", "helper", "manager", "managers", "base", "common", "misc"}

# Each pattern is broken by a bracket, so that this file does not find itself.
# zipfile raises the error of the unfinished for what it cannot unpack, and that may be caught.
UNFINISHED = re.compile(r"\b(?:TO[D]O|FIX[M]E|raise NotImplemente[d]Error)\b")
SKIPPED = re.compile(r"\bpytest\.(?:mark\.)?(?:ski[p]|skipi[f]|xfai[l]|importorski[p])\b")
MOCKED = re.compile(r"\bunittest\.moc[k]\b|\bfrom unittest import moc[k]\b|\bmocke[r]\b")
HOST_OF_A_REGISTRY = re.compile(
    r"pyp[i]\.org|pythonhoste[d]\.org|registry\.npmj[s]\.org|registry\.yarnpk[g]\.com|ghc[r]\.io|docke[r]\.io"
    r"|--(?:extra-)?index-ur[l]\b|--find-link[s]\b",
)
PATH_OF_A_MACHINE = re.compile(r"(?<![\w.:/*-])/(?:home|Users|root|wor[k])/[\w.]")
SUPPRESSED = re.compile(r"#\s*(?:(?:ruff:\s*)?noq[a]|type:\s*ignor[e]|mypy:)")
EXPLAINED = re.compile(
    r"# noq[a]: [A-Z]+\d+(?:, [A-Z]+\d+)* - [`\w]|# type: ignor[e]\[[a-z-]+(?:, [a-z-]+)*\]  # (?!noq[a])[`\w]"
)


def lines(paths: tuple[Path, ...], pattern: re.Pattern[str]) -> list[str]:
    """Return `file:line: text` of every line in which the pattern is found."""
    return [
        f"{path}:{number}: {line.strip()[:160]}"
        for path in paths
        for number, line in enumerate(tree.read(path).splitlines(), start=1)
        if pattern.search(line)
    ]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function of a file, methods and inner ones included."""
    for node in ast.walk(ast.parse(tree.read(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def tells_a_story(path: Path) -> bool:
    """Tell whether the functions of a file may be long: those of tests, whose stories are, and of migrations."""
    return bool({"tests", "migrations"} & set(path.parts))


@pytest.mark.parametrize("name", tree.PACKAGES)
def test_no_dependency_ships_a_package_named_like_one_of_ours(name: str) -> None:
    assert importlib.metadata.packages_distributions().get(name) is None
    assert (tree.ROOT / name / "__init__.py").exists()


def test_a_file_is_short_enough_to_be_read_at_once() -> None:
    sizes = {path: len(tree.read(path).splitlines()) for path in tree.python() if "migrations" not in path.parts}
    long = [f"{path}: {size} lines (max {FILE_LINES_MAX})" for path, size in sizes.items() if size > FILE_LINES_MAX]
    assert not long, tree.report(long)


def test_a_function_is_short_enough_to_be_seen_at_once() -> None:
    long = [
        f"{path}:{node.lineno}: {node.name} has {size} lines (max {FUNCTION_LINES_MAX})"
        for path in tree.python()
        if not tells_a_story(path)
        for node in functions(path)
        if (size := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert not long, tree.report(long)


def test_a_module_is_named_for_what_it_holds() -> None:
    empty = [str(path) for path in tree.python() if {path.stem, *path.parent.parts} & NAMES_WITHOUT_MEANING]
    assert not empty, tree.report(empty)


def test_nothing_is_left_unfinished() -> None:
    found = lines(tree.ours(), UNFINISHED)
    assert not found, tree.report(found)


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    found = lines(tree.python(), SKIPPED)
    assert not found, tree.report(found)


def test_nothing_of_ours_is_mocked() -> None:
    found = lines(tree.python(), MOCKED)
    assert not found, tree.report(found)


def test_no_file_names_the_host_of_a_registry() -> None:
    found = lines(tree.files(), HOST_OF_A_REGISTRY)
    assert not found, tree.report(found)


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    found = lines(tree.ours(), PATH_OF_A_MACHINE)
    assert not found, tree.report(found)


def test_whatever_a_checker_is_told_to_pass_over_says_which_rule_and_why() -> None:
    bare = [
        f"{path}:{number}: {line.strip()[-160:]}"
        for path in tree.python()
        for number, line in enumerate(tree.read(path).splitlines(), start=1)
        if len(SUPPRESSED.findall(line)) > len(EXPLAINED.findall(line))
    ]
    assert not bare, tree.report(bare)


def test_each_rule_that_is_switched_off_has_its_reason_beside_it() -> None:
    section = tree.read("pyproject.toml").split("[tool.ruff.lint]")[1].split("[tool.mypy]")[0]
    bare = [
        line for line in section.splitlines() if re.match(r'\s+"[A-Z]+\d*",', line) and not re.search(r",\s+# \S", line)
    ]
    assert not bare, tree.report(bare)


def test_each_import_contract_has_a_name_of_its_own() -> None:
    names = [contract.get("name", "") for contract in tree.project()["tool"]["importlinter"]["contracts"]]
    assert all(names)
    assert len(names) == len(set(names))
    assert set(tree.project()["tool"]["importlinter"]["root_packages"]) == set(tree.PACKAGES)


def test_every_dependency_has_its_line_in_the_decision_about_dependencies() -> None:
    paper = tree.read("docs/decisions/0009-dependencies.md")
    listed = [*tree.project()["project"]["dependencies"], *tree.project()["dependency-groups"]["dev"]]
    names = [re.split(r"[\[=<>~ ]", requirement)[0] for requirement in listed]
    missing = [name for name in names if not re.search(rf"^\| {re.escape(name)} \|", paper, re.MULTILINE)]
    assert not missing, tree.report(missing)
