"""Suites in seqio's registries: sources, preprocessors, postprocessors and metrics of their tasks.

Three places hold examples: a prepared folder made from documents, one made from official
benchmarks, and the user's own data folder, which T5X reads. Registering is idempotent; afterwards
the names stand for the folder given last.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spactor.data import examples, host_tensorflow, manifest, suite_metrics, tasks
from spactor.data.readers import instructions, tfds_folder
from spactor.data.readers.files import lines
from spactor.data.suites import (
    SPLITS,
    EmbeddedTask,
    FileTask,
    ReleasedTask,
    Suite,
    T5Task,
    Task,
    suite_named,
)
from spactor.data.vocabulary import seqio_vocabulary
from spactor.errors import UserError


@dataclass(frozen=True)
class Registered:
    """A suite in seqio's registries.

    Attributes:
      mixture: its name.
      tasks: names of the scored tasks in token ids and predictions, by their registered names.
    """

    mixture: str
    tasks: Mapping[str, str]


@dataclass(frozen=True)
class _Origin:
    """Where a task's examples come from.

    Attributes:
      source: seqio's data source.
      preprocessors: from the source's rows to token ids.
      rate: weight in the mixture; None keeps the task out of it.
    """

    source: Any
    preprocessors: Sequence[Any]
    rate: float | None


def register_prepared(folder: Path, name: str) -> Registered:
    """Registers a suite of a prepared folder.

    Raises:
      UserError: an unknown suite; or the folder is missing, damaged or without its examples.
    """
    is_embedded = "packages" in manifest.read(folder)["corpus"]
    suite = suite_named(name, "embedded" if is_embedded else "c4")
    if suite.is_embedded:
        mixture = register_embedded(folder, suite)
    else:
        origins = {task.name: _stored(folder, suite, task) for task in suite.scored}
        mixture = _register(suite, origins, seqio_vocabulary(folder))
    if mixture is None:
        raise UserError(f"suite {name!r} lacks examples in {folder}: read more packages")
    return Registered(
        mixture, {suite.registered_name(task.name): task.name for task in suite.scored}
    )


def register_embedded(folder: Path, suite: Suite) -> str | None:
    """Registers an embedded suite; returns the mixture's name, or None without any examples.

    Args:
      folder: a prepared data folder, or one that is being prepared.
      suite: an embedded one.
    """
    origins = {
        task.name: _embedded(folder, suite, task)
        for task in suite.tasks
        if isinstance(task, EmbeddedTask)
    }
    return _register(suite, origins, seqio_vocabulary(folder))


def register_released(suite: Suite, folder: Path, vocabulary: Any) -> str:
    """Registers an official benchmark over the user's data folder; returns the mixture's name.

    Files of Rainbow, MMLU and BBH are read when a dataset is asked for.

    Args:
      suite: one of `BENCHMARKS`.
      folder: the data folder.
      vocabulary: a ``seqio.Vocabulary``; T5's for the paper's models.

    Raises:
      UserError: something is missing, or the ``train`` extra is not installed.
    """
    complete = instructions.with_instructions(suite, folder)
    origins = {
        # A suite without training data is evaluated at one rate for all tasks.
        task.name: _released(folder, task, task.rate if suite.has_training_data else 1.0)
        for task in complete.released_tasks
    }
    mixture = _register(complete, origins, vocabulary)
    assert mixture is not None, "every task of a benchmark has a rate"
    return mixture


def _register(suite: Suite, origins: Mapping[str, _Origin], vocabulary: Any) -> str | None:
    seqio = host_tensorflow.seqio()
    features = {
        "inputs": seqio.Feature(vocabulary, add_eos=True, required=False),
        "targets": seqio.Feature(vocabulary, add_eos=True),
    }
    # An earlier registration may have had instructions.
    names = dict.fromkeys([*(task.name for task in suite.tasks), instructions.TASK])
    # The mixture is replaced before its tasks, which it refers to.
    tasks.replace_in_registry(seqio.MixtureRegistry, suite.mixture_name)
    for name in names:
        tasks.replace_in_registry(seqio.TaskRegistry, suite.registered_name(name))
    for task in (task for task in suite.tasks if task.name in origins):
        seqio.TaskRegistry.add(
            suite.registered_name(task.name),
            source=origins[task.name].source,
            preprocessors=list(origins[task.name].preprocessors),
            output_features=features,
            **_scoring(task),
        )
    # The mixture is what is scored, and a task without examples has no score.
    rates = [
        (suite.registered_name(name), origin.rate)
        for name, origin in origins.items()
        if origin.rate is not None
    ]
    if not rates:
        return None
    seqio.MixtureRegistry.add(suite.mixture_name, rates)
    return suite.mixture_name


def _embedded(folder: Path, suite: Suite, task: EmbeddedTask) -> _Origin:
    files: dict[str, Path] = {
        split: folder / manifest.examples_file(suite.name, task.name, split) for split in SPLITS
    }
    sizes = {split: len(lines(file, prepared=True)) for split, file in files.items()}
    read = (
        functools.partial(examples.ranked_dataset, files=files)
        if task.ranked
        else functools.partial(
            examples.dataset, files=files, types=examples.texts("inputs", "targets")
        )
    )
    source = host_tensorflow.seqio().FunctionDataSource(
        read,
        splits=tuple(files),
        num_input_examples=sizes,
    )
    # Proportional to the number of examples.
    return _Origin(source, _tokenize(), float(sizes["train"]) if all(sizes.values()) else None)


def _stored(folder: Path, suite: Suite, task: Task) -> _Origin:
    """Validation examples of an official benchmark in a prepared folder, already token ids."""
    files = {
        "validation": folder / manifest.examples_file(suite.name, task.name, "validation"),
    }
    types = folder / manifest.types_file(suite.name, task.name)
    source = host_tensorflow.seqio().FunctionDataSource(
        functools.partial(examples.dataset, files=files, types=types), splits=tuple(files)
    )
    return _Origin(source, (), rate=1.0)


def _released(folder: Path, task: ReleasedTask, rate: float) -> _Origin:
    seqio = host_tensorflow.seqio()
    if isinstance(task, T5Task):
        version = tfds_folder.check(folder, task)
        source = tasks.tfds_source(folder / task.folder(version), task.versions[version])
        preprocessors = list(_of_t5(task).preprocessors)
    else:
        assert isinstance(task, FileTask)
        for name in (name for names in task.files.values() for name in names):
            if not (folder / name).is_file():
                raise UserError(
                    f"{folder / name} is missing: put the release's file there "
                    "('repro data check' lists them all)"
                )
        source = seqio.FunctionDataSource(
            functools.partial(_file_dataset, task=task, folder=folder),
            splits=tuple(task.files),
            num_input_examples=dict(task.rows) or None,
        )
        preprocessors = _tokenize()
    return _Origin(source, preprocessors, rate)


def _tokenize() -> list[Any]:
    preprocessors = host_tensorflow.seqio().preprocessors
    return [preprocessors.tokenize, preprocessors.append_eos_after_trim]


def _of_t5(task: T5Task) -> Any:
    """The task of this name in T5's own registry."""
    host_tensorflow.t5_tasks()
    return host_tensorflow.seqio().TaskRegistry.get(task.t5_name)


def _file_dataset(
    split: str, shuffle_files: bool, seed: int | None = None, *, task: FileTask, folder: Path
) -> Any:
    del shuffle_files, seed  # There is one file per split.
    tf = host_tensorflow.tensorflow()
    found = task.examples(folder, split)
    return tf.data.Dataset.from_tensor_slices(
        {
            "inputs": tf.constant([example.inputs for example in found], tf.string),
            "targets": tf.constant([example.targets for example in found], tf.string),
        }
    )


def label_index(answer: str, labels: tuple[str, ...], **_: Any) -> Any:
    """Decoded text to what an embedded task's metrics compare: a label's index, or the text."""
    if not labels:
        return answer
    return host_tensorflow.t5_postprocessors().string_label_to_class_id(
        answer, label_classes=labels
    )


def _stripped(answer: str, **_: Any) -> str:
    return answer.strip()


def t5_labels(task: Any) -> tuple[str, ...]:
    """Labels that a task of T5's is trained to answer with; empty where answers are free.

    They are an argument of its preprocessor of classifications. A task that rates a similarity
    (STS-B) or names a referent (WSC) has none.
    """
    found = (getattr(step, "keywords", {}).get("label_names") for step in task.preprocessors)
    return next((tuple(labels) for labels in found if labels is not None), ())


def _scoring(task: Task) -> dict[str, Any]:
    """Postprocessor and metrics of a task, with the use of its labels if it has labels."""
    if isinstance(task, EmbeddedTask) and task.ranked:
        return {
            "postprocess_fn": suite_metrics.ranked_target,
            "metric_fns": [suite_metrics.ranking(task.length_normalized)],
        }
    renamed: Mapping[str, str] = {}
    functions: list[suite_metrics.MetricFunction]
    if isinstance(task, T5Task):
        own = _of_t5(task)
        postprocess, renamed = own.postprocess_fn, task.renamed
        functions = [*own.metric_fns, *([suite_metrics.label_use] if t5_labels(own) else [])]
    else:
        names = dict.fromkeys(metric.function or metric.name for metric in task.metrics)
        functions = [suite_metrics.FUNCTIONS[name] for name in names]
        if isinstance(task, EmbeddedTask):
            postprocess = functools.partial(label_index, labels=task.labels)
            use: suite_metrics.MetricFunction = suite_metrics.label_use
        else:
            postprocess, use = _stripped, suite_metrics.text_label_use(task.labels)
        functions += [use] if task.labels else []
    return {
        "postprocess_fn": postprocess,
        "metric_fns": [
            suite_metrics.recorded(function, renamed) for function in functions if task.metrics
        ],
    }
