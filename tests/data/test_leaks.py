"""What a model must not have seen, and what it must see whole."""

from __future__ import annotations

import dataclasses

import pytest
import sentencepiece
from made_sources import build, source

from spactor.data import suites
from spactor.data.builders.cloze import GAP
from spactor.data.builders.source import INPUT_PIECES
from spactor.data.corpus import Document, Split, words_of
from spactor.data.examples import Example

Examples = dict[tuple[str, str, suites.Split], list[Example]]
Corpus = dict[Split, list[Document]]

TASKS = [(suite, task) for suite in suites.EMBEDDED.values() for task in suite.tasks]
each_task = pytest.mark.parametrize(
    ("suite", "task"), TASKS, ids=[f"{suite.name}-{task.name}" for suite, task in TASKS]
)


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


@pytest.mark.parametrize("suite", suites.EMBEDDED.values(), ids=suites.EMBEDDED)
def test_sizes_are_large_enough_to_measure_and_small_enough_to_run(suite: suites.Suite) -> None:
    least = 100 if suite.name == "mmlu" else 200
    assert all(task.limits["validation"] >= least for task in suite.tasks)
    assert sum(task.limits["validation"] for task in suite.tasks) <= 1200
    assert all(task.limits["train"] <= 4000 for task in suite.tasks)
