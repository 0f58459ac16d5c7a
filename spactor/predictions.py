"""Predictions on a suite's validation split as token ids, one file per evaluation.

``predictions/<step>.npy`` is a structured array with one row per validation example, in the order
of the prepared folder, and two fields, ``task`` and ``tokens``. Scores are computed from these
files (`spactor.scoring`), so training and decoding need no TensorFlow, and scoring may run later or
on another machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spactor import npy
from spactor.errors import UserError

FOLDER = "predictions"
ROWS = 128
"""Rows per decoded batch; the last batch is padded, never dropped."""

Decode = Callable[[np.ndarray], Any]
"""Encoder inputs int32 ``[B, L]`` to decoded tokens int32 ``[B, T]``."""


def predict(decode: Decode, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Decodes the inputs of every task, in batches of one shape that may span tasks.

    Args:
      decode: compiled for ``ROWS`` rows.
      inputs: int32[V, L] of each task.

    Returns:
      int32[V, T] of each task, row by row.
    """
    rows = np.concatenate(list(inputs.values()))
    filled = np.zeros((-len(rows) % ROWS, rows.shape[1]), rows.dtype)
    batches = np.split(np.concatenate([rows, filled]), (len(rows) + len(filled)) // ROWS)
    # A list, so that every batch is dispatched before the first result is fetched.
    decoded = np.concatenate([np.asarray(tokens) for tokens in [decode(b) for b in batches]])
    ends = np.cumsum([len(array) for array in inputs.values()])
    return dict(zip(inputs, np.split(decoded[: len(rows)], ends[:-1]), strict=True))


def write(folder: Path, step: int, predictions: Mapping[str, np.ndarray]) -> None:
    """Writes the predictions of one step atomically.

    Args:
      folder: of the fine-tuning node.
      step: fine-tuning step.
      predictions: int32[V, T] of each task, with one T for all.
    """
    names = np.repeat(
        [name.encode() for name in predictions], [len(rows) for rows in predictions.values()]
    )
    tokens = np.concatenate(list(predictions.values()))
    fields = [("task", names.dtype), ("tokens", np.int32, tokens.shape[1:])]
    table = np.zeros(len(tokens), fields)
    table["task"], table["tokens"] = names, tokens
    npy.write(_path(folder, step), table)


def read(folder: Path, step: int) -> dict[str, np.ndarray]:
    """Predictions of one step: int32[V, T] of each task.

    Raises:
      UserError: the file is missing or damaged.
    """
    path = _path(folder, step)
    try:
        table = npy.read(path)
        if table.ndim != 1 or table.dtype.names != ("task", "tokens"):
            raise ValueError("not a table of tasks and tokens")
        names, tokens = table["task"], table["tokens"]
        if names.dtype.kind != "S" or tokens.dtype != np.int32:
            raise ValueError("not a table of names and int32 tokens")
        return {
            name.decode(): np.array(tokens[names == name]) for name in dict.fromkeys(names.tolist())
        }
    except ValueError as error:
        raise UserError(
            f"{path}: predictions can't be read ({error}): move its node's folder away and run "
            "again"
        ) from None


def steps(folder: Path) -> tuple[int, ...]:
    """Fine-tuning steps that have predictions, in ascending order."""
    paths = (folder / FOLDER).glob("[0-9]*.npy")
    return tuple(sorted(int(p.stem) for p in paths if re.fullmatch("[0-9]{1,18}", p.stem)))


def tasks(folder: Path, step: int) -> tuple[str, ...]:
    """Names of the tasks that have predictions at a step."""
    return tuple(read(folder, step))


def _path(folder: Path, step: int) -> Path:
    return folder / FOLDER / f"{step}.npy"
