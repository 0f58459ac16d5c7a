"""A suite's training set as NumPy arrays, and the batches a fine-tuning step reads.

Text goes through seqio (task, tokenizer, feature converter) once; a batch is then a pure
function of (seed, step), as in pre-training.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spactor.data import epochs, host_tensorflow, suites
from spactor.errors import UserError

FEATURES = ("encoder_input_tokens", "decoder_target_tokens", "decoder_input_tokens")


@dataclass(frozen=True)
class FinetuneArrays:
    """All training examples of a suite, E of them, padded with 0.

    Attributes:
      encoder_input_tokens: int32[E, L], eos at the end of each input, cut to L.
      decoder_target_tokens: int32[E, T], eos at the end.
      decoder_input_tokens: int32[E, T], the targets moved right by one.
    """

    encoder_input_tokens: np.ndarray
    decoder_target_tokens: np.ndarray
    decoder_input_tokens: np.ndarray

    def __len__(self) -> int:
        return len(self.encoder_input_tokens)


def target_length(suite: str) -> int:
    """Decoder positions that hold any answer of the suite's tasks."""
    return max(task.target_length for task in suites.suite_named(suite).tasks)


@functools.cache
def training_arrays(
    folder: Path, suite: str, *, input_length: int, target_length: int
) -> FinetuneArrays:
    """Reads the training examples of a suite, task after task, each in file order.

    All examples of all tasks, drawn without replacement, are the proportional mixture; seqio's
    own Mixture would stop at the first task that ends. A prepared folder never changes under its
    name, so a process reads a suite once.

    Args:
      folder: a prepared data folder.
      suite: its name.
      input_length: L.
      target_length: T; see `target_length`.

    Raises:
      UserError: unknown suite, damaged folder, or no examples.
    """
    facts = suites.suite_named(suite)
    suites.register_suites(folder)
    seqio = host_tensorflow.seqio()
    rows: dict[str, list[np.ndarray]] = {name: [] for name in FEATURES}
    for task in facts.tasks:
        dataset = seqio.get_dataset(
            suites.task_name(suite, task.name),
            task_feature_lengths={"inputs": input_length, "targets": target_length},
            dataset_split="train",
            shuffle=False,
            num_epochs=1,
            feature_converter=seqio.EncDecFeatureConverter(pack=False),
            verbose=False,
        )
        for example in dataset.as_numpy_iterator():
            for name in FEATURES:
                rows[name].append(example[name])
    if not rows[FEATURES[0]]:
        raise UserError(f"suite {suite!r} has no training examples: read more packages")
    return FinetuneArrays(**{name: np.stack(rows[name]).astype(np.int32) for name in FEATURES})


def train_batch(
    arrays: FinetuneArrays, *, seed: int, step: int, batch_size: int
) -> dict[str, np.ndarray]:
    """Examples of fine-tuning step ``step``, counted from 0; a pure function of the arguments.

    Every example is read once per epoch, in an order that seed and epoch decide.

    Returns:
      ``{"encoder_input_tokens": int32[B, L], "decoder_target_tokens": int32[B, T],
      "decoder_input_tokens": int32[B, T]}``.
    """
    rows = epochs.batch_indices(
        len(arrays), seed=seed, step=step, batch_size=batch_size, role="finetuning"
    )
    return {name: getattr(arrays, name)[rows] for name in FEATURES}
