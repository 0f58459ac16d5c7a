"""Scores stored predictions with seqio's Evaluator and writes metric files in T5X's format.

Scores are a pure function of predictions and prepared data. Scoring is the only part of
fine-tuning that needs TensorFlow, so it may run later or on another machine.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Mapping, Sequence
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np

from spactor import predictions
from spactor.data import host_tensorflow, suite_registry
from spactor.errors import UserError

FOLDER = "inference_eval"
"""Folder of ``<task>-metrics.jsonl`` and per-example files in a node's folder, named as in T5X."""


def available() -> bool:
    """Returns whether TensorFlow, seqio and T5 are installed, without importing them."""
    return all(util.find_spec(name) for name in ("tensorflow", "seqio", "t5"))


def score(folder: Path, data_folder: Path, suite: str, step: int) -> dict[str, float]:
    """Scores the predictions of one step and adds a line to each task's file.

    Args:
      folder: the fine-tuning node's folder.
      data_folder: prepared data with the suite's examples.
      suite: name of the suite.
      step: fine-tuning step.

    Returns:
      Metrics of all tasks as ``{"<task>/<metric>": value}``, on a scale of 0 to 100; margins of
      ranked tasks in nats.

    Raises:
      UserError: the predictions are missing or belong to other examples.
    """
    return _scorer(data_folder, suite).score(predictions.read(folder, step), step, folder / FOLDER)


def score_all(folder: Path, data_folder: Path, suite: str) -> None:
    """Deletes existing scores and scores the predictions of every step; see `score`."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    for step in predictions.steps(folder):
        score(folder, data_folder, suite, step)


def _without_conversion(seqio: Any) -> Any:
    """Returns a feature converter that leaves examples as they are.

    Predictions are stored, so no model reads converted examples.
    """

    class Unconverted(seqio.EncDecFeatureConverter):
        def __call__(self, ds: Any, task_feature_lengths: Mapping[str, int]) -> Any:
            return ds

    return Unconverted(pack=False)


@functools.lru_cache(maxsize=8)
def _scorer(data_folder: Path, suite: str) -> _Scorer:
    return _Scorer(data_folder, suite)


class _Scorer:
    """A suite's validation examples and metrics, read once."""

    def __init__(self, data_folder: Path, suite: str) -> None:
        registered = suite_registry.register_prepared(data_folder, suite)
        seqio = host_tensorflow.seqio()
        self._json_logger = seqio.loggers.JSONLogger
        self._output = Path()
        self._tasks = registered.tasks
        self._evaluator = seqio.Evaluator(
            registered.mixture,
            feature_converter=_without_conversion(seqio),
            eval_split="validation",
            logger_cls=[lambda output_dir: self._log],
            log_dir="given with each call",
        )

    def score(
        self, predicted: Mapping[str, np.ndarray], step: int, output: Path
    ) -> dict[str, float]:
        """Scores predictions; see the function `score`."""
        named = {id(made): name for name, made in self._evaluator.cached_model_datasets.items()}

        def answers(dataset: Any, ndim: int) -> Sequence[tuple[int, np.ndarray]]:
            task = self._tasks[named[id(dataset)]]
            rows = predicted.get(task)
            if rows is None or len(rows) != len(dataset) or rows.ndim != ndim:
                raise UserError(
                    f"{output.parent}: the predictions of step {step} are not of the prepared "
                    f"examples of {task}: score them with the data that the node was trained on"
                )
            return list(enumerate(rows))

        self._output = output
        output.mkdir(parents=True, exist_ok=True)
        metrics, _ = self._evaluator.evaluate(
            compute_metrics=True,
            step=step,
            predict_fn=functools.partial(answers, ndim=2),
            score_fn=functools.partial(answers, ndim=1),
        )
        return {
            f"{self._tasks[registered]}/{name}": float(value)
            for registered, values in metrics.result().items()
            for name, value in values.items()
        }

    def _log(self, **call: Any) -> None:
        self._json_logger(str(self._output))(**call)
