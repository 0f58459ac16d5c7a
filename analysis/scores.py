"""Suite scores: averages of fine-tuning runs' metrics for the cells of Tables 2, 4 and 6 to 17.

Order of averaging: the metrics of a task first, then the tasks of a suite; the result is the suite
score of one run at one fine-tuning step. MNLI's two sets count as two tasks
(``analysis.schema.quantities.DIVIDED_TASKS``). Over runs (every pair of a pre-training and a
fine-tuning seed is one run): mean, and standard deviation with the divisor n − 1. A metric of a
task, in the breakdowns, is the median over runs.

Selection of the fine-tuning step (Section 3.1, Evaluation), per run and suite:

* ``best_average``: the step with the highest suite score, the earliest of equals; all tasks are
  reported at that step;
* ``last``: the last step.

Only steps at which every task of the suite was scored are eligible. Diagnostics of a
classification (``analysis.schema.quantities.DIAGNOSTICS``) are selected with the scores, but no
average includes them. A run that answered a whole validation set with one class is *collapsed*:
averages include it, and :func:`collapsed` lists such runs.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Hashable
from typing import Any

import pandas as pd

from analysis.schema.facts import BASELINE_TAU
from analysis.schema.published import RELATIVE_FLOPS
from analysis.schema.quantities import DIAGNOSTICS, DIVIDED_TASKS, PREDICTED_CLASSES, SUITE_AVERAGE
from analysis.schema.records import DIVERGED, SELECTIONS
from analysis.schema.rows import RUN_COLUMNS, SCORES, of_metrics
from spactor.errors import UserError

FLOPS_UNIT_CHECKPOINT = 500_000
"""Checkpoint of the baseline with FLOPs of 1.0 in the FLOPs columns."""
MEASURED_DECIMALS = 2

_CELL = ["size", "tau", "checkpoint", "suite"]
_RUN = [*RUN_COLUMNS]
SUMMARY_READS = of_metrics(RELATIVE_FLOPS, "cost/pretraining_flops", DIVERGED) | SCORES
"""Records that ``summary`` and ``relative_flops`` need."""
SUMMARY_COLUMNS = [*_CELL, "mean", "std", "runs", "decimals", "bold"]
_TASK_CELL = [*_CELL, "task", "metric"]
BREAKDOWN_COLUMNS = [*_TASK_CELL, "median", "std", "runs", "decimals", "note"]


def select(records: pd.DataFrame, rule: str = SELECTIONS[0]) -> pd.DataFrame:
    """Selects the score records at one fine-tuning step of each run.

    Diagnostics of the step are included. Records that already have the rule as their ``selection``
    are returned unchanged; for other runs the rule is applied to the records without a selection.

    Args:
      records: any records; only downstream scores are used.
      rule: "best_average" or "last".

    Returns:
      Records with ``selection`` set to ``rule``.

    Raises:
      UserError: the rule is unknown, or a run has no step at which all tasks were scored.
    """
    if rule not in SELECTIONS:
        raise UserError(f"unknown selection rule {rule!r}: give one of {', '.join(SELECTIONS)}")
    # Rows without a seed are published medians over runs.
    scored = (records["suite"] != "") & (records["task"] != "") & records["seed"].notna()
    marked = records[scored & (records["selection"] == rule)]
    raw = records[scored & (records["selection"] == "")]
    if len(marked) and len(raw):
        done = pd.MultiIndex.from_frame(marked[_RUN].drop_duplicates())
        raw = raw[~pd.MultiIndex.from_frame(raw[_RUN]).isin(done)]
    if raw.empty:
        return marked.reset_index(drop=True)
    averages = _eligible(raw)
    order = ["score", "step"] if rule == "best_average" else ["step"]
    ascending = [False, True] if rule == "best_average" else [False]
    chosen = averages.sort_values(order, ascending=ascending).drop_duplicates(_RUN)
    picked = raw.merge(chosen[[*_RUN, "step"]], on=[*_RUN, "step"], how="inner")
    return pd.concat([marked, picked.assign(selection=rule)], ignore_index=True)


def select_by_all_rules(records: pd.DataFrame) -> pd.DataFrame:
    """Applies every selection rule to the score records without a selection.

    Raises:
      UserError: see :func:`select`.
    """
    found = [select(records[records["selection"] == ""], rule) for rule in SELECTIONS]
    return pd.concat(found, ignore_index=True)


def collapsed(records: pd.DataFrame, rule: str = SELECTIONS[0]) -> pd.DataFrame:
    """Counts the runs that answered a classification task with one class at the selected step.

    A run counts once for MNLI, even if it collapsed on both sets.

    Returns:
      A table with size, tau, checkpoint, suite, task, and the number of such ``runs``.
    """
    chosen = select(records, rule)
    classes = chosen["metric"].str.startswith(PREDICTED_CLASSES)
    found = chosen[classes & (chosen["value"] == 1.0)].drop_duplicates([*_RUN, "task"])
    counts = found.groupby([*_CELL, "task"], dropna=False).size()
    return counts.rename("runs").reset_index()


def diverged(records: pd.DataFrame) -> dict[tuple[str, int, str], int]:
    """Counts the runs without scores because a loss or gradient was not finite.

    Args:
      records: records of one size.

    Returns:
      Number of runs by τ, checkpoint and suite.
    """
    marks = records[records["metric"].str.startswith(DIVERGED)]
    places = zip(
        marks["tau"],
        marks["checkpoint"].astype(int),
        marks["metric"].str.removeprefix(DIVERGED),
        strict=True,
    )
    return dict(Counter(places))


def suite_scores(records: pd.DataFrame, rule: str = SELECTIONS[0]) -> pd.DataFrame:
    """Computes a suite score for each run.

    Returns:
      A table with the columns of ``RUN_COLUMNS``, step and score.

    Raises:
      UserError: see :func:`select`.
    """
    return _averages(_scores(select(records, rule)))


def seed_scores(
    records: pd.DataFrame, rule: str = SELECTIONS[0]
) -> dict[tuple[str, str, int, str], dict[int, float]]:
    """Computes measured suite scores for tests paired by seed (``analysis.tests.paired``).

    Returns:
      By (size, tau, checkpoint, suite): the score of each pre-training seed. It is a mean over the
      fine-tuning seeds, since these are no independent repetitions of the pre-training.

    Raises:
      UserError: see :func:`select`.
    """
    found: dict[tuple[str, str, int, str], dict[int, float]] = {}
    means = suite_scores(records, rule).groupby([*_CELL, "seed"])["score"].mean().reset_index()
    for size, tau, checkpoint, suite, seed, score in means.itertuples(index=False, name=None):
        found.setdefault((size, tau, int(checkpoint), suite), {})[int(seed)] = score
    return found


def summary(records: pd.DataFrame, rule: str = SELECTIONS[0]) -> pd.DataFrame:
    """Computes a row for each cell of Tables 2 and 4 from measured or published records.

    Returns:
      A table with ``SUMMARY_COLUMNS``; ``std`` is NaN for a single run. ``bold`` is as printed for
      published cells, and ``strictly_higher`` than the baseline for measured ones.

    Raises:
      UserError: see :func:`select`.
    """
    rows: list[dict[Hashable, Any]] = []
    for cell, values in _by_cell(suite_scores(records, rule), _CELL, "score").items():
        row: dict[Hashable, Any] = dict(zip(_CELL, cell, strict=True))
        # fmean sums exactly, so the order of runs does not change the bold rule's comparison.
        row |= {"mean": statistics.fmean(values), "std": _std(values), "runs": len(values)}
        rows.append(row | {"decimals": MEASURED_DECIMALS, "bold": pd.NA})
    printed = records[(records["task"] == "") & (records["metric"] == SUITE_AVERAGE)]
    for record in printed[[*_CELL, "value", "std", "runs", "decimals", "bold"]].to_dict("records"):
        rows.append({"mean": record.pop("value"), **record})
    means = {tuple(row[name] for name in _CELL): row["mean"] for row in rows}
    for row in rows:
        if row["bold"] is pd.NA:
            baseline = means.get((row["size"], BASELINE_TAU, row["checkpoint"], row["suite"]))
            row["bold"] = strictly_higher(row["mean"], baseline)
    return pd.DataFrame(rows, columns=SUMMARY_COLUMNS)


def breakdown(records: pd.DataFrame, rule: str = SELECTIONS[0]) -> pd.DataFrame:
    """Computes a row for each cell and metric of Tables 6 to 17 from measured or published records.

    A measured cell is the median over runs, each at its own selected fine-tuning step.

    Returns:
      A table with ``BREAKDOWN_COLUMNS``; ``std`` is over runs, NaN for a single run or if the paper
      prints none; ``median`` is NaN, with the reason in ``note``, if the number is missing in the
      paper's text.

    Raises:
      UserError: see :func:`select`.
    """
    rows: list[dict[Hashable, Any]] = []
    for cell, values in _by_cell(_scores(select(records, rule)), _TASK_CELL, "value").items():
        row: dict[Hashable, Any] = dict(zip(_TASK_CELL, cell, strict=True))
        row |= {"median": statistics.median(values), "std": _std(values), "runs": len(values)}
        rows.append(row | {"decimals": MEASURED_DECIMALS, "note": ""})
    printed = records[(records["task"] != "") & records["seed"].isna()]
    wanted = [*_TASK_CELL, "value", "std", "runs", "decimals", "note"]
    for record in printed[wanted].to_dict("records"):
        rows.append({"median": record.pop("value"), **record})
    return pd.DataFrame(rows, columns=BREAKDOWN_COLUMNS)


def strictly_higher(mean: float, baseline: float | None) -> bool:
    """Whether a mean is higher than the baseline's at the same size and checkpoint (bold rule).

    Means are compared before rounding; False without a baseline.

    >>> strictly_higher(33.271, 33.270), strictly_higher(33.27, 33.27), strictly_higher(1.0, None)
    (True, False, False)
    """
    return baseline is not None and mean > baseline


def relative_flops(records: pd.DataFrame) -> pd.DataFrame:
    """Computes pre-training FLOPs over those of the same size's baseline at 500K.

    Published values are as printed. Measured values are computed from the cost records, if these
    include the baseline.

    Returns:
      A table with size, tau, checkpoint, value and decimals.
    """
    columns = ["size", "tau", "checkpoint", "value", "decimals"]
    printed = records.loc[records["metric"] == RELATIVE_FLOPS, columns]
    costs = records[records["metric"] == "cost/pretraining_flops"].drop_duplicates(columns[:3])
    units = costs[(costs["tau"] == BASELINE_TAU) & (costs["checkpoint"] == FLOPS_UNIT_CHECKPOINT)]
    costs = costs.merge(units[["size", "value"]], on="size", suffixes=("", "_unit"))
    costs = costs.assign(value=costs["value"] / costs["value_unit"], decimals=MEASURED_DECIMALS)
    frames = [frame for frame in (printed, costs[columns]) if len(frame)]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def _scores(records: pd.DataFrame) -> pd.DataFrame:
    return records[~records["metric"].isin(DIAGNOSTICS)]


def _averages(scores: pd.DataFrame) -> pd.DataFrame:
    divided = pd.MultiIndex.from_frame(scores[["suite", "task"]]).isin(list(DIVIDED_TASKS))
    terms = scores["task"].mask(divided, scores["task"] + "/" + scores["metric"])
    tasks = scores.assign(task=terms).groupby([*_RUN, "step", "task"], dropna=False)["value"].mean()
    suites = tasks.groupby([*_RUN, "step"], dropna=False).mean()
    return suites.rename("score").reset_index()


def _eligible(raw: pd.DataFrame) -> pd.DataFrame:
    """Computes suite scores at the steps where every task and metric of the suite was scored."""
    raw = _scores(raw)
    pairs = raw[["suite", "task", "metric"]].drop_duplicates()
    expected = pairs.groupby("suite").size().rename("expected")
    found = raw.groupby([*_RUN, "step"], dropna=False).size().rename("found").reset_index()
    found = found.merge(expected, left_on="suite", right_index=True)
    whole = found[found["found"] == found["expected"]]
    runs = raw[_RUN].drop_duplicates()
    missing = runs.merge(whole[_RUN].drop_duplicates(), how="left", indicator=True)
    missing = missing[missing["_merge"] == "left_only"]
    if len(missing):
        run = missing.iloc[0]
        raise UserError(
            f"{run['size']}, τ = {run['tau']}, checkpoint {run['checkpoint']}, seeds {run['seed']}/"
            f"{run['finetune_seed']}: no fine-tuning step of suite {run['suite']} has all its "
            "tasks and metrics; finish that run or leave it out of the records"
        )
    return _averages(raw).merge(whole[[*_RUN, "step"]], on=[*_RUN, "step"], how="inner")


def _by_cell(frame: pd.DataFrame, keys: list[str], name: str) -> dict[tuple[Any, ...], list[float]]:
    """Returns the sorted values of a column by cell, in order of cells; faster than ``groupby``."""
    found: dict[tuple[Any, ...], list[float]] = {}
    for *cell, value in frame[[*keys, name]].itertuples(index=False, name=None):
        found.setdefault(tuple(cell), []).append(value)

    def order(cell: tuple[Any, ...]) -> list[tuple[bool, Any]]:
        return [(part is pd.NA, 0 if part is pd.NA else part) for part in cell]

    return {cell: sorted(found[cell]) for cell in sorted(found, key=order)}


def _std(values: list[float]) -> float:
    """Standard deviation over runs; NaN for a single run."""
    return statistics.stdev(values) if len(values) > 1 else math.nan
