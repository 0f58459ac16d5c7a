"""The embedded suites: exact prompts, balance, leaks, metrics, and seqio's evaluation."""

from __future__ import annotations

import collections
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from made_sources import build, document, each_task, source
from made_sources import task as task_named

from spactor.data import manifest, suite_metrics, suite_registry, suites
from spactor.data.builders import passages, summaries
from spactor.data.corpus import Document, Split


def examples(folder: Path, suite: str, task: str, split: str) -> list[dict[str, str]]:
    lines = (folder / manifest.examples_file(suite, task, split)).read_text().splitlines()
    return [json.loads(line) for line in lines]


OVEN = document(
    "Bring the stove slowly to its working temperature.\n\n"
    "Args:\n  degrees: temperature of the stove.\n  minutes: how long it may take.",
    name="heat",
)


def test_the_prompt_of_a_summary_is_exact() -> None:
    (example,) = build("cnndm", "summary", source([OVEN]), 10)
    assert example.inputs == (
        "summarize: Args: degrees: temperature of the stove. minutes: how long it may take."
    )
    assert example.targets == "Bring the stove slowly to its working temperature"
    assert example.id == f"summary-{OVEN.digest[:16]}"


def bread(kind: str, module: str) -> Document:
    return document(
        f"Bake some {kind} bread in the oven.\n\n"
        f"The {kind} flour comes first, then water, then a long wait.",
        module=module,
    )


KINDS = ["white", "brown", "rye", "oat", "corn", "spelt", "rice", "wheat", "millet", "potato"]
LOAVES = [bread(kind, f"bakery.{kind}") for kind in KINDS]


@pytest.mark.parametrize("task", ["acceptability", "order"])
def test_a_sentence_is_right_or_has_its_words_in_another_order(task: str) -> None:
    found = build("glue", task, source(LOAVES), 100)
    texts = {f"{task} sentence: bake some {kind} bread in the oven" for kind in KINDS}
    labels = collections.Counter(example.targets for example in found)
    assert labels["True"] == labels["False"] >= 2
    for example in found:
        assert (example.inputs in texts) == (example.targets == "True")
        assert any(sorted(example.inputs.split()) == sorted(text.split()) for text in texts)


def test_topics_have_equal_shares_and_are_not_named() -> None:
    packages = ("python", "tensorflow", "transformers", "scipy", "nltk")
    documents = [
        dataclasses.replace(loaf, package=packages[n % 5]) for n, loaf in enumerate(LOAVES)
    ]
    naming = document("Ask SciPy for some more bread at the counter.")
    documents.append(dataclasses.replace(naming, package="scipy"))
    found = build("glue", "topic", source(documents), 7)
    labels = dict(zip(packages, task_named("glue", "topic").labels, strict=False))
    assert sorted(example.targets for example in found) == sorted(labels.values())
    package_of = {f"topic: {' '.join(d.text.split())}": d.package for d in documents[:-1]}
    for example in found:
        assert example.targets == labels[package_of[example.inputs]]


def test_shuffling_is_local() -> None:
    words = ["one", "two", "three", "four", "five", "six", "seven"]
    shuffled = (summaries.shuffled(" ".join(words), "seed") or "").split()
    assert [sorted(shuffled[i : i + 3]) for i in (0, 3, 6)] == [
        ["one", "three", "two"],
        ["five", "four", "six"],
        ["seven"],
    ]
    assert shuffled[:3] != words[:3] and shuffled[3:6] != words[3:6]
    assert summaries.shuffled("tick tick tick", "seed") is None


@pytest.mark.parametrize(
    "text",
    [
        "Heat the stove slowly to its working temperature.",  # quotes the name
        "Bring it up.",  # too short
        "Bring x[0] += 1 :: up to `y` ** 2",  # no prose
        "The following things are to be done:",  # not a sentence
        " ".join(["word"] * 20),  # too long
    ],
)
def test_summaries_that_give_no_example(text: str) -> None:
    assert passages.summary_of(document(text, name="heat")) is None


def test_bodies_that_give_no_example() -> None:
    summary = "Bring the stove slowly to heat"
    quoting = document(f"{summary}.\n\nThis will bring the stove  slowly to heat, and no more.")
    assert passages.body_of(quoting, summary) is None
    assert passages.body_of(document(f"{summary}.\n\nToo short."), summary) is None
    assert passages.body_of(document(f"{summary}."), summary) is None
    long = document(f"{summary}.\n\n{'word ' * 100}")
    assert passages.body_of(long, summary) == " ".join(["word"] * 48)


@each_task
def test_contract(prepared: Path, suite: suites.Suite, task: suites.EmbeddedTask) -> None:
    train, validation = (
        examples(prepared, suite.name, task.name, split) for split in ("train", "validation")
    )
    if task.name == "topic" or (suite.name == "mmlu" and task.name != "python"):
        assert not train and not validation, "the corpus holds the standard library alone"
        return
    assert 1 < len(validation) <= task.limits["validation"]
    assert 10 < len(train) <= task.limits["train"]
    every = train + validation
    keys = {"id", "inputs", "targets", "evidence", *(["choices"] if task.ranked else [])}
    assert all(set(example) == keys for example in every)
    assert all(example["targets"] in example["choices"] for example in every if task.ranked)
    for key in ("id", "inputs"):
        assert len({example[key] for example in every}) == len(every)
    assert all(
        task.ranked or (metric.function or metric.name) in suite_metrics.FUNCTIONS
        for metric in task.metrics
    )
    assert all(fact.version for fact in task.metrics)


@each_task
def test_examples_do_not_depend_on_document_order(
    corpus_splits: dict[Split, list[Document]], suite: suites.Suite, task: suites.EmbeddedTask
) -> None:
    documents = corpus_splits["suite_train"]
    found = task.build(source(documents), 24)
    assert found == task.build(source(documents[::-1]), 24)
    assert len(found) <= 24


def test_no_words_of_a_summary_are_shared_between_splits(prepared: Path) -> None:
    def words(split: str) -> set[tuple[str, ...]]:
        return {
            tuple(sorted(example["inputs"].split()))
            for example in examples(prepared, "glue", "acceptability", split)
        }

    assert not words("train") & words("validation")


def test_metrics_on_predictions_by_hand() -> None:
    # Two of four right, one answer no label.
    targets, predictions = [1, 1, 0, 0], [1, -1, 0, 1]
    assert suite_metrics.accuracy(targets, predictions) == {"accuracy": 50.0}
    # The invalid answer counts as the wrong label: tp 1, fp 1, fn 1.
    assert suite_metrics.f1(targets, predictions) == {"f1": 50.0}
    assert suite_metrics.matthews_corrcoef([1, 1, 0, 0], [1, 0, 0, 0]) == {
        "matthews_corrcoef": pytest.approx(100 / np.sqrt(3))
    }
    assert suite_metrics.matthews_corrcoef([1, 0], [1, 1]) == {"matthews_corrcoef": 0.0}
    assert suite_metrics.f1([1, 0], [0, 0]) == {"f1": 0.0}
    # "the cat sat" against "the cat ran": 2 of 3 words, 1 of 2 pairs, 2 in order.
    assert suite_metrics.rouge(["the cat sat"], ["the cat ran"]) == {
        "rouge1": pytest.approx(200 / 3),
        "rouge2": pytest.approx(50),
        "rougeL": pytest.approx(200 / 3),
    }


def test_rouge_is_repeatable_and_leaves_the_random_state_alone() -> None:
    targets = ["the cat sat", "a dog", "some bread"]
    predictions = ["the cat", "a dog ran", "no"]
    rouge = suite_metrics.recorded(suite_metrics.rouge, {})
    state = np.random.get_state()[1].tolist()
    assert rouge(targets, predictions) == rouge(targets, predictions)
    assert np.random.get_state()[1].tolist() == state


def test_an_answer_that_is_no_label() -> None:
    labels, answers = ("mismatch", "match"), ("match", "mismatch", "mat")
    assert [suite_registry.label_index(text, labels) for text in answers] == [1, 0, -1]
    assert suite_registry.label_index("anything", ()) == "anything"
