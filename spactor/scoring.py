"""Scores a suite with seqio's Evaluator on decoded text, and writes what T5X writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from spactor.data import host_tensorflow, suites

Decode = Callable[[np.ndarray], jax.Array]
"""Encoder inputs int32 ``[B, L]`` to decoded tokens int32 ``[B, T]``."""


class Scorer:
    """The validation split of every task of a suite, ready to be scored again and again.

    Args:
      data_folder: prepared data with the suite's examples.
      suite: its name.
      input_length, target_length: encoder and decoder positions.
      batch_size: rows decoded at once; the last batch is filled up, never dropped.
      output_folder: where ``<task>-metrics.jsonl`` and per-example files go.
    """

    def __init__(
        self,
        data_folder: Path,
        suite: str,
        *,
        input_length: int,
        target_length: int,
        batch_size: int,
        output_folder: Path,
    ) -> None:
        suites.register_suites(data_folder)
        seqio = host_tensorflow.seqio()
        self._batch_size = batch_size
        self._tasks = {
            suites.task_name(suite, task.name): task.name
            for task in suites.suite_named(suite).tasks
        }
        output_folder.mkdir(parents=True, exist_ok=True)
        self._evaluator = seqio.Evaluator(
            suites.mixture_name(suite),
            feature_converter=seqio.EncDecFeatureConverter(pack=False),
            eval_split="validation",
            sequence_length={"inputs": input_length, "targets": target_length},
            logger_cls=[seqio.loggers.JSONLogger],
            log_dir=str(output_folder),
        )

    def score(self, decode: Decode, step: int) -> dict[str, float]:
        """Metrics of all tasks as ``{"<task>/<metric>": value}``, on a scale of 0 to 100."""
        metrics, _ = self._evaluator.evaluate(
            compute_metrics=True,
            step=step,
            predict_fn=lambda dataset, *_, **__: self._predict(decode, dataset),
        )
        return {
            f"{self._tasks[registered]}/{name}": float(value)
            for registered, values in metrics.result().items()
            for name, value in values.items()
        }

    def _predict(self, decode: Decode, dataset: Any) -> list[tuple[int, list[int]]]:
        indexed = []
        for indices, batch in dataset.batch(self._batch_size).as_numpy_iterator():
            tokens = np.zeros((self._batch_size, batch["encoder_input_tokens"].shape[1]), np.int32)
            tokens[: len(indices)] = batch["encoder_input_tokens"]
            decoded = np.asarray(decode(tokens))[: len(indices)]
            indexed += list(zip(indices.tolist(), decoded.tolist(), strict=True))
        return indexed
