"""Metrics of suites, in seqio's form: functions of targets and predictions, 0 to 100.

A postprocessor turns an answer into what the metrics compare. Of a classification that is the
label's index, or -1 for an answer that is no label.
"""

from __future__ import annotations

import contextlib
import math
import threading
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from spactor.data import host_tensorflow
from spactor.data.suites import INVALID_RATE, PREDICTED_CLASSES
from spactor.ranking import accuracy_and_margin

MetricFunction = Callable[[Sequence[Any], Sequence[Any]], Mapping[str, Any]]

NO_LABEL = -1
_ROUGE = ("rouge1", "rouge2", "rougeL")
_SEED = 0
_global_random_state = threading.Lock()


@contextlib.contextmanager
def repeatable() -> Iterator[None]:
    """Fixes NumPy's global random state, which T5's ROUGE draws bootstrap samples from.

    Equal predictions then score equally; the state is restored afterwards.
    """
    with _global_random_state:
        state = np.random.get_state()
        np.random.seed(_SEED)
        try:
            yield
        finally:
            np.random.set_state(state)


def recorded(metric: MetricFunction, renamed: Mapping[str, str]) -> MetricFunction:
    """A metric as the records have it: repeatable, plain numbers, by the records' names.

    An undefined value becomes 0, such as the correlation with predictions that are all the same,
    as a collapsed model makes them; NaN would make every average NaN.

    Args:
      metric: the function.
      renamed: records' names by the function's.

    >>> recorded(lambda targets, predictions: {"accuracy": float("nan")}, {"accuracy": "a"})([], [])
    {'a': 0.0}
    """

    # seqio recognizes a metric of decoded text by the names of these two arguments.
    def measure(targets: Sequence[Any], predictions: Sequence[Any]) -> Mapping[str, float]:
        with repeatable(), warnings.catch_warnings():
            # scipy and scikit-learn warn about undefined values.
            warnings.simplefilter("ignore")
            found = metric(targets, predictions)
        values = {renamed.get(name, name): float(value) for name, value in found.items()}
        return {name: 0.0 if math.isnan(value) else value for name, value in values.items()}

    return measure


def matthews_corrcoef(targets: Sequence[int], predictions: Sequence[int]) -> Mapping[str, Any]:
    """Matthews correlation, -100 to 100; -1 (no label) is a class of its own."""
    metric = host_tensorflow.t5_metrics().sklearn_metrics_wrapper(
        "matthews_corrcoef", metric_post_process_fn=lambda value: 100 * value
    )
    return dict(metric(targets, predictions))


def f1(targets: Sequence[int], predictions: Sequence[int]) -> Mapping[str, Any]:
    """F1 of the label with index 1; -1 (no label) counts as wrong."""
    return dict(host_tensorflow.t5_metrics().f1_score_with_invalid(targets, predictions))


def accuracy(targets: Sequence[Any], predictions: Sequence[Any]) -> Mapping[str, Any]:
    """Share of right answers, in per cent."""
    return dict(host_tensorflow.t5_metrics().accuracy(targets, predictions))


def rouge(targets: Sequence[str], predictions: Sequence[str]) -> Mapping[str, Any]:
    """ROUGE-1, -2 and -L F-measures, in per cent, as T5 computes them."""
    return dict(host_tensorflow.t5_metrics().rouge(targets, predictions, score_keys=_ROUGE))


def squad(targets: Sequence[str], predictions: Sequence[str]) -> Mapping[str, Any]:
    """Exact match and F1 over words, in per cent, by SQuAD's rule, with one right answer each."""
    answers = [[target] for target in targets]
    return dict(host_tensorflow.t5_metrics().squad(answers, predictions))


def ranked_target(score: Any, example: Any = None, is_target: bool = False, **_: Any) -> Any:
    """Postprocessor of ranked tasks, with the result of ``t5``'s, as JSON can hold it.

    Returns:
      Of a target: the numbers of the item and of the choice, whether the choice is right, its
      weight, and its number of tokens; the score itself otherwise.
    """
    if not is_target:
        return score
    idx = tuple(int(number) for number in example["idx"])
    return idx, bool(example["is_correct"]), 1.0, len(example["targets"])


def ranking(length_normalized: bool) -> MetricFunction:
    """Accuracy in per cent and margin in nats of a ranked task; see `spactor.ranking`.

    The function's arguments are targets of `ranked_target` and log-likelihoods.
    """

    # seqio recognizes a metric of log-likelihoods by the names of these two arguments.
    def measure(targets: Sequence[Any], scores: Sequence[float]) -> Mapping[str, float]:
        rows = sorted(zip(targets, scores, strict=True), key=lambda row: row[0][0])
        counts = np.bincount([target[0][0] for target, _ in rows])
        right = [target[0][1] for target, _ in rows if target[1]]
        lengths = [target[3] if length_normalized else 1 for target, _ in rows]
        values = np.array([score for _, score in rows], np.float64) / lengths
        return accuracy_and_margin(values, counts, right)

    return measure


FUNCTIONS: Mapping[str, MetricFunction] = {
    function.__name__: function for function in (matthews_corrcoef, f1, accuracy, rouge, squad)
}
"""Functions by the name that a `Metric` gives; one function may compute several metrics."""


def label_use(targets: Sequence[Hashable], predictions: Sequence[Any]) -> Mapping[str, float]:
    """Share of answers that are no label, in per cent, and number of different answers.

    Both tell a model that does not answer from one that always answers alike. They are recorded
    beside a task's scores and are in no average.

    Args:
      predictions: labels' indices; MultiRC has them in dictionaries, under "value".

    >>> label_use([0, 1, 1, 0], [1, 1, -1, 1])
    {'invalid_rate': 25.0, 'predicted_classes': 2.0}
    """
    del targets
    classes = [each["value"] if isinstance(each, Mapping) else each for each in predictions]
    return {
        INVALID_RATE: 100.0 * classes.count(NO_LABEL) / len(classes),
        PREDICTED_CLASSES: float(len(set(classes))),
    }


def text_label_use(labels: Sequence[str]) -> MetricFunction:
    """`label_use` of answers in words.

    The right answer of an item is never invalid: the answers of a few items of BBH are whole names,
    which are none of the task's letters.

    >>> text_label_use(["(A)", "(B)"])(["(A)", "Up, Up"], ["(C)", "Up, Up"])
    {'invalid_rate': 50.0, 'predicted_classes': 2.0}
    """

    def measure(targets: Sequence[str], predictions: Sequence[str]) -> Mapping[str, float]:
        pairs = zip(targets, predictions, strict=True)
        return label_use(
            targets,
            [answer if answer in (*labels, right) else NO_LABEL for right, answer in pairs],
        )

    return measure
