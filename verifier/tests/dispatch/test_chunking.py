"""Which addresses are asked together."""

from hypothesis import given
from hypothesis import strategies as st

from verifier.dispatch import chunking


def _groups(**counts: int) -> dict[str, list[list[int]]]:
    groups: dict[str, list[list[int]]] = {}
    n = 0
    for host, count in counts.items():
        groups[host] = [[n + place] for place in range(count)]
        n += count
    return groups


def test_a_large_mail_host_is_cut_into_equal_chunks_of_its_own() -> None:
    chunks = chunking.cut(_groups(big=101), is_in_zone=False)
    assert [(chunk.mail_host, len(chunk.ns)) for chunk in chunks] == [("big", 34), ("big", 34), ("big", 33)]


def test_small_domains_are_packed_together() -> None:
    chunks = chunking.cut(_groups(**{f"h{n}": 10 for n in range(12)}), is_in_zone=True)
    assert [len(chunk.ns) for chunk in chunks] == [50, 50, 20]
    assert {chunk.mail_host for chunk in chunks} == {None}
    assert all(chunk.is_in_zone for chunk in chunks)


def test_a_pack_of_one_mail_host_keeps_its_name() -> None:
    assert chunking.cut(_groups(only=3), is_in_zone=False)[0].mail_host == "only"


def test_work_spreads_over_mail_hosts() -> None:
    chunks = chunking.cut(_groups(a=100, b=100), is_in_zone=False)
    assert [chunk.mail_host for chunk in chunks] == ["a", "b", "a", "b"]


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 200), max_size=20))
def test_every_address_is_in_exactly_one_chunk_of_at_most_fifty(counts: dict[str, int]) -> None:
    groups = _groups(**counts)
    chunks = chunking.cut(groups, is_in_zone=False)
    assert sorted(n for chunk in chunks for n in chunk.ns) == list(range(sum(counts.values())))
    assert all(len(chunk.ns) <= chunking.ADDRESSES_MAX for chunk in chunks)
    for chunk in chunks:
        if chunk.mail_host is not None:
            assert set(chunk.ns) <= {n for address in groups[chunk.mail_host] for n in address}
