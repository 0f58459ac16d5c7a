"""Token ids of a suite's examples, written once, so that training on them needs NumPy alone.

    suites/<suite>/tokens.npy           uint16 or int32 [tokens]: the ids of all rows, end to end
    suites/<suite>/tokens.offsets.npy   int64 [rows + 1]: row i is tokens[offsets[i]:offsets[i + 1]]
    suites/<suite>/tokens.json          target length; number of rows by task, split and side;
                                        choices of every validation item of ranked tasks

A row is one side (inputs or targets) of an example, neither cut nor padded, without eos. Examples
are in file order, which is the order in which seqio reads and scores them. A ranked task's
validation rows are one per item for inputs, and one per choice for targets. Both arrays are
memory-mapped; the rows of a training batch are padded when the batch is asked for.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from spactor import npy, ranking, strict_json
from spactor.data import epochs, manifest
from spactor.data.vocabulary import EOS_ID
from spactor.errors import UserError
from spactor.files import write_atomically

SIDES = ("inputs", "targets")
LENGTH_STEP = 16
"""Decoder positions are a multiple of it, so that suites with short answers share programs."""
_MAX_TARGET_LENGTH = 2**20

CHOICE_STEP = 2
"""The same for the choices of a ranked task."""
CLOZE = "cloze"
"""Suite and task under which the items of the zero-shot cloze are stored."""

Place = tuple[str, str, str]
"""Task, split and side ("inputs" or "targets")."""
Choices = tuple[np.ndarray, np.ndarray]
"""Of every validation item of a ranked task: how many choices it has, and which is right."""


@dataclass(frozen=True)
class SuiteTokens:
    """A suite's examples as token ids.

    Attributes:
      target_length: decoder positions that hold any answer, eos included.
      tokens, offsets: row i is ``tokens[offsets[i]:offsets[i + 1]]``.
      rows: numbers of rows by place; tasks in the suite's order. A task of an official benchmark
        may have training rows alone.
      choices: of ranked tasks.
    """

    target_length: int
    tokens: np.ndarray
    offsets: np.ndarray
    rows: Mapping[Place, range]
    choices: Mapping[str, Choices] = field(default_factory=dict)

    def side(self, split: str, side: str) -> dict[str, range]:
        """Numbers of the rows of one side by task, of the tasks that have the split."""
        return {task: rows for (task, *place), rows in self.rows.items() if place == [split, side]}

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that are scored."""
        return tuple(self.side("validation", "inputs"))

    def padded(self, rows: Sequence[int] | np.ndarray, length: int) -> np.ndarray:
        """int32[rows, length] as T5 makes them: cut to length - 1, eos, then padding.

        Args:
          rows: their numbers.
          length: of each row.

        >>> two = SuiteTokens(2, np.array([5, 6, 7, 8]), np.array([0, 1, 4]), {})
        >>> two.padded([0, 1], 3).tolist(), two.padded([1, 1], 3).tolist()
        ([[5, 1, 0], [6, 7, 1]], [[6, 7, 1], [6, 7, 1]])
        """
        rows = np.asarray(rows, np.int64)
        starts = self.offsets[rows]
        out = np.zeros((len(rows), length), np.int32)
        lengths = np.minimum(self.offsets[rows + 1] - starts, length - 1)
        column = np.arange(length)
        inside = column < lengths[:, None]
        out[inside] = self.tokens[(starts[:, None] + column)[inside]]
        out[np.arange(len(rows)), lengths] = EOS_ID
        return out

    def length_of(self, rows: range) -> int:
        """Positions that hold any of the rows, eos included; a multiple of `CHOICE_STEP`."""
        lengths = np.diff(self.offsets[rows.start : rows.stop + 1])
        return -(-(int(np.max(lengths)) + 1) // CHOICE_STEP) * CHOICE_STEP

    def items(self, task: str, input_length: int) -> ranking.Items:
        """Validation items of a ranked task, with their inputs cut or padded to a length."""
        counts, right = self.choices[task]
        rows = self.rows[task, "validation", "targets"]
        length = self.length_of(rows)
        targets = np.zeros((len(counts), int(np.max(counts)), length), np.int32)
        targets[np.arange(targets.shape[1]) < counts[:, None]] = self.padded(rows, length)
        inputs = self.padded(self.rows[task, "validation", "inputs"], input_length)
        return ranking.Items(inputs, targets, counts, right)


@dataclass(frozen=True)
class FinetuneArrays:
    """All examples of a suite as a fine-tuning step and an evaluation read them.

    Attributes:
      tokens: of the suite.
      input_length: L, encoder positions.
      training_rows: numbers of the training examples' rows by side, task after task.
      validation_inputs: int32[V, L] of each task whose answers are decoded, in the suite's order.
      ranked: validation items of each task whose choices are ranked.
    """

    tokens: SuiteTokens
    input_length: int
    training_rows: Mapping[str, np.ndarray]
    validation_inputs: Mapping[str, np.ndarray]
    ranked: Mapping[str, ranking.Items] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.training_rows["inputs"])

    @property
    def target_length(self) -> int:
        """T, decoder positions that hold any answer of the suite's tasks; see `LENGTH_STEP`."""
        return -(-self.tokens.target_length // LENGTH_STEP) * LENGTH_STEP

    def training(self, examples: np.ndarray) -> dict[str, np.ndarray]:
        """Training examples by number: int32[examples, L] and int32[examples, T], seqio's names."""
        inputs, targets = (self.training_rows[side][examples] for side in SIDES)
        return {
            "encoder_input_tokens": self.tokens.padded(inputs, self.input_length),
            "decoder_target_tokens": self.tokens.padded(targets, self.target_length),
        }


def files_of(suite: str) -> tuple[str, str, str]:
    """Paths of a suite's tokens, offsets and index inside a prepared folder."""
    home = f"suites/{suite}"
    return f"{home}/tokens.npy", f"{home}/tokens.offsets.npy", f"{home}/tokens.json"


def write(
    folder: Path,
    suite: str,
    target_length: int,
    rows: Mapping[Place, Sequence[np.ndarray]],
    dtype: np.dtype,
    choices: Mapping[str, Choices] = MappingProxyType({}),
) -> None:
    """Writes a suite's token ids.

    Args:
      folder: data folder that is being prepared.
      suite: name.
      target_length: decoder positions that hold any answer, eos included.
      rows: ids of each row, by place in the suite's order of tasks.
      dtype: of the ids.
      choices: of ranked tasks.
    """
    tokens, offsets, index = (folder / name for name in files_of(suite))
    every = [row for of_place in rows.values() for row in of_place]
    npy.write(tokens, np.concatenate([np.zeros(0, dtype), *every]))
    npy.write(offsets, np.cumsum([0, *map(len, every)], dtype=np.int64))
    content = {
        "target_length": target_length,
        "parts": [[*place, len(of_place)] for place, of_place in rows.items()],
        "choices": {
            task: [numbers.tolist() for numbers in of_task] for task, of_task in choices.items()
        },
    }
    write_atomically(index, (json.dumps(content, indent=1) + "\n").encode())


@functools.lru_cache(maxsize=8)
def read(folder: Path, suite: str) -> SuiteTokens:
    """Token ids of a suite, checked against the folder's manifest.

    A prepared folder never changes under its name, so a process reads a suite once.

    Raises:
      UserError: the folder has no such suite, or its files are damaged.
    """
    names = files_of(suite)
    if not set(names) <= set(manifest.read(folder)["files"]):
        raise UserError(f"{folder} holds no examples of suite {suite!r}: prepare the data again")
    manifest.require(folder, *names)
    tokens, offsets, index = (folder / name for name in names)
    try:
        content = strict_json.loads(index.read_text("utf-8"))
        return _suite_tokens(npy.read(tokens), npy.read(offsets), content)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{index.parent}: damaged token ids ({error}); run 'repro prepare' to build them again"
        ) from error


def cloze_items(folder: Path) -> ranking.Items | None:
    """Items of a prepared folder's zero-shot cloze; None where it has none, as a folder of C4.

    Raises:
      UserError: the folder's files are damaged.
    """
    if not set(files_of(CLOZE)) <= set(manifest.read(folder)["files"]):
        return None
    found = read(folder, CLOZE)
    return found.items(CLOZE, found.length_of(found.rows[CLOZE, "validation", "inputs"]))


def _suite_tokens(tokens: np.ndarray, offsets: np.ndarray, content: Any) -> SuiteTokens:
    """Cuts the arrays into parts, after checking that offsets and index fit them."""
    target_length = content["target_length"]
    if type(target_length) is not int or not 0 < target_length < _MAX_TARGET_LENGTH:
        raise ValueError(f"target_length is {target_length!r}")
    if (tokens.ndim, offsets.ndim) != (1, 1) or {tokens.dtype.kind, offsets.dtype.kind} - set("iu"):
        raise ValueError("tokens and offsets must be lists of integers")
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(tokens):
        raise ValueError("offsets don't span the tokens")
    if np.any(offsets[1:] < offsets[:-1]):
        raise ValueError("offsets don't rise")
    rows: dict[Place, range] = {}
    start = 0
    for task, split, side, count in content["parts"]:
        if type(count) is not int or not 0 <= count < len(offsets) - start:
            raise ValueError(f"{task}, {split}, {side}: {count!r} rows")
        rows[str(task), str(split), str(side)] = range(start, start + count)
        start += count
    if start != len(offsets) - 1:
        raise ValueError(f"the index counts {start} rows of {len(offsets) - 1}")
    choices = {
        task: _choices(rows, task, *of_task)
        for task, of_task in dict(content.get("choices", {})).items()
    }
    return SuiteTokens(
        target_length, tokens, offsets, MappingProxyType(rows), MappingProxyType(choices)
    )


def _choices(rows: Mapping[Place, range], task: str, counts: Any, right: Any) -> Choices:
    """Numbers of choices, after checking that the task has as many rows."""
    items, targets = (len(rows[task, "validation", side]) for side in SIDES)
    for numbers in (counts, right):
        if len(numbers) != items or any(type(number) is not int for number in numbers):
            raise ValueError(f"{task}: choices are not of its {items} items")
    if sum(counts) != targets or not all(
        0 <= number < count and count > 1 for count, number in zip(counts, right, strict=True)
    ):
        raise ValueError(f"{task}: choices are not its {targets} targets")
    return np.array(counts, np.int64), np.array(right, np.int64)


@functools.lru_cache(maxsize=8)
def load(folder: Path, suite: str, *, input_length: int) -> FinetuneArrays:
    """The examples of a suite, task after task, each in file order.

    All examples of all tasks, drawn without replacement, are the proportional mixture by number
    of examples; seqio's own Mixture would stop at the first task that ends.

    Args:
      folder: a prepared data folder.
      suite: its name.
      input_length: L.

    Raises:
      UserError: unknown suite, damaged folder, or no examples.
    """
    found = read(folder, suite)
    training = {
        side: np.concatenate([np.zeros(0, np.int64), *found.side("train", side).values()])
        for side in SIDES
    }
    validation = found.side("validation", "inputs").items()
    if not len(training["inputs"]) or not all(len(rows) for _, rows in validation):
        raise UserError(f"suite {suite!r} lacks examples: read more packages")
    return FinetuneArrays(
        found,
        input_length,
        training,
        {
            task: found.padded(rows, input_length)
            for task, rows in validation
            if task not in found.choices
        },
        {task: found.items(task, input_length) for task in found.choices},
    )


def train_batch(
    arrays: FinetuneArrays, *, seed: int, step: int, batch_size: int
) -> dict[str, np.ndarray]:
    """Examples of fine-tuning step ``step``, counted from 0; a pure function of the arguments.

    Every example is read once per epoch, in an order that seed and epoch decide.

    Returns:
      ``{"encoder_input_tokens": int32[B, L], "decoder_target_tokens": int32[B, T]}``.
    """
    rows = epochs.batch_indices(
        len(arrays), seed=seed, step=step, batch_size=batch_size, role="finetuning"
    )
    return arrays.training(rows)
