"""The index of what was read, against a search through the plain text."""

from __future__ import annotations

import random

from spactor.data.builders.source import Occurrences


def test_it_finds_what_a_plain_search_finds() -> None:
    draw = random.Random(0)
    texts = [" ".join(draw.choices("abcd", k=draw.randrange(9))) for _ in range(60)]
    read = Occurrences(texts)
    plain = [f" {text} " for text in texts]
    answers = []
    for length in range(1, 8):
        for _ in range(100):
            sentence = " ".join(draw.choices("abcde", k=length))
            answers.append(sentence in read)
            assert answers[-1] == any(f" {sentence} " in text for text in plain)
    assert 100 < sum(answers) < 500


def test_no_words_occur_nowhere() -> None:
    for read in (Occurrences([]), Occurrences(["one"])):
        assert "" not in read and "..." not in read and "two" not in read
