"""Texts seen before: the table against a dictionary."""

import random

from services.seen import Seen


def test_it_remembers_what_a_dictionary_would() -> None:
    seen = Seen()
    told: dict[str, int] = {}
    texts = [f"person.{random.Random(n).randrange(20_000)}@example.com" for n in range(40_000)]
    for number, text in enumerate(texts, 1):
        assert seen.number(text, number) == told.setdefault(text, number)
    assert seen.count == len(told)


def test_texts_of_one_slot_are_told_apart() -> None:
    seen = Seen()
    like = [text for n in range(200_000) if hash(text := f"t{n}") & 1023 == 7][:100]
    assert [seen.number(text, n) for n, text in enumerate(like, 1)] == list(range(1, len(like) + 1))
    assert [seen.number(text, 1000) for text in like] == list(range(1, len(like) + 1))
