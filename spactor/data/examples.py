"""Examples of fine-tuning tasks, and the files of JSON lines in a prepared folder that hold them.

Examples of embedded tasks are text. Validation examples of official benchmarks are stored as their
tasks serve them, because postprocessors and metrics read more fields than inputs and targets:

    suites/squad/squad/validation.jsonl    {"inputs": [822, 10, ...], "answers": ["Ada", ...], ...}
    suites/squad/squad/types.json          {"inputs": ["int32", 1], "answers": ["string", 1], ...}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spactor import strict_json
from spactor.data import host_tensorflow
from spactor.errors import UserError

_REPAIR = "run 'repro prepare'"
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
    """

    id: str
    inputs: str
    targets: str
    evidence: str = ""

    def line(self) -> str:
        """The example as one line of JSON."""
        return json.dumps(asdict(self))


def json_lines(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Objects of a file of JSON lines, each with the place to name in an error.

    Raises:
      UserError: the file can't be read, or a line is not a JSON object.
    """
    try:
        # Not splitlines: texts may hold U+2028 and other line separators.
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}): {_REPAIR}") from None
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        where = f"{path}, line {number}"
        try:
            value = strict_json.loads(line)
        except ValueError as error:
            raise UserError(f"{where}: damaged ({error}): {_REPAIR}") from None
        if not isinstance(value, dict):
            raise UserError(f"{where}: not a JSON object: {_REPAIR}")
        yield value, where


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
    tf = host_tensorflow.tensorflow()
    where = str(types if isinstance(types, Path) else files[split])
    try:
        # A file of types has one line.
        ((named, _),) = json_lines(types) if isinstance(types, Path) else ((types, ""),)
        fields = {key: (tf.as_dtype(name), rank) for key, (name, rank) in named.items()}
        if not fields or not all(0 <= rank <= _HIGHEST_RANK for _, rank in fields.values()):
            raise ValueError("no types and ranks of fields")
        rows: list[dict[str, np.ndarray]] = []
        for row, place in json_lines(files[split]):
            where = place
            rows.append({key: _array(row[key], *fields[key]) for key in fields})
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise UserError(f"{where}: damaged ({error!r}): {_REPAIR}") from None
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
