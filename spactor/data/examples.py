"""Examples of fine-tuning tasks, and the files of JSON lines in a prepared folder that hold them.

Examples of embedded tasks are text. Validation examples of official benchmarks are stored as their
tasks serve them, because postprocessors and metrics read more fields than inputs and targets:

    suites/squad/squad/validation.jsonl    {"inputs": [822, 10, ...], "answers": ["Ada", ...], ...}
    suites/squad/squad/types.json          {"inputs": ["int32", 1], "answers": ["string", 1], ...}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spactor.data import host_tensorflow
from spactor.data.readers.files import fault, json_lines

_HIGHEST_RANK = 4

Types = Mapping[str, tuple[str, int]]
"""Type and rank of each field."""


@dataclass(frozen=True)
class Example:
    """One question and its answer, as plain text.

    Attributes:
      id: names the document or the row it was made from.
      inputs, targets: as seqio names them, before tokenization.
      evidence: words that reveal the answer to a model that was trained on them; no training text
        holds the evidence of a validation example. Empty for generated and released questions.
      choices: all answers that a ranked task compares, ``targets`` among them; else empty.
    """

    id: str
    inputs: str
    targets: str
    evidence: str = ""
    choices: tuple[str, ...] = ()

    def line(self) -> str:
        """The example as one line of JSON, without the choices of a task that has none."""
        return json.dumps(
            {name: value for name, value in asdict(self).items() if name != "choices" or value}
        )


def texts(*names: str) -> Types:
    """Types of fields that hold one text each."""
    return {name: ("string", 0) for name in names}


CHOICES: Types = {**texts("inputs", "targets"), "choices": ("string", 1)}
"""Types of the fields of a ranked task's examples."""


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
    rows, fields = _read(files[split], types)
    return _dataset_of(rows, fields)


def ranked_dataset(
    split: str, shuffle_files: bool, seed: int | None = None, *, files: Mapping[str, Path]
) -> Any:
    """As `dataset`, of examples with choices; in validation, one row for every choice.

    Inputs stay, targets are the choice, ``idx`` is int32 [number of the example, of the choice],
    and ``is_correct`` is a bool, as ``t5.data.preprocessors.rank_classification`` makes them.
    """
    del shuffle_files, seed
    rows, fields = _read(files[split], CHOICES)
    tf = host_tensorflow.tensorflow()
    del fields["choices"]
    if split == "validation":
        fields |= {"idx": (tf.int32, 1), "is_correct": (tf.bool, 0)}
        rows = [
            {
                "inputs": row["inputs"],
                "targets": np.array(choice, object),
                "idx": np.array([number, place], np.int32),
                "is_correct": np.array(choice == row["targets"].item()),
            }
            for number, row in enumerate(rows)
            for place, choice in enumerate(row["choices"].tolist())
        ]
    return _dataset_of(rows, fields)


def _read(path: Path, types: Types | Path) -> tuple[list[dict[str, np.ndarray]], dict[str, Any]]:
    """Rows of a file of JSON lines, and the type and rank of each field; see `dataset`."""
    tf = host_tensorflow.tensorflow()
    file, number = path, 0
    try:
        if not isinstance(types, Mapping):
            file = types
            ((_, types),) = json_lines(types, prepared=True)
        fields = {key: (tf.as_dtype(name), rank) for key, (name, rank) in types.items()}
        if not fields or not all(0 <= rank <= _HIGHEST_RANK for _, rank in fields.values()):
            raise ValueError("no types and ranks of fields")
        file = path
        rows: list[dict[str, np.ndarray]] = []
        for _, row in json_lines(file, prepared=True):
            number += 1
            rows.append({key: _array(row[key], *fields[key]) for key in fields})
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise fault(file, number or None, f"damaged ({error!r})", prepared=True) from None
    return rows, fields


def _dataset_of(rows: list[dict[str, np.ndarray]], fields: Mapping[str, Any]) -> Any:
    tf = host_tensorflow.tensorflow()
    if not any(rank for _, rank in fields.values()):
        # Slices of a tensor, because a Python generator serves ten times fewer rows a second.
        columns = {
            key: tf.constant([row[key].item() for row in rows], dtype)
            for key, (dtype, _) in fields.items()
        }
        return tf.data.Dataset.from_tensor_slices(columns)
    signature = {key: tf.TensorSpec([None] * rank, dtype) for key, (dtype, rank) in fields.items()}
    return tf.data.Dataset.from_generator(lambda: iter(rows), output_signature=signature)


def _array(value: Any, dtype: Any, rank: int) -> np.ndarray:
    # Texts as objects, because NumPy's own strings lose trailing zero bytes.
    array = np.array(value, dtype.as_numpy_dtype)
    if array.ndim != rank or (
        array.dtype == object and not all(isinstance(item, str) for item in array.flat)
    ):
        raise ValueError(f"{value!r:.40} is not a {dtype.name} of rank {rank}")
    return array


def lines_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """NumPy rows of a dataset as JSON lines."""
    return [json.dumps(dict(row), default=_plain) for row in rows]


def _plain(value: Any) -> Any:
    return value.decode("utf-8") if isinstance(value, bytes) else value.tolist()


def types_of(dataset: Any) -> str:
    """Types of a dataset's fields as one line of JSON."""
    spec = dataset.element_spec
    return json.dumps({key: [each.dtype.name, each.shape.rank] for key, each in spec.items()})
