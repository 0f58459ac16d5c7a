"""Traces from a table's cell to its source: lines of a file for published cells, else runs.

The trace of a measured score names its runs: node, seeds, selected fine-tuning step, selection
rule, score and tasks. The provenance that ``repro collect`` writes adds a run's pre-training, code,
data, device, packages and command. ``tables.trace_text`` formats traces for the terminal, and
``repro.report.traces`` for the report.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

import tables
from analysis import scores
from analysis.compiled import local_step as compiled
from analysis.schema.facts import (
    BASELINE_TAU,
    REPORTED_SELECTION,
    SELECTION_RULES,
    SELECTIONS,
    SIZES,
    step_label,
)
from analysis.schema.nodes import Nodes
from analysis.schema.published import line_of
from analysis.schema.quantities import DIVIDED_TASKS, SUITE_AVERAGE
from analysis.schema.records import sole_profile
from analysis.schema.rows import RUN_COLUMNS
from analysis.speeds import logged_speeds
from tables.cells import Cell
from tables.notes import caption_origin
from tables.places import Place, find, printed_records, setting_records

HOW_SELECTED = f"selection: {REPORTED_SELECTION}: {SELECTION_RULES[REPORTED_SELECTION]}"
"""Line on the rule that selects a run's fine-tuning step."""
_RUN = [*RUN_COLUMNS]
_Scored = tuple[str, str, str, int]
"""Size, suite, τ and checkpoint of a cell."""


@dataclass(frozen=True)
class PrintedNumber:
    """A number or words that the paper prints.

    Attributes:
      metric: metric in the records.
      text: printed text, with its number of decimals.
      bold: whether a suite average is bold; None for other numbers.
      over: statistic and number of runs; "" for a number that is not over runs.
      path, line: file and line of the repository with the number.
      note: a remark, or "".
    """

    metric: str
    text: str
    bold: bool | None
    over: str
    path: str
    line: int
    note: str


@dataclass(frozen=True)
class ScoredRun:
    """A run that a suite score includes, at its selected fine-tuning step.

    Attributes:
      node, fingerprint: name and fingerprint of the fine-tuning; "" if the records lack them.
      seed, finetune_seed: seeds of pre-training and fine-tuning.
      step, score: the selected step, and the suite score at it.
      steps: all recorded steps, in order.
      last: the last step and its score; None if the records lack it.
      metrics: task, metric and value at the selected step.
    """

    node: str
    fingerprint: str
    seed: int
    finetune_seed: int
    step: int
    score: float
    steps: tuple[int, ...]
    last: tuple[int, float] | None
    metrics: tuple[tuple[str, str, float], ...]


@dataclass(frozen=True)
class Trace:
    """A cell and its source.

    Attributes:
      place: the cell.
      source: description of the records' source.
      nodes: provenance of the runs.
      lines: derivation of the cell, indented by two spaces a level.
      printed: numbers that the paper prints in the cell.
      runs: runs that the score includes.
    """

    place: Place
    source: str
    nodes: Nodes
    lines: tuple[str, ...] = ()
    printed: tuple[PrintedNumber, ...] = ()
    runs: tuple[ScoredRun, ...] = ()


class Tracer:
    """Traces cells of tables that were computed from the same records.

    Args:
      records: published records of one table, or measured records of one profile with timing.
      nodes: provenance of the measured runs.

    Raises:
      UserError: the records are of several profiles.
    """

    def __init__(self, records: pd.DataFrame, nodes: Nodes | None = None) -> None:
        self._records = records
        self._nodes = nodes or Nodes.of()
        source, profile = sole_profile(records)
        self._published = source == "published"
        self._source = caption_origin(source, profile)
        self._means: dict[str, dict[tuple[str, str, int], float]] = {}

    def explain(self, number: int, row: str, column: str) -> Trace:
        """Traces the cell of a named row and column; see ``tables.places.find``.

        Raises:
          UserError: there is no such table, row or column, or the table's ``compute`` raises.
        """
        return self.trace(find(tables.get(number).compute(self._records), row, column))

    def trace(self, place: Place) -> Trace:
        """Traces a cell of a computed table.

        Raises:
          UserError: a run's scores are incomplete.
        """
        trace = functools.partial(Trace, place, self._source, self._nodes)
        if self._published:
            found = self._printed(place)
            return trace(() if found else ("  the paper prints nothing here",), found)
        if place.suite:
            runs = self.runs_of(place)
            return trace(tuple(self._score(place, runs)), runs=runs)
        if place.tau:
            lines = _relative_flops(place, self._counted)
        elif place.column.key.startswith(tuple(compiled.VARIANTS)):
            lines = _compiled(place)
        elif place.stage:
            lines = _stage(place, self._counted, self._nodes)
        elif place.column.key in SIZES:
            lines = _setting(place, self._settings)
        else:
            lines = self._tasks
        return trace(tuple(lines))

    @functools.cached_property
    def _counted(self) -> pd.DataFrame:
        """Records of costs, timing and settings, which cells without scores are computed from."""
        kinds = ("cost/", "timing/", "setting/")
        return self._records[self._records["metric"].str.startswith(kinds)]

    @functools.cached_property
    def _settings(self) -> pd.DataFrame:
        return self._counted[self._counted["metric"].str.startswith("setting/")]

    @functools.cached_property
    def _tasks(self) -> tuple[str, ...]:
        tasks = self._records.loc[self._records["task"] != "", ["suite", "task"]].drop_duplicates()
        return (
            f"counted from the records: {len(tasks)} tasks have scores",
            *(
                f"  {suite}: {', '.join(sorted(own))}"
                for suite, own in tasks.groupby("suite")["task"]
            ),
        )

    def _printed(self, place: Place) -> tuple[PrintedNumber, ...]:
        if place.suite:
            key = (place.tau, place.checkpoint, place.suite, place.task)
            return tuple(map(_printed_number, self._printed_scores.get(key, ())))
        return tuple(map(_printed_number, printed_records(place, self._records).itertuples()))

    @functools.cached_property
    def _printed_scores(self) -> Mapping[tuple[str, int, str, str], list[Any]]:
        found: dict[tuple[str, int, str, str], list[Any]] = {}
        record: Any
        for record in self._records[self._records["suite"] != ""].itertuples():
            key = (record.tau, int(record.checkpoint), record.suite, record.task)
            found.setdefault(key, []).append(record)
        return found

    def runs_of(self, place: Place) -> tuple[ScoredRun, ...]:
        """Returns the runs that a score includes.

        Raises:
          UserError: a run's scores are incomplete.
        """
        return self._runs.get((place.size, place.suite, place.tau, place.checkpoint), ())

    @functools.cached_property
    def _runs(self) -> Mapping[_Scored, tuple[ScoredRun, ...]]:
        return _scored_runs(self._records)

    def _score(self, place: Place, runs: tuple[ScoredRun, ...]) -> Iterable[str]:
        if not runs:
            yield (
                f"  not run: the records hold no score of {place.suite} for {place.size}, "
                f"τ = {place.tau}, {step_label(place.checkpoint)}"
            )
            return
        kind = "median" if place.task else "mean"
        what = f"{place.task} at the step selected" if place.task else "the suite's score"
        over = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
        yield (
            f"{kind} over {over} of {what}; a score is the mean over tasks of the mean over metrics"
        )
        if any((place.suite, task) in DIVIDED_TASKS for run in runs for task, _, _ in run.metrics):
            yield "  MNLI's matched and mismatched set count as two tasks"
        yield HOW_SELECTED
        if not place.task and place.tau != BASELINE_TAU:
            yield self._why_bold(place)

    def _why_bold(self, place: Place) -> str:
        if place.size not in self._means:
            own = self._records[self._records["size"] == place.size]
            summary = scores.summary(own, REPORTED_SELECTION)
            keys = zip(summary["suite"], summary["tau"], summary["checkpoint"], strict=True)
            self._means[place.size] = dict(zip(keys, summary["mean"], strict=True))
        means = self._means[place.size]
        ours = means[place.suite, place.tau, place.checkpoint]
        baseline = means.get((place.suite, BASELINE_TAU, place.checkpoint))
        if baseline is None:
            return "not bold: there is no τ = 0 to compare with"
        bold = "bold" if place.cell.bold else "not bold"
        sign = ">" if ours > baseline else "not >"
        return f"{bold}: {ours:.4f} {sign} {baseline:.4f} of τ = 0, before rounding"


def _scored_runs(records: pd.DataFrame) -> Mapping[_Scored, tuple[ScoredRun, ...]]:
    """Returns the runs of every cell with scores, in order of seeds."""
    own = records[(records["suite"] != "") & (records["task"] != "")]
    if own.empty:
        return {}
    chosen = scores.select(own, REPORTED_SELECTION)
    tasks: dict[tuple[Any, ...], list[Any]] = {}
    row: Any
    for row in chosen.itertuples():
        tasks.setdefault(tuple(getattr(row, name) for name in _RUN), []).append(row)
    steps: dict[tuple[Any, ...], list[int]] = {}
    for *at, step in own[[*_RUN, "step"]].drop_duplicates().itertuples(index=False, name=None):
        steps.setdefault(tuple(at), []).append(int(step))
    at_last = scores.suite_scores(own, SELECTIONS[1]).set_index(_RUN)[["step", "score"]]
    last = dict(zip(at_last.index, at_last.itertuples(index=False, name=None), strict=True))
    found: dict[_Scored, list[ScoredRun]] = {}
    run: Any
    for run in scores.suite_scores(chosen, REPORTED_SELECTION).sort_values(_RUN).itertuples():
        key = tuple(getattr(run, name) for name in _RUN)
        rows: list[Any] = tasks[key]
        one = ScoredRun(
            node=rows[0].node,
            fingerprint=rows[0].fingerprint,
            seed=int(run.seed),
            finetune_seed=int(run.finetune_seed),
            step=int(run.step),
            score=float(run.score),
            steps=tuple(sorted(steps[key])),
            last=(int(last[key][0]), float(last[key][1])) if key in last else None,
            metrics=tuple((row.task, row.metric, float(row.value)) for row in rows),
        )
        found.setdefault((run.size, run.suite, run.tau, int(run.checkpoint)), []).append(one)
    return {cell: tuple(runs) for cell, runs in found.items()}


def _printed_number(record: Any) -> PrintedNumber:
    kind = "mean and standard deviation" if record.task == "" else "median"
    path, line = line_of(record)
    return PrintedNumber(
        metric=record.metric,
        text=_as_printed(record),
        bold=bool(record.bold) if record.metric == SUITE_AVERAGE else None,
        over="" if pd.isna(record.runs) else f"{kind} of {record.runs} runs",
        path=path,
        line=line,
        note=record.note,
    )


def _as_printed(record: Any) -> str:
    if pd.isna(record.value):
        return record.text or "not legible"
    if pd.isna(record.decimals):
        return f"{record.value:g}"
    decimals = int(record.decimals)
    if record.metric.startswith("cost/step_flops/"):
        return f"{record.value:.{decimals}e} FLOPs ({decimals} decimal of the mantissa)"
    printed = Cell(record.value, None if pd.isna(record.std) else record.std, decimals=decimals)
    return f"{printed.text()} ({decimals} {'decimal' if decimals == 1 else 'decimals'})"


def _compiled(place: Place) -> Iterable[str]:
    yield "compiled at the paper's size, so no run is behind it"
    for program, one in compiled.ARTIFACT.load().items():
        if program.size == place.size and place.column.key.startswith(program.variant):
            versions = ", ".join(f"{name} {version}" for name, version in one.versions.items())
            yield f"  {program.stage}: {one.cost.flops:.6e} FLOPs of one chip of {one.cost.chips}"
            yield f"    {one.date}, commit {one.commit}, {versions}"
    yield f"  {compiled.ARTIFACT.path.name}, by `{compiled.ARTIFACT.command}`"


def _relative_flops(place: Place, records: pd.DataFrame) -> Iterable[str]:
    printed = records[
        (records["metric"] == "cost/pretraining_flops") & (records["size"] == place.size)
    ]
    for tau, checkpoint in (
        (place.tau, place.checkpoint),
        (BASELINE_TAU, scores.FLOPS_UNIT_CHECKPOINT),
    ):
        found = printed[
            (printed["tau"] == tau) & printed["checkpoint"].eq(checkpoint).fillna(False)
        ]
        at = f"τ = {tau}, {step_label(checkpoint)}"
        if found.empty:
            yield f"  not run: the records hold no pre-training FLOPs of {at}"
        else:
            yield f"  {found['value'].iloc[0]:.6e} FLOPs of {at}"
    yield "the first over the second; counted analytically from the profile, so no run is behind it"


def _stage(place: Place, records: pd.DataFrame, nodes: Nodes) -> Iterable[str]:
    own = records[records["size"] == place.size]
    if "seqs" not in place.column.key:
        yield "counted analytically from the profile, so no run is behind it"
        costs = own[own["metric"].str.startswith("cost/step_flops/")].sort_values("metric")
        for metric, flops in zip(costs["metric"], costs["value"], strict=True):
            yield f"  {metric}: {flops:.6e} FLOPs"
        return
    yield "median over logged intervals, over the baseline's (τ = 0)"
    for stage in dict.fromkeys((place.stage, "span_corruption")):
        rows = logged_speeds(own, stage)
        if rows.empty:
            yield f"  not run: the records hold no timing of {stage}"
            continue
        yield f"  {stage}: {rows['value'].median():.4f} sequences/second, {len(rows)} intervals"
        for name, speeds in rows.groupby("node", sort=False)["value"]:
            node = nodes.named.get(str(name))
            where = node.machine_and_time if node else "provenance unknown"
            yield f"    {name}: {speeds.median():.4f}, {len(speeds)} intervals; {where}"


def _setting(place: Place, records: pd.DataFrame) -> Iterable[str]:
    found = setting_records(place, records)
    if found.empty:
        yield "  not run: the records hold no such setting"
    record: Any
    for record in found.itertuples():
        yield f"{record.metric}: {record.text or f'{record.value:g}'}, as the profile has it"
