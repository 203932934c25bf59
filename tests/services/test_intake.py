"""From rows to distinct addresses: duplicates, malformed texts, parts of ten thousand."""

import pytest

from services import intake
from services.errors import TooLarge
from services.intake import InputRow, Intake, inline_rows


def test_blanks_and_the_domains_case_make_no_second_address() -> None:
    gathered = Intake(addresses_max=10)
    addresses, rows = gathered.take(
        inline_rows(
            ["ann@example.com", " ann@EXAMPLE.com\t", "Ann@example.com", "ann@bücher.de", "ann@xn--bcher-kva.de"]
        )
    )
    assert addresses == [
        (1, 1, "ann@example.com", "example.com", None),
        (3, 1, "Ann@example.com", "example.com", None),
        (4, 1, "ann@xn--bcher-kva.de", "xn--bcher-kva.de", None),
    ]
    assert [row[:2] for row in rows] == [(1, 1), (2, 1), (3, 3), (4, 4), (5, 4)]
    assert rows[1][2] == " ann@EXAMPLE.com\t"  # as sent
    assert (gathered.row_count, gathered.address_count, gathered.domain_count) == (5, 3, 2)


def test_malformed_texts_are_addresses_of_no_part() -> None:
    gathered = Intake(addresses_max=10)
    addresses, _ = gathered.take(inline_rows(["", "nonsense", "  ", " nonsense ", "Nonsense"]))
    assert [address[:4] for address in addresses] == [(n, None, None, None) for n in (1, 2, 5)]
    assert [address[4] for address in addresses][1:] == ["An email address must have an @-sign."] * 2
    assert (gathered.malformed_count, gathered.well_formed_count, gathered.malformed_row_count) == (3, 0, 5)


def test_duplicates_are_seen_across_batches() -> None:
    gathered = Intake(addresses_max=10)
    gathered.take(inline_rows(["a@example.com", "bad"]))
    addresses, rows = gathered.take([InputRow(3, "a@example.com"), InputRow(4, "bad"), InputRow(5, "b@example.com")])
    assert [a[0] for a in addresses] == [5]
    assert [row[1] for row in rows] == [1, 2, 5]


def test_addresses_are_cut_into_parts_of_ten_thousand_without_the_malformed() -> None:
    gathered = Intake(addresses_max=40_000)
    texts = [f"p{n}@example.com" if n % 5 else f"bad {n}" for n in range(31_250)]
    addresses, _ = gathered.take(inline_rows(texts))
    assert intake.part_sizes(gathered.well_formed_count) == [10_000, 10_000, 5_000]
    by_part = [sum(1 for a in addresses if a[1] == part) for part in (1, 2, 3, None)]
    assert by_part == [10_000, 10_000, 5_000, 6_250]


def test_more_distinct_addresses_than_allowed_are_too_large_but_duplicates_are_not() -> None:
    gathered = Intake(addresses_max=2)
    gathered.take(inline_rows(["a@example.com", "bad"] * 10))
    with pytest.raises(TooLarge):
        gathered.take(inline_rows(["c@example.com"]))


def test_what_postgresql_cannot_hold_is_replaced_everywhere() -> None:
    row = InputRow(1, "a\0b@example.com", "re\0f", ["c\0ell", "\ud800x"])
    (_, (record,)) = Intake(addresses_max=1).take([row])
    assert record == (1, 1, "a\ufffdb@example.com", "re\ufffdf", ["c\ufffdell", "?x"])


def test_a_long_text_is_cut_for_the_record_and_a_carried_cell_is_not() -> None:
    note = "n" * 20_000
    (_, (record,)) = Intake(addresses_max=1).take([InputRow(1, "x" * 5000, None, ["x" * 5000, note])])
    assert len(record[2]) == intake.INPUT_CHARACTERS_MAX
    assert record[4] == ["x" * 5000, note]
