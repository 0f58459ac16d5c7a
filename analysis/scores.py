"""Suite scores: from the metrics of fine-tuning runs to the cells of Tables 2, 4 and 6 to 17.

Order of averaging: the metrics of a task first, then the tasks of a suite; the result is the suite
score of one run at one fine-tuning step. MNLI's two sets count as two tasks
(``analysis.schema.quantities.DIVIDED_TASKS``). Over runs (every pair of a pre-training and a
fine-tuning seed is one run): mean, and standard deviation with the divisor n − 1. A metric of a
task, in the breakdowns, is the median over runs.

Selection of the fine-tuning step (Section 3.1, Evaluation), per run and suite:

* ``best_average``: the step with the highest suite score, the earliest of equals; all tasks are
  reported at that one step;
* ``last``: the last step.

Only steps at which every task of the suite was scored are eligible. Diagnostics of a
classification (``analysis.schema.quantities.DIAGNOSTICS``) are selected with the scores, but no
average includes them. A run that answered a whole validation set with one class is *collapsed*: it
counts like any other, and :func:`collapsed` lists such runs.
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
"""The baseline's FLOPs up to this checkpoint are 1.0 in the FLOPs columns."""
MEASURED_DECIMALS = 2

_CELL = ["size", "tau", "checkpoint", "suite"]
_RUN = [*RUN_COLUMNS]
SUMMARY_READS = of_metrics(RELATIVE_FLOPS, "cost/pretraining_flops", DIVERGED) | SCORES
"""Records that ``summary`` and ``relative_flops`` need."""
SUMMARY_COLUMNS = [*_CELL, "mean", "std", "runs", "decimals", "bold"]
_TASK_CELL = [*_CELL, "task", "metric"]
BREAKDOWN_COLUMNS = [*_TASK_CELL, "median", "std", "runs", "decimals", "note"]


def select(records: pd.DataFrame, rule: str = SELECTIONS[0]) -> pd.DataFrame:
    """The score records at each run's selected fine-tuning step, ``selection`` set to ``rule``.

    The diagnostics of that step are included. Rows that already have the rule's name are returned
    unchanged; for other runs the rule is applied to the rows without a name.

    Args:
      records: any records; only downstream scores are used.
      rule: "best_average" or "last".

    Raises:
      UserError: an unknown rule, or a run in which some task of its suite was never scored.
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


def marked(records: pd.DataFrame) -> pd.DataFrame:
    """The selections of every rule from the score records without a rule's name.

    Raises:
      UserError: as `select`.
    """
    found = [select(records[records["selection"] == ""], rule) for rule in SELECTIONS]
    return pd.concat(found, ignore_index=True)


def collapsed(records: pd.DataFrame, rule: str = SELECTIONS[0]) -> pd.DataFrame:
    """Classification tasks that a run answered with a single class, at the selected step.

    A run counts once for MNLI, whether it did so on one of its two sets or on both.

    Returns:
      size, tau, checkpoint, suite, task, and the number of such ``runs`` in the cell.
    """
    chosen = select(records, rule)
    classes = chosen["metric"].str.startswith(PREDICTED_CLASSES)
    found = chosen[classes & (chosen["value"] == 1.0)].drop_duplicates([*_RUN, "task"])
    counts = found.groupby([*_CELL, "task"], dropna=False).size()
    return counts.rename("runs").reset_index()


def diverged(records: pd.DataFrame) -> dict[tuple[str, int, str], int]:
    """Numbers of runs of one size that have no scores because a value was not finite.

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
    """One suite score per run: size, tau, checkpoint, suite, both seeds, step and score."""
    return _averages(_scores(select(records, rule)))


def seed_scores(
    records: pd.DataFrame, rule: str = SELECTIONS[0]
) -> dict[tuple[str, str, int, str], dict[int, float]]:
    """Suite scores for tests paired by seed (``analysis.tests.paired``); measured records only.

    Returns:
      By (size, tau, checkpoint, suite): the score of each pre-training seed, a mean over its
      fine-tuning seeds, which are no independent repetitions of the pre-training.
    """
    found: dict[tuple[str, str, int, str], dict[int, float]] = {}
    means = suite_scores(records, rule).groupby([*_CELL, "seed"])["score"].mean().reset_index()
    for size, tau, checkpoint, suite, seed, score in means.itertuples(index=False, name=None):
        found.setdefault((size, tau, int(checkpoint), suite), {})[int(seed)] = score
    return found


def summary(records: pd.DataFrame, rule: str = SELECTIONS[0]) -> pd.DataFrame:
    """One row per cell of Tables 2 and 4, from measured or from published records.

    Returns:
      ``SUMMARY_COLUMNS``; ``std`` is NaN where one run has none. ``bold`` is as printed for
      published cells, and ``strictly_higher`` than the baseline for measured ones.

    Raises:
      UserError: as ``select``.
    """
    rows: list[dict[Hashable, Any]] = []
    for cell, values in _by_cell(suite_scores(records, rule), _CELL, "score").items():
        row: dict[Hashable, Any] = dict(zip(_CELL, cell, strict=True))
        # fmean sums exactly: the bold rule compares means, whatever the order of runs.
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
    """One row per cell and metric of Tables 6 to 17, from measured or from published records.

    A measured cell is the median over runs, each read at its own selected fine-tuning step.

    Returns:
      ``BREAKDOWN_COLUMNS``; ``std`` is over runs, NaN for a single run or where the paper prints
      none; ``median`` is NaN, with the reason in ``note``, where the paper's text lost a number.

    Raises:
      UserError: as ``select``.
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
    """The bold rule: a higher mean than the baseline at the same size and checkpoint.

    Compared before rounding; equal is not higher, and without a baseline nothing is.

    >>> strictly_higher(33.271, 33.270), strictly_higher(33.27, 33.27), strictly_higher(1.0, None)
    (True, False, False)
    """
    return baseline is not None and mean > baseline


def relative_flops(records: pd.DataFrame) -> pd.DataFrame:
    """Pre-training FLOPs over those of the same size's baseline at 500K.

    Published values are as printed. Measured ones come from the cost records, and are absent
    without those of the baseline.

    Returns:
      size, tau, checkpoint, value, decimals.
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
    """Suite scores at the steps where every task and metric of the suite was scored."""
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
    """Sorted values of a column by cell, cells in order; a frame for each would take far longer."""
    found: dict[tuple[Any, ...], list[float]] = {}
    for *cell, value in frame[[*keys, name]].itertuples(index=False, name=None):
        found.setdefault(tuple(cell), []).append(value)

    def order(cell: tuple[Any, ...]) -> list[tuple[bool, Any]]:
        return [(part is pd.NA, 0 if part is pd.NA else part) for part in cell]

    return {cell: sorted(found[cell]) for cell in sorted(found, key=order)}


def _std(values: list[float]) -> float:
    """Standard deviation over runs; NaN of a single run."""
    return statistics.stdev(values) if len(values) > 1 else math.nan
