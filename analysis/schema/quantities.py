"""Units and ranges of metrics, and the tasks that records may have.

A suite's scores are in per cent, 0 to 100; correlations −100 to 100. ``tasks`` lists every task of
the paper (Tables 6 to 17) and every embedded task; any other task is an error.
"""

from __future__ import annotations

import csv
import functools
import math
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from spactor.data.suites import EMBEDDED, INVALID_RATE, MARGIN, PREDICTED_CLASSES
from spactor.errors import UserError

CLOZE = "cloze/"
"""Prefix of the metrics of the zero-shot cloze, which pre-training records at checkpoints."""
CLOZE_ACCURACY = f"{CLOZE}accuracy"
VOCABULARY_SIZE = "data/vocabulary_size"
"""Metric of the number of embedding rows, sentinels and padding included."""
SUITE_AVERAGE = "average"
"""Metric of a suite's score over its tasks; a record with it has no task."""
_SETS = ("", "_matched", "_mismatched")
"""Suffixes of metrics for MNLI's two validation sets."""
DIAGNOSTICS = (
    MARGIN,
    *(name + ending for name in (INVALID_RATE, PREDICTED_CLASSES) for ending in _SETS),
)
"""Metrics that are recorded with a task's scores but enter no average: the use of a
classification's labels, and the margin in log likelihood of a ranked task's right choices."""

DIVIDED_TASKS = frozenset({("glue", "mnli")})
"""Suites and tasks with metrics that an average counts as tasks of their own: MNLI's matched and
mismatched sets are two tasks for T5, and the paper's averages fit no other rule
(``repro audit``)."""


@dataclass(frozen=True)
class Quantity:
    """A unit and the closed range of valid values."""

    unit: str
    lowest: float
    highest: float = math.inf


@dataclass(frozen=True)
class TaskMetric:
    """One metric of one of the paper's tasks.

    Attributes:
      suite, task: names of the suite and the task in records.
      heading: the task's name as a column heading.
      metric: the metric's name in T5 and seqio.
      examples: size of the evaluation set if the metric is an accuracy, else None.
    """

    suite: str
    task: str
    heading: str
    metric: str
    examples: int | None


@functools.cache
def paper_tasks() -> tuple[TaskMetric, ...]:
    """Returns the tasks and metrics of Tables 6 to 17, in the order of their columns."""
    path = Path(__file__).parent / "published" / "tasks.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(
            TaskMetric(
                *(row["suite"], row["task"], row["heading"], row["metric"]),
                examples=int(row["examples"]) if row["examples"] else None,
            )
            for row in csv.DictReader(file)
        )


@functools.cache
def tasks() -> Mapping[tuple[str, str], tuple[str, ...]]:
    """Returns the metrics of every (suite, task): the paper's and the embedded."""
    known: dict[tuple[str, str], tuple[str, ...]] = {}
    for item in paper_tasks():
        known[item.suite, item.task] = (*known.get((item.suite, item.task), ()), item.metric)
    for suite in EMBEDDED.values():
        for task in suite.tasks:
            names = (fact.name for fact in task.metrics)
            known[suite.name, task.name] = tuple(n for n in names if n not in DIAGNOSTICS)
    return types.MappingProxyType(known)


_CORRELATION = Quantity("percent", -100.0, 100.0)
_PERCENT = Quantity("percent", 0.0, 100.0)
_NATS = Quantity("nats", 0.0)
_MARGIN = Quantity("nats", -math.inf)
_FRACTION = Quantity("fraction", 0.0, 1.0)
_FLOPS = Quantity("FLOPs", 0.0)
_RATIO = Quantity("ratio", 0.0)
_CLASSES = Quantity("classes", 1.0)
_SPEED = Quantity("sequences/second", 0.0)
_FREE = Quantity("", -math.inf)
_BY_ENDING = (
    ("_loss", _NATS),
    ("_nats", _NATS),
    ("_loss_clean", _NATS),
    ("_loss_noisy", _NATS),
    ("_accuracy", _FRACTION),
    ("_recall", _FRACTION),
    ("_precision", _FRACTION),
    ("_fraction", _FRACTION),
    ("_rate", _FRACTION),
)


def quantity_of(suite: str, metric: str) -> Quantity:
    """Returns the unit and range of a metric; an unknown metric has no unit and any value.

    >>> quantity_of("glue", "matthews_corrcoef")
    Quantity(unit='percent', lowest=-100.0, highest=100.0)
    >>> quantity_of("", "validation/sc_loss_clean").unit, quantity_of("", "my/own").unit
    ('nats', '')
    """
    if metric.startswith(PREDICTED_CLASSES):
        return _CLASSES
    if metric == MARGIN or metric == f"{CLOZE}{MARGIN}":
        return _MARGIN
    if metric == CLOZE_ACCURACY:
        return _PERCENT
    if suite:
        # The average of a suite with correlations can be below zero, too.
        below_zero = metric == SUITE_AVERAGE or metric.endswith("_corrcoef")
        return _CORRELATION if below_zero else _PERCENT
    if metric.startswith("timing/"):
        if "relative" in metric:
            return _RATIO
        return _SPEED if "seqs_per_second" in metric else Quantity("", 0.0)
    if metric.startswith("cost/"):
        return _RATIO if "relative" in metric else _FLOPS
    if metric.startswith(("validation/", "data/")):
        for ending, quantity in _BY_ENDING:
            if metric.endswith(ending):
                return quantity
    return _FREE


def check(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """Checks tasks, units and values of records, and fills in missing units.

    Args:
      frame: records with the schema's columns and types; the index numbers rows from 0.
      where: the file's name in error messages.

    Returns:
      The records with units.

    Raises:
      UserError: a task is unknown, or a unit or value invalid; the message has one line with
        ``where`` and the row, counted from 1.
    """
    pairs = frame[["suite", "metric"]].drop_duplicates()
    known = [quantity_of(*pair) for pair in pairs.itertuples(index=False, name=None)]
    # ``sort=False`` numbers the groups in order of appearance, the order of ``known``.
    of_row = frame.groupby(["suite", "metric"], sort=False).ngroup().to_numpy()
    _check_tasks(frame, where)
    units = pd.array([quantity.unit for quantity in known], dtype="string").take(of_row)
    lowest = np.array([quantity.lowest for quantity in known])[of_row]
    highest = np.array([quantity.highest for quantity in known])[of_row]
    given, values = frame["unit"].array, frame["value"].to_numpy()
    other_unit = ((given != "") & (units != "") & (given != units)).to_numpy(dtype=bool)
    bad = np.flatnonzero(other_unit | (values < lowest) | (values > highest))
    if len(bad):
        place = f"{where}: row {int(frame.index[bad[0]]) + 1}"
        raise _fault(frame.iloc[bad[0]], known[of_row[bad[0]]], place)
    unit = frame["unit"].where(frame["unit"] != "", pd.Series(units, index=frame.index))
    return frame.assign(unit=unit)


def _fault(record: pd.Series, quantity: Quantity, where: str) -> UserError:
    place = f"{where}, {record['metric']}"
    if record["unit"] and quantity.unit and record["unit"] != quantity.unit:
        return UserError(f"{place} is given in {record['unit']!r}: convert it to {quantity.unit!r}")
    unit = f" {quantity.unit}" if quantity.unit else ""
    return UserError(
        f"{place} is {record['value']:g}: give {quantity.lowest:g} to {quantity.highest:g}{unit}"
    )


def _check_tasks(frame: pd.DataFrame, where: str) -> None:
    scored = frame.loc[(frame["suite"] != "") | (frame["task"] != ""), ["suite", "task", "metric"]]
    for row, suite, task, metric in scored.drop_duplicates().itertuples(name=None):
        if not task and metric == SUITE_AVERAGE:
            continue
        if (suite, task) not in tasks():
            of_suite = ", ".join(name for known, name in tasks() if known == suite)
            raise UserError(
                f"{where}: row {row + 1} has the unknown task {task!r} of suite {suite!r}: "
                f"give one of {of_suite or 'a suite'}"
            )
        if metric not in (*tasks()[suite, task], *DIAGNOSTICS):
            raise UserError(
                f"{where}: row {row + 1}, task {task!r} of suite {suite!r} has no metric "
                f"{metric!r}: give one of {', '.join(tasks()[suite, task])}"
            )
