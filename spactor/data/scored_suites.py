"""The suites of a prepared folder as seqio scores them, made from documents or released."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spactor.data import benchmarks, manifest, suites


@dataclass(frozen=True)
class ScoredSuite:
    """A suite in seqio's registries.

    Attributes:
      mixture: its name there.
      tasks: names of its tasks in token ids and predictions, by their names there.
    """

    mixture: str
    tasks: Mapping[str, str]


def is_released(folder: Path) -> bool:
    """Whether a prepared folder was made from data of the user's, not from documents."""
    return "packages" not in manifest.read(folder)["corpus"]


def register(folder: Path, suite: str) -> ScoredSuite:
    """Registers a suite of a prepared folder with seqio.

    Raises:
      UserError: an unknown suite, or the folder is missing, damaged or without its examples.
    """
    if is_released(folder):
        # Deferred: it imports TensorFlow.
        from spactor.data.benchmarks import kept

        benchmark = benchmarks.benchmark_named(suite)
        return ScoredSuite(
            kept.register(benchmark, folder),
            {
                benchmarks.task_name(suite, task.name): task.name
                for task in benchmark.tasks
                if task.metrics
            },
        )
    mixture = suites.registered_mixture(folder, suite)
    known = suites.suite_named(suite).tasks
    return ScoredSuite(
        mixture,
        {suites.task_name(suite, task.name): task.name for task in known},
    )
