"""Suites in seqio's registries: sources, features, postprocessors and metric functions."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spactor.data import host_tensorflow, manifest, suites, tasks
from spactor.data.label_metrics import label_use
from spactor.data.suites.base import Suite, SuiteTask
from spactor.data.vocabulary import seqio_vocabulary
from spactor.errors import UserError

MetricFn = Callable[..., Mapping[str, float]]

_ROUGE = ("rouge1", "rouge2", "rougeL")
_ROUGE_SEED = 0
_global_random_state = threading.Lock()


def matthews_corrcoef(targets: Sequence[int], predictions: Sequence[int]) -> Mapping[str, float]:
    """Matthews correlation, -100 to 100; an answer that is no label is a class of its own."""
    metric = host_tensorflow.t5_metrics().sklearn_metrics_wrapper(
        "matthews_corrcoef", metric_post_process_fn=lambda value: 100 * value
    )
    return _floats(metric(targets, predictions))


def f1(targets: Sequence[int], predictions: Sequence[int]) -> Mapping[str, float]:
    """F1 of the label with index 1; an answer that is no label counts as wrong."""
    return _floats(host_tensorflow.t5_metrics().f1_score_with_invalid(targets, predictions))


def accuracy(targets: Sequence[int], predictions: Sequence[int]) -> Mapping[str, float]:
    """Share of right answers, in per cent."""
    return _floats(host_tensorflow.t5_metrics().accuracy(targets, predictions))


@contextlib.contextmanager
def repeatable() -> Iterator[None]:
    """Fixes NumPy's global random state, which T5's ROUGE draws bootstrap samples from.

    Equal predictions then score equally; afterwards the state is what it was.
    """
    with _global_random_state:
        state = np.random.get_state()
        np.random.seed(_ROUGE_SEED)
        try:
            yield
        finally:
            np.random.set_state(state)


def rouge(targets: Sequence[str], predictions: Sequence[str]) -> Mapping[str, float]:
    """ROUGE-1, -2 and -L F-measures, in per cent, as T5 computes them."""
    with repeatable():
        return _floats(host_tensorflow.t5_metrics().rouge(targets, predictions, score_keys=_ROUGE))


def squad(targets: Sequence[str], predictions: Sequence[str]) -> Mapping[str, float]:
    """Exact match and F1 over words, in per cent, by SQuAD's rule for comparing answers.

    Each question has one right answer; T5's function takes a list of them.
    """
    answers = [[target] for target in targets]
    return _floats(host_tensorflow.t5_metrics().squad(answers, predictions))


def _floats(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


METRIC_FUNCTIONS: Mapping[tuple[str, str], MetricFn] = {
    ("", "matthews_corrcoef"): matthews_corrcoef,
    ("", "f1"): f1,
    ("", "accuracy"): accuracy,
    **dict.fromkeys((("", name) for name in _ROUGE), rouge),
    ("squad", "em"): squad,
    ("squad", "f1"): squad,
}
"""The function of each metric, by family and name; one function may compute several."""


def metric_functions(task: SuiteTask) -> list[MetricFn]:
    """What computes the metrics of a task, each function once, in order."""
    found = (METRIC_FUNCTIONS[fact.family, fact.name] for fact in task.metrics)
    return list(dict.fromkeys(found))


def postprocess(answer: str, labels: tuple[str, ...], **_: Any) -> Any:
    """Decoded text to what the metrics compare: a label's index (-1: no label), or the text."""
    if not labels:
        return answer
    return host_tensorflow.t5_postprocessors().string_label_to_class_id(
        answer, label_classes=labels
    )


def _add_task(folder: Path, suite: Suite, task: SuiteTask, vocabulary: Any) -> str | None:
    """Registers a task; returns its name, or None if the folder has no examples of it."""
    seqio = host_tensorflow.seqio()
    name = suites.task_name(suite.name, task.name)
    files = {
        split: folder / suites.examples_file(suite.name, task.name, split)
        for split in ("train", "validation")
    }
    try:
        sizes = {split: len(file.read_bytes().splitlines()) for split, file in files.items()}
    except OSError as error:
        raise UserError(
            f"{error.filename}: cannot be read ({error.strerror}): run 'repro prepare'"
        ) from error
    tasks.replace_in_registry(seqio.TaskRegistry, name)
    seqio.TaskRegistry.add(
        name,
        source=seqio.FunctionDataSource(
            functools.partial(tasks.lines_dataset, files=files, keys=("inputs", "targets")),
            splits=tuple(files),
            num_input_examples=sizes,
        ),
        preprocessors=[seqio.preprocessors.tokenize, seqio.preprocessors.append_eos_after_trim],
        postprocess_fn=functools.partial(postprocess, labels=task.labels),
        metric_fns=[*metric_functions(task), *([label_use] if task.labels else [])],
        output_features={
            "inputs": seqio.Feature(vocabulary, add_eos=True),
            "targets": seqio.Feature(vocabulary, add_eos=True),
        },
    )
    return name if all(sizes.values()) else None


def register(folder: Path, wanted: Iterable[Suite]) -> None:
    """Registers tasks and proportional mixtures; see `spactor.data.suites.register_suites`."""
    manifest.read(folder)
    seqio = host_tensorflow.seqio()
    vocabulary = seqio_vocabulary(folder)
    for suite in wanted:
        mixture = suites.mixture_name(suite.name)
        tasks.replace_in_registry(seqio.MixtureRegistry, mixture)
        added = [_add_task(folder, suite, task, vocabulary) for task in suite.tasks]
        # The mixture is what is scored, and an empty task has no score; seqio refuses to have
        # an empty mixture.
        if names := [name for name in added if name is not None]:
            seqio.MixtureRegistry.add(mixture, names, default_rate=seqio.mixing_rate_num_examples)
