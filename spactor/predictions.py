"""Predictions on a suite's validation split, one file per evaluation.

``predictions/<step>.npy`` is a structured array in the order of the prepared folder. A decoded task
has one row per validation example, with ``tokens``; a ranked task has one row per choice, with
``log_likelihood``. The field ``task`` is the task's name, and ``ranked`` is true for rows of a
ranked task. ``tokens`` or ``log_likelihood``, whichever is not used, is 0.
Scores are computed from these files (`spactor.scoring`), so training and decoding need no
TensorFlow, and scoring may run later or on another machine.
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
_FIELDS = ("task", "ranked", "tokens", "log_likelihood")
ROWS = 128
"""Rows per decoded batch; the last batch is padded, never dropped."""

Decode = Callable[[np.ndarray], Any]
"""Maps encoder inputs int32 ``[B, L]`` to decoded tokens int32 ``[B, T]``."""


def predict(decode: Decode, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Decodes the inputs of every task, in batches of one shape that may span tasks.

    Args:
      decode: function compiled for ``ROWS`` rows.
      inputs: int32 ``[V, L]`` by task.

    Returns:
      int32 ``[V, T]`` by task, row by row.
    """
    if not inputs:
        return {}
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
      folder: the fine-tuning node's folder.
      step: fine-tuning step.
      predictions: int32 ``[V, T]`` by task, with one T for all, or float32 ``[R]`` for a ranked
        task.
    """
    names = np.repeat(
        [name.encode() for name in predictions], [len(rows) for rows in predictions.values()]
    )
    width = max((rows.shape[1] for rows in predictions.values() if rows.ndim == 2), default=0)
    types = (names.dtype, np.bool_, (np.int32, (width,)), np.float32)
    table = np.zeros(len(names), list(zip(_FIELDS, types, strict=True)))
    table["task"] = names
    start = 0
    for rows in predictions.values():
        part = table[start : start + len(rows)]
        part["ranked"] = rows.ndim == 1
        part["tokens" if rows.ndim == 2 else "log_likelihood"] = rows
        start += len(rows)
    npy.write(_path(folder, step), table)


def read(folder: Path, step: int) -> dict[str, np.ndarray]:
    """Reads the predictions of one step: int32 ``[V, T]`` by task, or float32 ``[R]`` if ranked.

    Raises:
      UserError: the file is missing or damaged.
    """
    path = _path(folder, step)
    try:
        table = npy.read(path)
        if table.ndim != 1 or table.dtype.names != _FIELDS:
            raise ValueError(f"not a table of {', '.join(_FIELDS)}")
        names, ranked, tokens, scores = (table[name] for name in _FIELDS)
        types = (ranked.dtype, tokens.dtype, scores.dtype)
        if names.dtype.kind != "S" or types != (np.bool_, np.int32, np.float32):
            raise ValueError("not a table of names, truth values, int32 and float32")
        found = {}
        for name in dict.fromkeys(names.tolist()):
            of_task = names == name
            if len(set(ranked[of_task].tolist())) > 1:
                raise ValueError(f"{name.decode()} has ranked and decoded rows")
            found[name.decode()] = np.array((scores if ranked[of_task][0] else tokens)[of_task])
        return found
    except ValueError as error:
        raise UserError(
            f"{path}: predictions can't be read ({error}): move its node's folder away and run "
            "again"
        ) from None


def steps(folder: Path) -> tuple[int, ...]:
    """Lists the fine-tuning steps that have predictions, in ascending order."""
    paths = (folder / FOLDER).glob("[0-9]*.npy")
    return tuple(sorted(int(p.stem) for p in paths if re.fullmatch("[0-9]{1,18}", p.stem)))


def tasks(folder: Path, step: int) -> tuple[str, ...]:
    """Lists the names of the tasks that have predictions at a step."""
    return tuple(read(folder, step))


def _path(folder: Path, step: int) -> Path:
    return folder / FOLDER / f"{step}.npy"
