"""A suite's examples as a fine-tuning step and an evaluation read them, padded NumPy arrays.

Training examples remain ragged rows of a memory-mapped file; the rows of a batch are padded when
the batch is asked for. Only NumPy is imported, so fine-tuning needs neither TensorFlow
nor seqio. A batch is a pure function of (seed, step), as in pre-training.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spactor.data import epochs, suite_tokens
from spactor.data.suite_tokens import Ragged
from spactor.errors import UserError

LENGTH_STEP = 16
"""Decoder positions are a multiple of it, so that suites with short answers share programs."""


@dataclass(frozen=True)
class TrainingRows:
    """One side of the training examples of all tasks, numbered from 0.

    Attributes:
      tasks: rows of each task, in the suite's order.
      length: of a padded row.
    """

    tasks: tuple[Ragged, ...]
    length: int

    def __len__(self) -> int:
        return sum(map(len, self.tasks))

    def padded(self, rows: np.ndarray) -> np.ndarray:
        """int32[rows, length]; see `Ragged.padded`."""
        ends = np.cumsum([len(task) for task in self.tasks])
        task_of = np.searchsorted(ends, rows, side="right")
        out = np.empty((len(rows), self.length), np.int32)
        for number in np.unique(task_of):
            here = task_of == number
            task = self.tasks[number]
            out[here] = task.padded(self.length, rows[here] - (ends[number] - len(task)))
        return out


@dataclass(frozen=True)
class FinetuneArrays:
    """All examples of a suite, padded with 0, eos at the end of each row.

    Attributes:
      encoder_input_tokens: training inputs, cut to L.
      decoder_target_tokens: their targets, cut to T.
      validation_inputs: int32[V, L] of each task, in the suite's order.
    """

    encoder_input_tokens: TrainingRows
    decoder_target_tokens: TrainingRows
    validation_inputs: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.encoder_input_tokens)

    @property
    def target_length(self) -> int:
        """T, decoder positions that hold any answer of the suite's tasks; see `LENGTH_STEP`."""
        return self.decoder_target_tokens.length

    def training(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Training examples by number: int32[rows, L] and int32[rows, T], under seqio's names."""
        return {
            "encoder_input_tokens": self.encoder_input_tokens.padded(rows),
            "decoder_target_tokens": self.decoder_target_tokens.padded(rows),
        }


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
    found = suite_tokens.read(folder, suite)
    target_length = -(-found.target_length // LENGTH_STEP) * LENGTH_STEP

    def training(side: str, length: int) -> TrainingRows:
        return TrainingRows(tuple(found.side("train", side).values()), length)

    arrays = FinetuneArrays(
        training("inputs", input_length),
        training("targets", target_length),
        {
            task: rows.padded(input_length)
            for task, rows in found.side("validation", "inputs").items()
        },
    )
    if not len(arrays) or not all(map(len, arrays.validation_inputs.values())):
        raise UserError(f"suite {suite!r} lacks examples: read more packages")
    return arrays


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
