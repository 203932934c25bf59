"""The example file: as its script makes it, with the mix that its README tells."""

import csv
import io
import re
import runpy
from collections import Counter
from pathlib import Path

from email_validator import EmailNotValidError, validate_email

from verifier.engine.evidence import Status
from verifier.lab.catalogue import CATALOGUE
from verifier.lab.expectation import expected

FOLDER = Path(__file__).parents[3] / "examples"
CONTENT = (FOLDER / "contacts.csv").read_bytes()
ROWS = list(csv.DictReader(io.StringIO(CONTENT.decode("utf-8-sig"), newline="")))
EMAILS = [row["work_email"] for row in ROWS]


def normalised(text: str) -> str:
    """The address as duplicates are found: trimmed, the domain lower-cased and in A-labels."""
    try:
        address = validate_email(text.strip(), strict=True, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return text.strip()
    return f"{address.local_part}@{address.ascii_domain}"


def test_the_committed_file_is_what_the_script_makes() -> None:
    assert runpy.run_path(str(FOLDER / "make_contacts.py"))["content"]() == CONTENT


def test_it_has_a_thousand_rows_a_byte_order_mark_and_quoted_commas() -> None:
    assert CONTENT.startswith(b"\xef\xbb\xbfid,full_name,work_email,company,city\r\n")
    assert len(ROWS) == len({row["id"] for row in ROWS}) == 1_000
    assert any("," in row["company"] for row in ROWS)
    assert any(not row["full_name"].isascii() for row in ROWS)


def test_it_has_every_verdict_and_nothing_slow() -> None:
    assert {expected(email).status for email in EMAILS} == set(Status)
    slow = {domain.full_name for domain in CATALOGUE if domain.is_slow}
    assert not slow & {normalised(email).rpartition("@")[2] for email in EMAILS}


def test_some_rows_repeat_others_by_blanks_and_by_the_case_of_the_domain() -> None:
    blank = [email for email in EMAILS if email != email.strip()]
    loud = [email for email in EMAILS if email.rpartition("@")[2].isupper()]

    assert (len(blank), len(loud)) == (14, 13)
    plain = set(EMAILS)
    assert all(normalised(email) in {normalised(other) for other in plain - {email}} for email in blank + loud)


def test_the_readme_tells_the_mix() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")

    told = {
        (status, reason): int(rows) for status, reason, rows in re.findall(r"\| `(\w+)` \| `(\w+)` \| (\d+) ", readme)
    }

    assert told == Counter((str(status), str(reason)) for status, reason in map(expected, EMAILS))
    assert f"are {len({normalised(email) for email in EMAILS})} different addresses" in readme
