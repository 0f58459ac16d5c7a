"""Word clozes: the gap is a word of a held-out sentence, and its frequency reveals nothing."""

from __future__ import annotations

import collections
import dataclasses

from made_sources import document, source

from spactor.data.builders import cloze
from spactor.data.builders.source import MOST_RATIO, Words

LETTERS = "abcdefghijklmnopqrstuvwxyz"
COUNTS = {
    f"{a}{b}{c}w": 100 + 3 * n + k
    for n, a in enumerate(LETTERS)
    for k, (b, c) in enumerate(("xy", "yz", "zx"))
}
WORDS = Words([" ".join([word] * count) for word, count in COUNTS.items()])


def test_similar_words_have_every_rank_equally_often() -> None:
    """Of 40 words far from both ends, 50 draws each: 2,000 ranks, 4σ is 78 around 500."""
    middle = sorted(COUNTS, key=lambda word: COUNTS[word])[20:60]
    ranks: collections.Counter[int] = collections.Counter()
    for word in middle:
        for salt in map(str, range(50)):
            wrong = WORDS.similar(word, 3, salt)
            assert wrong is not None and word not in wrong and len(set(wrong)) == 3
            assert wrong == WORDS.similar(word, 3, salt)
            ranks[sum(COUNTS[other] > COUNTS[word] for other in wrong)] += 1
            for other in wrong:
                assert 1 / MOST_RATIO <= COUNTS[other] / COUNTS[word] <= MOST_RATIO
    assert all(abs(ranks[rank] - 500) < 78 for rank in range(4)), ranks


def test_words_of_the_sentence_and_forms_of_one_word_are_not_offered() -> None:
    words = Words(["value values valued index shape"] * 50)
    assert words.similar("index", 1, "s", avoid={"shape", "value", "values", "valued"}) is None
    for salt in map(str, range(20)):
        found = words.similar("value", 2, salt)
        assert found is None or set(found) == {"index", "shape"}


def test_a_cloze_is_a_sentence_with_its_word_taken_out() -> None:
    names = [f"{a}{b}w" for a in LETTERS for b in ("xy", "yz")]
    text = [f"Here {' '.join(names[n : n + 9])}" for n in range(0, 45, 3)]
    made_from = dataclasses.replace(
        source([document(f"{one}. {one}.\n\nToo short a sentence.") for one in text]),
        words=Words([" ".join(names * 50)]),
    )
    found = cloze.clozes(made_from, 100)
    assert len(found) > 5 and found == cloze.clozes(made_from, 100)
    assert found[:3] == cloze.clozes(made_from, 3)
    assert len({example.evidence for example in found}) == len(found)
    for example in found:
        assert example.inputs.replace(cloze.GAP, example.targets) == example.evidence in text
        assert example.targets in example.choices == tuple(sorted(set(example.choices)))
        wrong = set(example.choices) - {example.targets}
        assert len(wrong) == 3 and not wrong & set(example.evidence.split())
    assert cloze.clozes(dataclasses.replace(made_from, read=text), 100) == []
    assert cloze.clozes(made_from, 100, pieces=9) == []
