"""Benchmarks as a prepared folder keeps them: validation examples as their tasks serve them.

    suites/squad/squad/validation.jsonl    {"inputs": [822, 10, ...], "answers": ["Ada", ...], ...}
    suites/squad/squad/types.json          {"inputs": ["int32", 1], "answers": ["string", 1], ...}

Postprocessors and metrics are the benchmark's own; the user's data folder is not needed.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spactor.data import host_tensorflow, suites, tasks
from spactor.data.benchmarks import Benchmark, mixture_name, registry, task_name
from spactor.data.suites.base import MEND, tables_of
from spactor.data.vocabulary import seqio_vocabulary
from spactor.errors import UserError

_SCALARS: Mapping[str, tuple[type, ...]] = {
    **{"string": (str,), "bool": (bool,), "int32": (int,), "int64": (int,)},
    **{"float32": (int, float), "float64": (int, float)},
}
"""Types of fields, each with what JSON has for one value."""
_HIGHEST_RANK = 4


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
    """A `tf.data.Dataset` over kept examples; a ``FunctionDataSource``'s function.

    Raises:
      UserError: a file can't be read, or an example is not of the types that stand beside it.
    """
    del split, shuffle_files, seed
    tf, _ = host_tensorflow.tensorflow_text()
    fields = _fields(types)
    rows = [
        {key: _array(row, key, *fields[key], where) for key in fields}
        for row, where in tables_of(lines)
    ]
    signature = {
        key: tf.TensorSpec([None] * rank, tf.as_dtype(dtype))
        for key, (dtype, rank) in fields.items()
    }
    return tf.data.Dataset.from_generator(lambda: iter(rows), output_signature=signature)


def _fields(path: Path) -> Mapping[str, tuple[str, int]]:
    """Type and rank of every field."""
    for types, where in tables_of(path):
        if types and all(
            isinstance(type_and_rank, list)
            and len(type_and_rank) == 2
            and type_and_rank[0] in tuple(_SCALARS)
            and type(type_and_rank[1]) is int
            and 0 <= type_and_rank[1] <= _HIGHEST_RANK
            for type_and_rank in types.values()
        ):
            return {key: (dtype, rank) for key, (dtype, rank) in types.items()}
        raise UserError(f"{where}: no types and ranks of fields: {MEND}")
    raise UserError(f"{path}: empty: {MEND}")


def _array(row: Mapping[str, Any], key: str, dtype: str, rank: int, where: str) -> np.ndarray:
    # As objects, nothing is taken for a number or cut; what is ragged has lists for items.
    array = np.array(row.get(key), dtype=object)
    # bool is an int to Python.
    fits = array.ndim == rank and all(type(item) in _SCALARS[dtype] for item in array.flat)
    try:
        if fits:
            return array if dtype == "string" else array.astype(dtype)
    except OverflowError:
        pass
    raise UserError(f"{where}: {key} is no {dtype} of rank {rank}: {MEND}")
