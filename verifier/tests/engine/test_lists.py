"""The dated lists: each says where it is from and when, and is what it says."""

import hashlib
import re
from pathlib import Path

import pytest

from verifier import data
from verifier.engine import lists

FILES = sorted(Path(next(iter(data.__path__))).glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_list_has_a_source_a_date_and_the_hash_of_its_lines(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    head = "".join(line for line in lines if line.startswith("#"))
    body = [line for line in lines if not line.startswith("#")]
    assert "Source: " in head
    assert re.search(r"Taken: 20\d\d-\d\d-\d\d", head)
    assert f"SHA-256 of the lines after this head: {hashlib.sha256(''.join(body).encode()).hexdigest()}" in head
    assert "npm" not in head or "Licence: MIT" in head
    assert len(set(body)) == len(body)
    assert all(line == line.lower() for line in body)


def test_hosts_that_accept_and_bounce_are_known_by_any_name_below_theirs_with_the_date() -> None:
    table = lists.AcceptThenBounce(("Further.example.",))
    assert table.covers("mta5.am0.yahoodns.net")
    assert table.covers("mx.further.example")
    assert not table.covers("notyahoodns.net")
    assert not table.covers("mx.example")
    path = next(path for path in FILES if path.stem == "accept_then_bounce")
    body = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9.-]+ 20\d\d-\d\d-\d\d", line) for line in body)
    assert not [line for line in body if ".test" in line]
