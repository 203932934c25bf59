"""Global ids: there and back, and nothing else is one."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db import ids

KINDS = st.sampled_from(["task", "user", "key", "result", "webhook_delivery"])
ALPHABET = st.sampled_from("0123456789ABCXYZabcxyz_-é ")


@given(KINDS, st.uuids())
def test_an_id_gives_its_uuid_back(kind: str, uuid: UUID) -> None:
    text = ids.global_id(kind, uuid)
    assert ids.parse(kind, text) == uuid
    assert text.startswith(f"{kind}_")
    assert len(text) == len(kind) + 23


@given(KINDS, st.uuids(), st.integers(1, 2**31 - 1))
def test_a_row_id_gives_parent_and_number_back(kind: str, uuid: UUID, number: int) -> None:
    assert ids.parse_row(kind, ids.row_id(kind, uuid, number)) == (uuid, number)


@given(st.integers(0, 2**128))
def test_base62_gives_its_number_back(number: int) -> None:
    assert ids.decode(ids.encode(number)) == number


@given(st.text(ALPHABET, max_size=30) | st.text(ALPHABET, min_size=20, max_size=24).map("task_{}".format))
def test_whatever_is_read_as_an_id_is_written_the_same(text: str) -> None:
    uuid = ids.parse("task", text)
    assert uuid is None or ids.global_id("task", uuid) == text
    row = ids.parse_row("result", text)
    assert row is None or ids.row_id("result", *row) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "_",
        "task",
        "task_",
        "task_" + "0" * 21,
        "task_" + "0" * 23,
        "task_" + "z" * 22,  # more than 128 bits
        "task_" + "0" * 21 + "-",
        "task_" + "0" * 21 + "é",
        "task_" + "0" * 21 + "٣",  # an Arabic digit
        " task_" + "0" * 22,
        "Task_" + "0" * 22,
        "user_" + "0" * 22,
        "task_task_" + "0" * 22,
        "0" * 22,
        "task_" + "0" * 22 + "\n",
    ],
)
def test_what_cannot_be_an_id_is_none(text: str) -> None:
    assert ids.parse("task", text) is None


@pytest.mark.parametrize("number", ["", "0", "01", "-1", "1-1", "zzzzzz", "1000000", "é", " 1"])
def test_what_cannot_be_a_row_number_is_none(number: str) -> None:
    assert ids.parse_row("result", f"result_{'0' * 22}-{number}") is None


def test_ids_grow_with_time_and_tell_it() -> None:
    before = datetime.now(UTC)
    made = [ids.new_uuid() for _ in range(200)]
    assert len(set(made)) == 200
    assert all(uuid.version == 7 and uuid.variant == "specified in RFC 4122" for uuid in made)
    times = [ids.made_at(uuid) for uuid in made]
    assert times == sorted(times)
    assert before - timedelta(milliseconds=1) <= times[0] <= times[-1] <= datetime.now(UTC)
