"""Benchmarks in seqio's registries, with metrics under the names that records have."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from spactor.data import host_tensorflow, tasks
from spactor.data.benchmarks import instructions, mixture_name, task_name, tfds_folder
from spactor.data.benchmarks.base import Benchmark, FileTask, TfdsTask
from spactor.data.label_metrics import NO_LABEL, label_use
from spactor.data.suites.base import Example
from spactor.data.suites.registry import repeatable
from spactor.errors import UserError

Metric = Callable[[Sequence[Any], Sequence[Any]], Mapping[str, Any]]


def recorded(metric: Metric, renamed: Mapping[str, str]) -> Metric:
    """A metric of T5's as the records have it: plain numbers, by the records' names.

    Where it is not defined it is 0: a correlation with predictions that are all the same, as a
    collapsed model gives them. T5's own value there is NaN, which no average survives.

    >>> recorded(lambda targets, predictions: {"accuracy": float("nan")}, {"accuracy": "a"})([], [])
    {'a': 0.0}
    """

    # seqio knows a metric of decoded text by the names of these two.
    def measure(targets: Sequence[Any], predictions: Sequence[Any]) -> Mapping[str, float]:
        with repeatable(), warnings.catch_warnings():
            # scipy and scikit-learn warn of what is not defined.
            warnings.simplefilter("ignore")
            found = metric(targets, predictions)
        values = {renamed.get(name, name): float(value) for name, value in found.items()}
        return {name: 0.0 if math.isnan(value) else value for name, value in values.items()}

    return measure


def stripped(answer: str, **_: Any) -> str:
    """A decoded answer without the blanks around it."""
    return answer.strip()


def examples_dataset(
    split: str, shuffle_files: bool, seed: int | None = None, *, task: FileTask, folder: Path
) -> Any:
    """A `tf.data.Dataset` over a split's examples; a ``FunctionDataSource``'s function.

    Raises:
      UserError: see `FileTask.examples`.
    """
    del shuffle_files, seed  # There is one file per split.
    return _dataset(task.examples(folder, split))


def instructions_dataset(
    split: str, shuffle_files: bool, seed: int | None = None, *, folder: Path
) -> Any:
    """The same over what a data folder has to fine-tune MMLU's and BBH's models on."""
    del split, shuffle_files, seed
    return _dataset(instructions.examples(folder))


def _dataset(examples: Sequence[Example]) -> Any:
    tf, _ = host_tensorflow.tensorflow_text()
    return tf.data.Dataset.from_tensor_slices(
        {
            "inputs": tf.constant([example.inputs for example in examples], tf.string),
            "targets": tf.constant([example.targets for example in examples], tf.string),
        }
    )


def text_label_use(labels: Sequence[str]) -> Metric:
    """`label_use` of answers in words.

    What an item is answered with is an answer too: a few of BBH's are answered with a whole name,
    which is no letter (`bbh`).

    >>> text_label_use(["(A)", "(B)"])(["(A)", "Up, Up"], ["(C)", "Up, Up"])
    {'invalid_rate': 50.0, 'predicted_classes': 2.0}
    """

    def measure(targets: Sequence[str], predictions: Sequence[str]) -> Mapping[str, float]:
        pairs = zip(targets, predictions, strict=True)
        classes = [said if said in labels or said == right else NO_LABEL for right, said in pairs]
        return label_use(targets, classes)

    return measure


def t5_label_use(
    targets: Sequence[Any], predictions: Sequence[int | Mapping[str, int]]
) -> Mapping[str, float]:
    """`label_use` of what T5's postprocessors make of a label; MultiRC's is in a dictionary."""
    classes = [said["value"] if isinstance(said, Mapping) else said for said in predictions]
    return label_use(targets, classes)


def t5_labels(task: Any) -> tuple[str, ...]:
    """The labels that a task of T5's is trained to answer with; none where answers are free.

    Its preprocessor of classifications is given them. What rates a similarity (STS-B) or names a
    referent (WSC) is none.
    """
    found = (getattr(step, "keywords", {}).get("label_names") for step in task.preprocessors)
    return next((tuple(labels) for labels in found if labels is not None), ())


def scoring(task: FileTask | TfdsTask) -> dict[str, Any]:
    """How a task's answers are read and scored, and what is said of the use of its labels."""
    if isinstance(task, FileTask):
        accuracy = host_tensorflow.t5_metrics().accuracy
        metrics = [accuracy, *([text_label_use(task.labels)] if task.labels else [])]
        return {
            "postprocess_fn": stripped,
            "metric_fns": [recorded(metric, {}) for metric in metrics],
        }
    host_tensorflow.t5_tasks()
    ours = host_tensorflow.seqio().TaskRegistry.get(task.t5_name)
    metrics = [*ours.metric_fns, *([t5_label_use] if t5_labels(ours) else [])]
    return {
        "postprocess_fn": ours.postprocess_fn,
        "metric_fns": [recorded(metric, task.renamed) for metric in metrics if task.metrics],
    }


def features(vocabulary: Any) -> dict[str, Any]:
    """Output features of every task."""
    seqio = host_tensorflow.seqio()
    return {
        "inputs": seqio.Feature(vocabulary, add_eos=True, required=False),
        "targets": seqio.Feature(vocabulary, add_eos=True),
    }


def _from_files(task: FileTask, folder: Path) -> dict[str, Any]:
    for names in task.files.values():
        for name in names:
            if not (folder / name).is_file():
                raise UserError(
                    f"{folder / name} is missing: put the release's file there "
                    "('repro data check' lists them all)"
                )
    return {
        "source": host_tensorflow.seqio().FunctionDataSource(
            functools.partial(examples_dataset, task=task, folder=folder),
            splits=tuple(task.files),
            num_input_examples=dict(task.rows),
        ),
        "preprocessors": _text_preprocessors(),
    }


def _text_preprocessors() -> list[Any]:
    preprocessors = host_tensorflow.seqio().preprocessors
    return [preprocessors.tokenize, preprocessors.append_eos_after_trim]


def _from_t5(task: TfdsTask, folder: Path) -> dict[str, Any]:
    version = tfds_folder.check(folder, task)
    host_tensorflow.t5_tasks()
    ours = host_tensorflow.seqio().TaskRegistry.get(task.t5_name)
    return {
        "source": tasks.tfds_source(folder / task.folder(version), task.versions[version]),
        "preprocessors": list(ours.preprocessors),
    }


def _add_instructions(benchmark: Benchmark, folder: Path, vocabulary: Any) -> dict[str, float]:
    """Registers what a benchmark without training data is fine-tuned on, where it is there."""
    name = task_name(benchmark.name, instructions.TASK)
    seqio = host_tensorflow.seqio()
    tasks.replace_in_registry(seqio.TaskRegistry, name)
    if benchmark.has_training_data or not instructions.paths(folder):
        return {}
    seqio.TaskRegistry.add(
        name,
        source=seqio.FunctionDataSource(
            functools.partial(instructions_dataset, folder=folder), splits=("train",)
        ),
        preprocessors=_text_preprocessors(),
        output_features=features(vocabulary),
        metric_fns=[],
    )
    return {name: 1.0}


def register(benchmark: Benchmark, folder: Path, vocabulary: Any) -> str:
    """See `spactor.data.benchmarks.register`."""
    seqio = host_tensorflow.seqio()
    parts = {
        task_name(benchmark.name, task.name): scoring(task)
        | (_from_files(task, folder) if isinstance(task, FileTask) else _from_t5(task, folder))
        for task in benchmark.tasks
    }
    mixture = mixture_name(benchmark.name)
    # The mixture first: it holds on to its tasks.
    tasks.replace_in_registry(seqio.MixtureRegistry, mixture)
    for name, part in parts.items():
        tasks.replace_in_registry(seqio.TaskRegistry, name)
        seqio.TaskRegistry.add(name, **part, output_features=features(vocabulary))
    # What can't be trained on is evaluated at the rate of any other task.
    rates = {
        task_name(benchmark.name, task.name): float(task.rate)
        if benchmark.has_training_data
        else 1.0
        for task in benchmark.tasks
    } | _add_instructions(benchmark, folder, vocabulary)
    seqio.MixtureRegistry.add(mixture, list(rates.items()))
    return mixture
