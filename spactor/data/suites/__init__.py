"""Fine-tuning suites: the embedded ones, and the official benchmarks that they stand in for.

Tasks are rows of a table: `embedded` for tasks made from documents, `t5` for GLUE, SuperGLUE, SQuAD
and CNN/DailyMail, which the ``t5`` package defines over TensorFlow Datasets, and `released` for
Rainbow, MMLU and BBH, which are read from the files of their releases. Both kinds are registered
with seqio by `spactor.data.suite_registry`. To add an embedded task, add a row and its builder.

The official benchmarks' data lie in one folder that the user names; nothing is ever fetched:

    D/glue/cola/1.0.0/...          D/rainbow/piqa/train.jsonl
    D/super_glue/..., D/squad/...  D/mmlu/val/anatomy_val.csv
    D/cnn_dailymail/3.4.0/...      D/bbh/navigate.json
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from spactor.data.suites import embedded, released, t5
from spactor.data.suites.suite import (
    INVALID_RATE,
    MARGIN,
    PREDICTED_CLASSES,
    SPLITS,
    EmbeddedTask,
    FileTask,
    Metric,
    Release,
    ReleasedTask,
    Split,
    Suite,
    T5Task,
    Task,
)
from spactor.errors import UserError

__all__ = [
    "BENCHMARKS",
    "EMBEDDED",
    "INVALID_RATE",
    "MARGIN",
    "PREDICTED_CLASSES",
    "RECORDED_AS",
    "SPLITS",
    "EmbeddedTask",
    "FileTask",
    "Metric",
    "Release",
    "ReleasedTask",
    "Split",
    "Suite",
    "T5Task",
    "Task",
    "suite_named",
]

EMBEDDED: Mapping[str, Suite] = MappingProxyType({each.name: each for each in embedded.SUITES})
"""Embedded suites by name, in the order of Table 2's columns."""

BENCHMARKS: Mapping[str, Suite] = MappingProxyType(
    {each.name: each for each in (*t5.SUITES, *released.SUITES)}
)
"""Official benchmarks by name, in the same order."""

RECORDED_AS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        suite.registered_name(task.name): (suite.name, task.recorded_as)
        for suite in (*EMBEDDED.values(), *BENCHMARKS.values())
        for task in suite.scored
    }
)
"""Suite and task of the records, by the name in seqio's registry; two tasks are MNLI's."""


def suite_named(name: str, corpus: str = "embedded") -> Suite:
    """Suite of a corpus by its name.

    Args:
      name: such as "glue".
      corpus: as in `DataConfig`; the official benchmarks belong to every corpus but "embedded".

    Raises:
      UserError: there is no such suite.
    """
    known = EMBEDDED if corpus == "embedded" else BENCHMARKS
    if name not in known:
        raise UserError(f"unknown suite {name!r}: give one of {', '.join(known)}")
    return known[name]
