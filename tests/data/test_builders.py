"""Builders of embedded tasks: statements, ranked choices, clozes, spans, generated questions."""

from __future__ import annotations

import collections
import dataclasses
import random
from collections.abc import Callable

import pytest
from made_sources import build, document, source

from spactor.data.builders import choices, cloze, entries
from spactor.data.builders.choices import Item
from spactor.data.builders.cloze import GAP
from spactor.data.builders.source import MOST_RATIO, Occurrences, Words
from spactor.data.suite_metrics import squad
from spactor.data.suites import EMBEDDED

# What was read, against a search through the plain text.


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


# Statements on parameters, on documents by hand.


@pytest.mark.parametrize(
    ("text", "name", "aspect", "answer"),
    [
        ("axis : int, optional\n    The axis to turn around.", "axis", "type", "int"),
        ("x : {array-like, matrix} of shape (n,)\n  Data of the model.", None, None, None),
        ("Args:\n  size (`int`, *optional*): The size of it all.", "size", "type", "int"),
        (":param str text: what is to be parsed here", "text", "type", "str"),
        (":type text: list(str)\n:rtype: one of the things", "text", "type", "list"),
        ("Args:\n  lines: An iterable of lines to be read.", "lines", "type", "iterable"),
        ("Here *fp* must be a file opened for reading.", "fp", "type", "file"),
        ("It is a string that nobody has named.", None, None, None),
        ("Args:\n  depth: How deep to go. Defaults to 16.", "depth", "default", "16"),
        ("  depth -- how deep to go (default: None)", "depth", "default", "None"),
        ("As ever, depth defaults to 0.5, and no less.", "depth", "default", "0.5"),
        ("Its value defaults to the size of the array.", None, None, None),
    ],
)
def test_statements(text: str, name: str | None, aspect: str, answer: str) -> None:
    found = entries.statements(document(f"Do it.\n\n{text}"))
    if name is None:
        assert found == ()
    else:
        assert [(s.name, s.aspect, s.answer) for s in found] == [(name, aspect, answer)]
        assert answer in found[0].text


# Ranked choices that are answers of other questions: none is likelier than another.

ITEMS = [
    Item(f"id-{n}", f"question {n}", f"answer{n}", f"evidence {n}", frozenset({str(n)}))
    for n in range(20)
]


def test_groups_are_free_of_conflicts_and_use_each_item_once() -> None:
    twins = [dataclasses.replace(item, conflicts=frozenset({item.id[:4]})) for item in ITEMS]
    found = choices.groups(twins, 4)
    assert found == choices.groups(twins[::-1], 4)
    assert len(found) >= 2
    assert len({item.id for group in found for item in group}) == 4 * len(found)
    for group in found:
        assert len(frozenset().union(*(item.conflicts for item in group))) == 4


def test_equal_answers_share_no_group() -> None:
    twins = [Item(str(n), "q", "Same" if n % 2 else "same", "", frozenset()) for n in range(8)]
    assert choices.groups(twins, 2) == []


def test_every_choice_is_right_once_and_wrong_in_the_rest_of_its_group() -> None:
    found = choices.examples(choices.groups(ITEMS, 4), 18)
    assert len(found) == 16, "no group is cut"
    for start in range(0, 16, 4):
        group = found[start : start + 4]
        assert len({example.choices for example in group}) == 1
        assert sorted(example.targets for example in group) == sorted(group[0].choices)
    for example in found:
        number = example.id.removeprefix("id-")
        assert example.inputs == f"question {number}" and example.targets == f"answer{number}"


def test_a_sentence_without_its_end() -> None:
    kinds = ["rye", "oat", "corn", "rice"]
    sentences = [f"Take some {kind} flour first and last some {kind} salt" for kind in kinds]
    found = build("rainbow", "ending", source([document(f"{one}.") for one in sentences]), 10)
    assert len(found) == 4
    for example in found:
        assert example.inputs.endswith(GAP)
        assert example.inputs.replace(GAP, example.targets) == example.evidence in sentences
        assert set(example.choices) == {f"{kind} salt" for kind in kinds}


# Word clozes: the frequency of the word in the gap reveals nothing.

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


# Spans of statements, and the metric against SQuAD's rule.

TURN = document(
    "Turn it.\n\nParameters\n----------\naxis : int, optional\n    Axis to turn it around.\n"
    "speed : float\n    How fast it turns around. Defaults to 2.5.\n"
)


def test_the_prompt_of_a_question_is_exact() -> None:
    found = {e.inputs.split(" context: ")[0]: e for e in build("squad", "span", source([TURN]), 10)}
    assert {question: e.targets for question, e in found.items()} == {
        "question: type of axis": "int",
        "question: type of speed": "float",
        "question: default of speed": "2.5",
    }
    context = (
        "axis : int, optional Axis to turn it around. / "
        "speed : float How fast it turns around. Defaults to 2.5."
    )
    assert {e.inputs.split(" context: ")[1] for e in found.values()} == {context}


def test_every_answer_is_a_span_of_its_context() -> None:
    texts = [
        f"Do it {n}.\n\nArgs:\n  name{n}: A string for the {n}th time.\n" for n in range(30)
    ] + ["Do.\n\nArgs:\n  lines: An iterable of many lines."]
    found = build("squad", "span", source([document(text) for text in texts]), 30)
    assert all(e.targets in e.inputs.split(" context: ")[1] for e in found)
    counts = collections.Counter(e.targets for e in found)
    assert counts == {"string": 3, "iterable": 1}, "no answer is more than a tenth of all"


def test_the_metric_follows_the_rule_of_squad() -> None:
    # Case, punctuation and articles do not count.
    assert squad(["The int."], ["INT"]) == {"em": 100.0, "f1": 100.0}
    # "list of str" and "list": precision 1/1, recall 1/3, so F1 1/2; the other question is right.
    assert squad(["list of str", "5"], ["list", "5"]) == {"em": 50.0, "f1": 75.0}
    assert squad(["int"], [""]) == {"em": 0.0, "f1": 0.0}


# Generated questions, each answered a second time by other means.

GENERATED = {task.name: task for task in EMBEDDED["bbh"].tasks}

ORACLES: dict[str, Callable[[str], str]] = {
    "last": lambda question: question.rpartition(" ")[2],
    "second": lambda question: question.split()[1],
    "last_two": lambda question: " ".join(question.rsplit(" ", 2)[1:]),
    "reverse": lambda question: " ".join(reversed(question.split())),
}


@pytest.mark.parametrize("name", GENERATED)
def test_every_generated_answer_is_right(name: str) -> None:
    for split in ("train", "validation"):
        found = GENERATED[name].build(source(split=split), 400)
        assert len(found) == 400
        for example in found:
            question = example.inputs.removeprefix(f"{name}: ")
            assert example.targets == ORACLES[name](question), question


@pytest.mark.parametrize("name", GENERATED)
def test_seeds_matter_and_never_mix_the_splits(name: str) -> None:
    build = GENERATED[name].build
    first = build(source(seed=1), 60)
    assert first == build(source(seed=1), 60)
    questions = {example.inputs for example in first}
    fresh = {example.inputs for example in build(source(seed=2), 60)}
    assert len(questions - fresh) >= 6
    for seed in range(4):
        held_out = {e.inputs for e in build(source(split="validation", seed=seed), 32)}
        assert not held_out & (questions | fresh)


@pytest.mark.parametrize("name", GENERATED)
def test_no_generated_answer_is_very_common(name: str) -> None:
    answers = [example.targets for example in GENERATED[name].build(source(), 400)]
    assert max(map(answers.count, set(answers))) / len(answers) < 0.25
