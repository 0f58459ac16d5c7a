"""Examples of the embedded suites: validation texts were not trained on, no rule guesses answers.

Of both splits, made from the standard library. What can be scored without reading is chance where
it must be, and elsewhere no more than words in common give.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
import re
from collections.abc import Callable

import numpy as np
import pytest
import sentencepiece
from made_sources import build, each_suite, each_task, source
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.naive_bayes import MultinomialNB

from spactor.data import suites
from spactor.data.builders.cloze import GAP
from spactor.data.builders.source import INPUT_PIECES
from spactor.data.corpus import Document, Split, words_of
from spactor.data.examples import Example

Examples = dict[tuple[str, str, suites.Split], list[Example]]
Corpus = dict[Split, list[Document]]

CLASSIFICATIONS = [
    (suite.name, task.name)
    for suite in suites.EMBEDDED.values()
    for task in suite.tasks
    if task.labels and task.name != "topic"  # There is one package alone.
]
RANKED = [
    (suite.name, task.name)
    for suite in suites.EMBEDDED.values()
    for task in suite.tasks
    if task.ranked and (suite.name != "mmlu" or task.name == "python")
]


def both(examples: Examples, suite: str, task: str) -> list[Example]:
    return [example for split in suites.SPLITS for example in examples[suite, task, split]]


def sigmas(right: float, count: int, chance: float) -> float:
    """How far from chance a number of right answers is, in standard deviations of guessing."""
    return (right - count * chance) / math.sqrt(count * chance * (1 - chance))


def common(one: str, other: str) -> int:
    """Words of four letters and more that two texts share; parts of names are words."""
    found = [
        {part.lower() for part in re.findall(r"[A-Z]?[a-z]{3,}", text)} for text in (one, other)
    ]
    return len(found[0] & found[1])


@pytest.mark.parametrize(("suite", "task"), CLASSIFICATIONS)
def test_one_answer_to_all_scores_chance(micro_examples: Examples, suite: str, task: str) -> None:
    labels = next(t.labels for t in suites.EMBEDDED[suite].tasks if t.name == task)
    for split in suites.SPLITS:
        counts = collections.Counter(e.targets for e in micro_examples[suite, task, split])
        assert set(counts) == set(labels) and len(set(counts.values())) == 1


def test_the_commonest_span_scores_a_tenth(micro_examples: Examples) -> None:
    for split in suites.SPLITS:
        found = micro_examples["squad", "span", split]
        ((_, count),) = collections.Counter(e.targets.casefold() for e in found).most_common(1)
        # A tenth of the candidates; those left out for their answer make it a little more.
        assert count <= max(1, math.ceil(0.15 * len(found)))


@pytest.mark.parametrize(("suite", "task"), RANKED)
@pytest.mark.parametrize("rule", ["longest", "shortest", "first", "last", "commonest", "rarest"])
def test_a_rule_without_the_sentence_scores_chance(
    micro_examples: Examples, corpus_splits: Corpus, suite: str, task: str, rule: str
) -> None:
    counts = occurrences(tuple(corpus_splits["train"]))
    key: Callable[[str], float] = {
        "longest": len,
        "shortest": lambda choice: -len(choice),
        "commonest": lambda choice: counts[choice],
        "rarest": lambda choice: -counts[choice],
    }.get(rule, lambda choice: 0.0)
    found = both(micro_examples, suite, task)
    right = 0.0
    for example in found:
        best = max(map(key, example.choices))
        ties = [choice for choice in example.choices if key(choice) == best]
        if rule == "first":
            right += sorted(example.choices)[0] == example.targets
        elif rule == "last":
            right += sorted(example.choices)[-1] == example.targets
        else:
            right += (example.targets in ties) / len(ties)
    assert sigmas(right, len(found), 1 / len(found[0].choices)) < 4


@functools.cache
def occurrences(documents: tuple[Document, ...]) -> collections.Counter[str]:
    return collections.Counter(word for document in documents for word in document.text.split())


@pytest.mark.parametrize("task", ["acceptability", "order"])
def test_neither_length_nor_single_words_give_the_label_away(
    micro_examples: Examples, task: str
) -> None:
    """Naive Bayes over the words of one text, trained on one half and scored on the other."""
    found = both(micro_examples, "glue", task)
    words = CountVectorizer(analyzer=features).fit_transform(
        [example.inputs.partition(": ")[2] for example in found]
    )
    labels = np.array([example.targets for example in found])
    halves = KFold(2, shuffle=True, random_state=0)
    guesses = cross_val_predict(MultinomialNB(), words, labels, cv=halves)
    # One-sided, 1 in 30,000: below chance is chance too.
    assert sigmas((guesses == labels).sum(), len(found), 1 / len(set(labels))) < 4


def features(text: str) -> set[str]:
    words = words_of(text)
    return {*words, f"length {len(words) // 3}"}


def towards_knowing(score: float, chance: float) -> float:
    """0 for guessing, 1 for knowing."""
    return (score - chance) / (1 - chance)


@pytest.mark.parametrize(("suite", "task"), RANKED)
def test_the_choice_with_most_words_in_common(
    micro_examples: Examples, suite: str, task: str
) -> None:
    found = both(micro_examples, suite, task)
    score = 0.0
    for example in found:
        shared = {choice: common(example.inputs, choice) for choice in example.choices}
        best = [choice for choice in shared if shared[choice] == max(shared.values())]
        score += (example.targets in best) / len(best) / len(found)
    assert towards_knowing(score, 1 / len(example.choices)) < 0.3


def test_the_first_of_several_statements_is_asked_for_no_more_often(
    micro_examples: Examples,
) -> None:
    first = []
    for example in both(micro_examples, "squad", "span"):
        question, context = example.inputs.split(" context: ")
        name = question.rpartition(" of ")[2]
        if " / " in context:
            first.append(re.match(rf"\W*{name}\b", context) is not None)
    assert first and sigmas(sum(first), len(first), 0.5) < 4


@pytest.fixture(scope="module")
def read(corpus_splits: Corpus) -> str:
    """Every text that was trained on, in normal form, end to end."""
    texts = [d.text for split in ("train", "suite_train") for d in corpus_splits[split]]
    return " | ".join(" ".join(words_of(text)) for text in texts)


@each_task
def test_the_evidence_of_validation_was_never_read(
    micro_examples: Examples, read: str, suite: suites.Suite, task: suites.EmbeddedTask
) -> None:
    for example in micro_examples[suite.name, task.name, "validation"]:
        assert not example.evidence or f" {' '.join(words_of(example.evidence))} " not in read


def test_there_is_something_to_drop(corpus_splits: Corpus) -> None:
    held_out = source(corpus_splits["suite_validation"], split="validation")
    everything = [example.evidence for example in build("cnndm", "summary", held_out, 1000)]
    some = dataclasses.replace(held_out, read=frozenset(everything[::2]))
    assert [example.evidence for example in build("cnndm", "summary", some, 1000)] == everything[
        1::2
    ]


@each_task
def test_no_question_is_in_both_splits(
    micro_examples: Examples, suite: suites.Suite, task: suites.EmbeddedTask
) -> None:
    def normal(inputs: str) -> str:
        # Signs and brackets are all that some generated questions differ in.
        return inputs if suite.name == "bbh" else " ".join(words_of(inputs))

    questions = [
        {normal(example.inputs) for example in micro_examples[suite.name, task.name, split]}
        for split in suites.SPLITS
    ]
    assert not questions[0] & questions[1]


@each_task
def test_nothing_is_cut(
    micro_examples: Examples,
    micro_model: bytes,
    suite: suites.Suite,
    task: suites.EmbeddedTask,
) -> None:
    processor = sentencepiece.SentencePieceProcessor(model_proto=micro_model)
    for split in suites.SPLITS:
        for example in micro_examples[suite.name, task.name, split]:
            # A sentinel is one piece, perhaps after that of a space.
            gaps = example.inputs.count(GAP)
            pieces = len(processor.encode(example.inputs.replace(GAP, ""))) + 2 * gaps
            assert pieces <= INPUT_PIECES and gaps == task.ranked
            for answer in (example.targets, *example.choices):
                assert len(processor.encode(answer)) + 1 <= task.target_length


@each_task
def test_labels_are_single_pieces(
    micro_model: bytes, suite: suites.Suite, task: suites.EmbeddedTask
) -> None:
    processor = sentencepiece.SentencePieceProcessor(model_proto=micro_model)
    assert all(len(processor.encode(label)) == 1 for label in task.labels)


@each_suite
def test_sizes_are_large_enough_to_measure_and_small_enough_to_run(suite: suites.Suite) -> None:
    least = 100 if suite.name == "mmlu" else 200
    assert all(task.limits["validation"] >= least for task in suite.tasks)
    assert sum(task.limits["validation"] for task in suite.tasks) <= 1200
    assert all(task.limits["train"] <= 4000 for task in suite.tasks)
