"""The metrics of the benchmarks against second implementations, on many random answers."""

from __future__ import annotations

import collections
import re
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from analysis.schema.quantities import DIAGNOSTICS
from spactor.data import host_tensorflow, suite_registry
from spactor.data.suites import BENCHMARKS
from spactor.data.suites.released import LETTERS

WORDS = ("the", "a", "rye", "bread", "rises", "slowly", "Ada", "bakes", "it", "oven,", "an")


@pytest.fixture(scope="module", autouse=True)
def registered(data_folder: Path) -> None:
    vocabulary = host_tensorflow.seqio().ByteVocabulary()
    for name in ("glue", "superglue", "squad", "cnndm", "rainbow", "bbh", "mmlu"):
        suite_registry.register_released(made_up.shrunk(BENCHMARKS[name]), data_folder, vocabulary)


def everything(suite: str, task: str, targets: Any, predictions: Any) -> dict[str, float]:
    """All metrics of a task, and what is said of the use of its labels."""
    registered = host_tensorflow.seqio().get_mixture_or_task(
        BENCHMARKS[suite].registered_name(task)
    )
    found: dict[str, float] = {}
    for metric in registered.metric_fns:
        found |= metric(targets, predictions)
    return found


def measured(suite: str, task: str, targets: Any, predictions: Any) -> dict[str, float]:
    """All metrics of a task."""
    found = everything(suite, task, targets, predictions)
    return {name: value for name, value in found.items() if name not in DIAGNOSTICS}


def labels(seed: int, classes: int, invalid: bool = True) -> tuple[list[int], list[int]]:
    """Targets of all classes, and answers some of which are no label (-1)."""
    rng = np.random.default_rng(seed)
    targets = np.concatenate([np.arange(classes), rng.integers(0, classes, 60)])
    answers = np.where(
        rng.random(len(targets)) < 0.6, targets, rng.integers(0, classes, len(targets))
    )
    if invalid:
        answers = np.where(rng.random(len(targets)) < 0.1, -1, answers)
    return targets.tolist(), answers.tolist()


def matthews(targets: Sequence[int], answers: Sequence[int]) -> float:
    """The correlation of more than two classes: covariances of the indicators."""
    classes = sorted({*targets, *answers})
    indicators = [np.equal.outer(side, classes).astype(float) for side in (targets, answers)]
    x, y = (side - side.mean(axis=0) for side in indicators)
    return float(100 * (x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))


def f1_of(targets: Sequence[int], answers: Sequence[int], label: int) -> float:
    """Twice the hits over all that are or were called ``label``."""
    hits = sum(t == a == label for t, a in zip(targets, answers, strict=True))
    return 200 * hits / (targets.count(label) + answers.count(label))


def correct(targets: Sequence[Any], answers: Sequence[Any]) -> float:
    return 100 * sum(t == a for t, a in zip(targets, answers, strict=True)) / len(targets)


SEEDS = pytest.mark.parametrize("seed", range(4))


@SEEDS
def test_matthews(seed: int) -> None:
    targets, answers = labels(seed, 2)
    value = measured("glue", "cola", targets, answers)["matthews_corrcoef"]
    assert value == pytest.approx(matthews(targets, answers))
    targets, answers = labels(seed, 2, invalid=False)
    value = measured("glue", "cola", targets, answers)["matthews_corrcoef"]
    assert value == pytest.approx(100 * np.corrcoef(targets, answers)[0, 1])


@SEEDS
@pytest.mark.parametrize("task", ["mrpc", "qqp"])
def test_f1_and_accuracy(task: str, seed: int) -> None:
    targets, answers = labels(seed, 2)
    # No label counts as the wrong one.
    called = [1 - t if a == -1 else a for t, a in zip(targets, answers, strict=True)]
    assert measured("glue", task, targets, answers) == pytest.approx(
        {"f1": f1_of(targets, called, 1), "accuracy": correct(targets, answers)}
    )
    assert f1_of(targets, called, 1) == pytest.approx(
        100 * sklearn.metrics.f1_score(targets, called)
    )


ACCURACIES = {
    (suite.name, task.name): task.metrics[0].name
    for suite in BENCHMARKS.values()
    for task in suite.tasks
    if len(task.metrics) == 1 and task.metrics[0].name.startswith("accuracy")
}


@pytest.mark.parametrize(("suite", "task"), ACCURACIES, ids="-".join)
def test_accuracy(suite: str, task: str) -> None:
    targets: Sequence[Any]
    answers: Sequence[Any]
    targets, answers = labels(1, 3)
    if suite in ("rainbow", "mmlu", "bbh"):
        targets, answers = [list(map(str, side)) for side in (targets, answers)]
    expected = {ACCURACIES[suite, task]: correct(targets, answers)}
    assert measured(suite, task, targets, answers) == pytest.approx(expected)
    assert correct(targets, answers) == pytest.approx(
        100 * sklearn.metrics.accuracy_score(targets, answers)
    )


@SEEDS
def test_correlations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets = (rng.integers(0, 26, 50) / 5).tolist()
    # Many ties, as in answers to one decimal.
    answers = np.round(np.asarray(targets) + rng.normal(size=50)).tolist()
    ranks = [scipy.stats.rankdata(side) for side in (targets, answers)]
    assert measured("glue", "stsb", targets, answers) == pytest.approx(
        {
            "pearson_corrcoef": 100 * np.corrcoef(targets, answers)[0, 1],
            "spearman_corrcoef": 100 * np.corrcoef(*ranks)[0, 1],
        }
    )
    assert np.corrcoef(*ranks)[0, 1] == pytest.approx(scipy.stats.spearmanr(targets, answers)[0])


def check_use_of_labels(found: Mapping[str, float], answers: Sequence[int]) -> None:
    assert found["invalid_rate"] == pytest.approx(100 * np.mean(np.equal(answers, -1)))
    assert found["predicted_classes"] == len(np.unique(answers))


@SEEDS
def test_use_of_labels(seed: int) -> None:
    targets, answers = labels(seed, 3)
    check_use_of_labels(everything("superglue", "cb", targets, answers), answers)
    letters = [["(A)", "(B)", "(C)", "none"][label] for label in answers]
    right = [LETTERS[target] for target in targets]
    check_use_of_labels(everything("mmlu", "anatomy", right, letters), answers)
    targets, answers = labels(seed, 2)
    grouped = [{"value": t, "group": 0} for t in targets], [{"value": a} for a in answers]
    check_use_of_labels(everything("superglue", "multirc", *grouped), answers)


def test_a_whole_name_that_an_item_is_answered_with_is_no_invalid_answer() -> None:
    """Three items of BBH are, since their names were cut at a comma."""
    targets, answers = ["(A)", "Up, Up", "(B)"], ["(A)", "Up, Up", "Up, Up"]
    found = everything("bbh", "ruin_names", targets, answers)
    assert found == pytest.approx(
        {"accuracy": 200 / 3, "invalid_rate": 100 / 3, "predicted_classes": 3}
    )


def test_a_collapsed_model_correlates_with_nothing() -> None:
    zeros = {"pearson_corrcoef": 0.0, "spearman_corrcoef": 0.0}
    assert measured("glue", "stsb", [1.0, 2.0, 3.0], [-1.0, -1.0, -1.0]) == zeros


@SEEDS
def test_average_f1_of_three_classes(seed: int) -> None:
    targets, answers = labels(seed, 3)
    macro = np.mean([f1_of(targets, answers, label) for label in range(3)])
    assert measured("superglue", "cb", targets, answers) == pytest.approx(
        {"mean_3class_f1": macro, "accuracy": correct(targets, answers)}
    )


@SEEDS
def test_f1_over_answers_and_exact_match_over_questions(seed: int) -> None:
    targets, answers = labels(seed, 2)
    questions = [number % 13 for number in range(len(targets))]
    called = [1 - t if a == -1 else a for t, a in zip(targets, answers, strict=True)]
    wrong = {q for q, t, a in zip(questions, targets, answers, strict=True) if t != a}
    found = measured(
        "superglue",
        "multirc",
        [{"value": t, "group": q} for t, q in zip(targets, questions, strict=True)],
        [{"value": a} for a in answers],
    )
    assert found == pytest.approx(
        {"f1": f1_of(targets, called, 1), "exact_match": 100 * (13 - len(wrong)) / 13}
    )


def official(text: str) -> list[str]:
    """Words that SQuAD's rule compares: lower case, no punctuation, no articles."""
    bare = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()


def span_scores(golds: Sequence[Sequence[str]], answers: Sequence[str]) -> dict[str, float]:
    """Exact match and F1 over words, each the best over all right answers."""
    exact, overlap = [], []
    for alternatives, answer in zip(golds, answers, strict=True):
        said = official(answer)
        f1s = []
        for gold in map(official, alternatives):
            common = (collections.Counter(gold) & collections.Counter(said)).total()
            f1s.append(2 * common / (len(gold) + len(said)) if common else 0.0)
        exact.append(any(official(gold) == said for gold in alternatives))
        overlap.append(max(f1s))
    return {"em": 100 * float(np.mean(exact)), "f1": 100 * float(np.mean(overlap))}


def phrases(rng: np.random.Generator, count: int, longest: int = 4) -> list[str]:
    return [" ".join(rng.choice(WORDS, rng.integers(1, longest))) for _ in range(count)]


@SEEDS
def test_squad(seed: int) -> None:
    rng = np.random.default_rng(seed)
    golds = [phrases(rng, 1 + number % 3) for number in range(60)]
    # A third of the answers is right but for case, article and full stop.
    answers = [
        f"The {gold[-1].upper()}." if number % 3 == 0 else phrases(rng, 1)[0]
        for number, gold in enumerate(golds)
    ]
    found = measured("squad", "squad", golds, answers)
    assert found == pytest.approx(span_scores(golds, answers))
    assert found["em"] < found["f1"] < 100


@SEEDS
def test_record_scores_a_query_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    golds = [phrases(rng, 2) for _ in range(20)]
    answers = [gold[0] if number % 2 else phrases(rng, 1)[0] for number, gold in enumerate(golds)]
    # Every query stands there once per right answer; what is said the second time is not read.
    targets = [
        {"value": gold, "group": (number, 0)} for number, gold in enumerate(golds) for _ in gold
    ]
    doubled = [{"value": text} for answer in answers for text in (answer, "nothing")]
    assert measured("superglue", "record", targets, doubled) == pytest.approx(
        span_scores(golds, answers)
    )


def summary(rng: np.random.Generator) -> str:
    return " .\n".join(phrases(rng, 3, longest=8)) + " ."


def rouge_scores(targets: Sequence[str], answers: Sequence[str]) -> Mapping[str, list[float]]:
    from rouge_score import rouge_scorer

    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeLsum"])
    pairs = [scorer.score(t, a) for t, a in zip(targets, answers, strict=True)]
    return {name: [100 * pair[name].fmeasure for pair in pairs] for name in pairs[0]}


@SEEDS
def test_rouge(seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets, answers = ([summary(rng) for _ in range(80)] for _ in range(2))
    found = measured("cnndm", "cnn_dailymail", targets, answers)
    means = {name: np.mean(values) for name, values in rouge_scores(targets, answers).items()}
    errors = {
        name: scipy.stats.sem(values) for name, values in rouge_scores(targets, answers).items()
    }
    assert set(found) == {"rouge1", "rouge2", "rougeL"}
    for name, value in found.items():
        of = "rougeLsum" if name == "rougeL" else name
        # The median of 1,000 bootstrap means: √(π/2/1000) standard errors around the mean.
        assert value == pytest.approx(means[of], abs=4 * 0.04 * errors[of])
    assert measured("cnndm", "cnn_dailymail", targets, answers) == found
    # Of a single pair there is nothing to draw.
    one = measured("cnndm", "cnn_dailymail", targets[:1], answers[:1])
    alone = {name: values[0] for name, values in rouge_scores(targets[:1], answers[:1]).items()}
    assert list(one.values()) == pytest.approx(list(alone.values()))
