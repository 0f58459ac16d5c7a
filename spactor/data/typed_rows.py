"""Rows of a prepared folder as TensorFlow datasets, checked against the types of their fields.

Examples of embedded tasks are text. Validation examples of official benchmarks are stored as their
tasks serve them, because postprocessors and metrics read more fields than inputs and targets:

    suites/squad/squad/validation.jsonl    {"inputs": [822, 10, ...], "answers": ["Ada", ...], ...}
    suites/squad/squad/types.json          {"inputs": ["int32", 1], "answers": ["string", 1], ...}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spactor.data import host_tensorflow
from spactor.data.examples import REPAIR, json_lines
from spactor.errors import UserError

Types = Mapping[str, tuple[str, int]]
"""Type and rank of each field."""

_SCALARS: Mapping[str, tuple[type, ...]] = {
    **{"string": (str,), "bool": (bool,), "int32": (int,), "int64": (int,)},
    **{"float32": (int, float), "float64": (int, float)},
}
"""Types of fields, each with the Python types that its JSON values have."""
_HIGHEST_RANK = 4


def texts(*names: str) -> Types:
    """Types of fields that hold one text each."""
    return {name: ("string", 0) for name in names}


def dataset(
    split: str,
    shuffle_files: bool,
    seed: int | None = None,
    *,
    files: Mapping[str, Path],
    types: Types | Path,
) -> Any:
    """A `tf.data.Dataset` over JSON lines in file order; the function of a ``FunctionDataSource``.

    Args:
      split: key of ``files``.
      shuffle_files, seed: ignored, as there is one file per split.
      files: path of each split.
      types: of the fields, or the file that has them.

    Raises:
      UserError: a file can't be read, or a row does not have the given types.
    """
    del shuffle_files, seed
    tf, _ = host_tensorflow.tensorflow_text()
    fields = read_types(types) if isinstance(types, Path) else types
    rows = [
        {key: _array(row, key, *fields[key], where) for key in fields}
        for row, where in json_lines(files[split])
    ]
    if not any(rank for _, rank in fields.values()):
        # Slices of a tensor, because a Python generator serves ten times fewer rows a second.
        columns = {
            key: tf.constant([row[key].item() for row in rows], tf.as_dtype(dtype))
            for key, (dtype, _) in fields.items()
        }
        return tf.data.Dataset.from_tensor_slices(columns)
    signature = {
        key: tf.TensorSpec([None] * rank, tf.as_dtype(dtype))
        for key, (dtype, rank) in fields.items()
    }
    return tf.data.Dataset.from_generator(lambda: iter(rows), output_signature=signature)


def lines_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """NumPy rows of a dataset as JSON lines."""
    return [json.dumps({key: _plain(value) for key, value in row.items()}) for row in rows]


def types_of(dataset: Any) -> str:
    """Types of a dataset's fields as one line of JSON."""
    spec = dataset.element_spec
    return json.dumps({key: [each.dtype.name, each.shape.rank] for key, each in spec.items()})


def _plain(value: Any) -> Any:
    """A field's value as JSON has it."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, np.ndarray) and value.ndim:
        return [_plain(item) for item in value]
    return value.item()


def read_types(path: Path) -> Types:
    """Types of a file's fields.

    Raises:
      UserError: the file is missing or damaged.
    """
    for types, where in json_lines(path):
        if types and all(
            isinstance(type_and_rank, list)
            and len(type_and_rank) == 2
            and type_and_rank[0] in tuple(_SCALARS)
            and type(type_and_rank[1]) is int
            and 0 <= type_and_rank[1] <= _HIGHEST_RANK
            for type_and_rank in types.values()
        ):
            return {key: (dtype, rank) for key, (dtype, rank) in types.items()}
        raise UserError(f"{where}: not the types and ranks of fields: {REPAIR}")
    raise UserError(f"{path}: empty: {REPAIR}")


def _array(row: Mapping[str, Any], key: str, dtype: str, rank: int, where: str) -> np.ndarray:
    # As objects, so that NumPy converts nothing; a ragged array has lists for items.
    array = np.array(row.get(key), dtype=object)
    # bool is an int to Python.
    fits = array.ndim == rank and all(type(item) in _SCALARS[dtype] for item in array.flat)
    try:
        if fits:
            return array if dtype == "string" else array.astype(dtype)
    except OverflowError:
        pass
    raise UserError(f"{where}: {key} is not a {dtype} of rank {rank}: {REPAIR}")
