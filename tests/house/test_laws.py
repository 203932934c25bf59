"""Each law can still be broken as its proof says: code that moved must not leave a proof behind that breaks nothing."""

from pathlib import Path

from tests.house import prove_laws, tree
from tests.house.laws import LAWS


def test_every_law_can_be_broken_in_a_copy_of_the_tree(tmp_path: Path) -> None:
    prove_laws.copy_tree(tmp_path)
    problems = []
    for law in LAWS:
        try:
            law.break_it(tmp_path)
        except LookupError as problem:
            problems.append(f"{law.name}: {problem}")
        prove_laws.undo(tmp_path)
    assert not problems, tree.report(problems)
