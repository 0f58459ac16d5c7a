"""seqio tasks of raw text chunks, embedded suites and benchmarks, as functions that gin calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from etils import epath

from spactor.data import host_tensorflow, suite_registry, tasks
from spactor.data.c4 import FOLDER, SPLITS
from spactor.data.suites import suite_named
from spactor.data.vocabulary import seqio_vocabulary

# T5's tasks and metrics are gin configurables, to be registered before gin reads its files.
host_tensorflow.t5_tasks()


def _folder(name: str) -> Path:
    """Returns a folder, or an address such as ``gs://…`` with the same methods."""
    return cast(Path, epath.Path(name))


def embedded(folder: str) -> str:
    """Registers the prepared folder's documents as chunks; returns the task's name."""
    return tasks.register_docstrings(_folder(folder))


def embedded_suite(folder: str, suite: str) -> str:
    """Registers the prepared folder's suites; returns the name of one's mixture.

    Raises:
      UserError: no such suite, or the folder has no examples of it.
    """
    return suite_registry.register_prepared(_folder(folder), suite).mixture


def embedded_vocabulary(folder: str) -> Any:
    """Returns the prepared folder's vocabulary."""
    return seqio_vocabulary(_folder(folder))


def c4(version: str, vocabulary: Any, folder: str | None = None) -> str:
    """Registers English C4 from TensorFlow Datasets as chunks; returns the task's name.

    Args:
      version: of the TFDS builder ``c4/en``.
      vocabulary: T5's.
      folder: the data folder, which may be ``gs://…``; None for T5X's ``--tfds_data_dir``.
    """
    source = (
        host_tensorflow.seqio().TfdsDataSource(tfds_name=f"c4/en:{version}")
        if folder is None
        else tasks.tfds_source(_folder(folder) / FOLDER / version, SPLITS)
    )
    return tasks.register_chunks("spactor_c4", source, vocabulary)


def benchmark(folder: str, suite: str, vocabulary: Any) -> str:
    """Registers a benchmark of the paper; returns its mixture's name.

    Args:
      folder: the data folder, which may be ``gs://…``.
      suite: the benchmark's name.
      vocabulary: T5's.

    Raises:
      UserError: the benchmark is unknown, or its data are missing.
    """
    return suite_registry.register_released(suite_named(suite, "c4"), _folder(folder), vocabulary)
