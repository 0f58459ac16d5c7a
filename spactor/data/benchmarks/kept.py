"""Benchmarks as a prepared folder keeps them: validation examples as their tasks serve them.

    suites/squad/squad/validation.jsonl    {"inputs": [822, 10, ...], "answers": ["Ada", ...], ...}
    suites/squad/squad/types.json          {"inputs": ["int32", 1], "answers": ["string", 1], ...}

Postprocessors and metrics are the benchmark's own; the user's data folder is not needed.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from spactor.data import host_tensorflow, suites, tasks
from spactor.data.benchmarks import Benchmark, mixture_name, registry, task_name
from spactor.data.vocabulary import seqio_vocabulary


def types_file(suite: str, task: str) -> str:
    """Path, inside a prepared folder, of a task's fields, each with its type and rank."""
    return f"suites/{suite}/{task}/types.json"


def register(benchmark: Benchmark, folder: Path) -> str:
    """Registers what is scored of a benchmark with seqio; returns the mixture's name.

    Args:
      benchmark: as it was prepared.
      folder: a prepared data folder.
    """
    seqio = host_tensorflow.seqio()
    vocabulary = seqio_vocabulary(folder)
    mixture = mixture_name(benchmark.name)
    # The mixture first: it holds on to its tasks.
    tasks.replace_in_registry(seqio.MixtureRegistry, mixture)
    names = []
    for task in benchmark.tasks:
        name = task_name(benchmark.name, task.name)
        tasks.replace_in_registry(seqio.TaskRegistry, name)
        if not task.metrics:
            continue
        lines = folder / suites.examples_file(benchmark.name, task.name, "validation")
        types = folder / types_file(benchmark.name, task.name)
        seqio.TaskRegistry.add(
            name,
            source=seqio.FunctionDataSource(
                functools.partial(dataset, lines=lines, types=types), splits=("validation",)
            ),
            preprocessors=[],
            output_features=registry.features(vocabulary),
            **registry.scoring(task),
        )
        names.append(name)
    seqio.MixtureRegistry.add(mixture, names, default_rate=1.0)
    return mixture


def dataset(
    split: str, shuffle_files: bool, seed: int | None = None, *, lines: Path, types: Path
) -> Any:
    """A `tf.data.Dataset` over kept examples; a ``FunctionDataSource``'s function."""
    del split, shuffle_files, seed
    tf, _ = host_tensorflow.tensorflow_text()
    fields = json.loads(types.read_text("utf-8"))
    signature = {
        key: tf.TensorSpec([None] * rank, tf.as_dtype(dtype))
        for key, (dtype, rank) in fields.items()
    }
    rows = [json.loads(line) for line in lines.read_text("utf-8").split("\n")[:-1]]
    return tf.data.Dataset.from_generator(lambda: iter(rows), output_signature=signature)
