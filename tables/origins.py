"""Where a cell comes from: the line of a file for what the paper prints, runs for what we measured.

A measured score is traced through its runs: node, seeds, the fine-tuning step that was selected
and by which rule, the score and its tasks, and from ``repro collect``'s provenance the pre-training
behind it, code, data, device, packages and command.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
from analysis.schema.published import line_of
from analysis.schema.quantities import DIVIDED_TASKS, SUITE_AVERAGE
from analysis.schema.records import sole_profile
from tables.notes import origin_label
from tables.places import Place, find, setting_records, shown_records, size_of

Provenance = Sequence[Mapping[str, Any]]

HOW_SELECTED = f"selection: {REPORTED_SELECTION}: {SELECTION_RULES[REPORTED_SELECTION]}"
"""Which of a run's fine-tuning steps its score is of."""


@dataclass(frozen=True)
class Origin:
    """A cell and where it comes from.

    Attributes:
      title: the cell's place.
      printed: as the table prints it.
      source: whose number it is.
      lines: what it rests on, indented by two spaces a level.
    """

    title: str
    printed: str
    source: str
    lines: tuple[str, ...]

    def text(self) -> str:
        """For the terminal."""
        return "\n".join([f"{self.title}: {self.printed}", self.source, *self.lines])


@dataclass(frozen=True)
class ScoredRun:
    """A run behind a suite's score, at the fine-tuning step that was selected.

    Attributes:
      node, fingerprint: of the fine-tuning; "" where the records lack it.
      seed, finetune_seed: of pre-training and of fine-tuning.
      step, score: selected, and the suite's score there.
      steps: those that the records hold, in order.
      last: the last of them and the score there; None where the records lack it.
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


def scored_runs(
    records: pd.DataFrame, size: str, suite: str
) -> Mapping[tuple[str, int], tuple[ScoredRun, ...]]:
    """The runs of every τ and checkpoint that has scores of a suite, by seeds.

    Raises:
      UserError: a run's scores are incomplete.
    """
    own = records[(records["size"] == size) & (records["suite"] == suite) & (records["task"] != "")]
    if own.empty:
        return {}
    chosen = scores.select(own, REPORTED_SELECTION)
    keys = ["tau", "checkpoint", "seed", "finetune_seed"]
    steps: dict[tuple[Any, ...], set[int]] = {}
    for *of, step in own[[*keys, "step"]].itertuples(index=False, name=None):
        steps.setdefault(tuple(of), set()).add(int(step))
    last = {
        tuple(of): (int(step), float(score))
        for *of, step, score in scores.suite_scores(own, SELECTIONS[1])[
            [*keys, "step", "score"]
        ].itertuples(index=False, name=None)
    }
    rows: dict[tuple[Any, ...], list[Any]] = {}
    for row in _tuples(chosen):
        key = (row.tau, row.checkpoint, row.seed, row.finetune_seed)
        rows.setdefault(key, []).append(row)
    found: dict[tuple[str, int], list[ScoredRun]] = {}
    for run in _tuples(scores.suite_scores(chosen, REPORTED_SELECTION).sort_values(keys)):
        key = (run.tau, run.checkpoint, run.seed, run.finetune_seed)
        same = rows[key]
        one = ScoredRun(
            node=same[0].node,
            fingerprint=same[0].fingerprint,
            seed=int(run.seed),
            finetune_seed=int(run.finetune_seed),
            step=int(run.step),
            score=float(run.score),
            steps=tuple(sorted(steps[key])),
            last=last.get(key),
            metrics=tuple((row.task, row.metric, float(row.value)) for row in same),
        )
        found.setdefault((run.tau, int(run.checkpoint)), []).append(one)
    return {cell: tuple(runs) for cell, runs in found.items()}


def explain(
    number: int, row: str, column: str, records: pd.DataFrame, provenance: Provenance = ()
) -> Origin:
    """Traces one cell of a table.

    Args:
      number: of the table.
      row, column: what a person calls them; see ``tables.places.find``.
      records: the published ones, or measured ones of one profile, timing included.
      provenance: of measured nodes, as ``repro collect`` writes it.

    Raises:
      UserError: no such table, row or column; or as the table's ``compute``.
    """
    module = tables.get(number)
    table = module.compute(records)
    place = find(table, row, column, size=size_of(module))
    return trace(place, records, provenance)


def trace(place: Place, records: pd.DataFrame, provenance: Provenance = ()) -> Origin:
    """Traces a cell that was found already; arguments and errors as ``explain``."""
    source, profile = sole_profile(records) or ("", "")
    bold = ", bold" if place.cell.bold else ""
    lines_of = _published if source == "published" else _measured
    return Origin(
        title=place.title,
        printed=f"{place.cell.text()}{bold}",
        source=origin_label(source, profile),
        lines=tuple(lines_of(place, records, provenance)),
    )


def _published(place: Place, records: pd.DataFrame, _: Provenance) -> Iterable[str]:
    found = shown_records(place, records)
    if found.empty:
        yield "  the paper prints nothing here"
    for record in _tuples(found):
        yield f"{record.metric}: {_as_printed(record)}"
        if record.metric == SUITE_AVERAGE:
            yield f"  {'bold' if record.bold else 'not bold'}, as printed"
        if not pd.isna(record.runs):
            kind = "mean and standard deviation" if record.task == "" else "median"
            yield f"  {kind} of {record.runs} runs, by the caption or that of its sister tables"
        path, line = line_of(record)
        yield f"  {path}, line {line}"
        if record.note:
            yield f"  note: {record.note}"


def printed_scores(frame: pd.DataFrame) -> Mapping[tuple[str, int, str, str], list[str]]:
    """A line on every number of one published table's scores, by τ, checkpoint, suite and task."""
    found: dict[tuple[str, int, str, str], list[str]] = {}
    for record in _tuples(frame[frame["suite"] != ""]):
        path, line = line_of(record)
        written = f"{record.metric}: {path}, line {line}"
        if not pd.isna(record.runs):
            kind = "mean and deviation" if record.task == "" else "median"
            written += f"; {kind} of {record.runs} runs"
        if record.note:
            written += f"; {record.note}"
        key = (record.tau, int(record.checkpoint), record.suite, record.task)
        found.setdefault(key, []).append(written)
    return found


def _as_printed(record: Any) -> str:
    if pd.isna(record.value):
        return record.text or "not legible"
    if pd.isna(record.decimals):
        return f"{record.value:g}"
    decimals = int(record.decimals)
    if record.metric.startswith("cost/step_flops/"):
        return f"{record.value:.{decimals}e} FLOPs ({decimals} decimal of the mantissa)"
    spread = "" if pd.isna(record.std) else f" ± {record.std:.{decimals}f}"
    plural = "decimal" if decimals == 1 else "decimals"
    return f"{record.value:.{decimals}f}{spread} ({decimals} {plural})"


def _measured(place: Place, records: pd.DataFrame, provenance: Provenance) -> Iterable[str]:
    if place.suite:
        return _score(place, records, provenance)
    if place.tau:
        return _relative_flops(place, records)
    if place.column.key.startswith(tuple(compiled.VARIANTS)):
        return _compiled(place)
    if place.stage:
        return _stage(place, records, provenance)
    return _setting(place, records)


def _compiled(place: Place) -> Iterable[str]:
    yield "compiled at the paper's size, so no run is behind it"
    for program, one in compiled.load().items():
        if program.size == place.size and place.column.key.startswith(program.variant):
            versions = ", ".join(f"{name} {version}" for name, version in one.versions.items())
            yield f"  {program.stage}: {one.cost.flops:.6e} FLOPs of one chip of {one.cost.chips}"
            yield f"    {one.date}, commit {one.commit}, {versions}"
    yield f"  {compiled.ARTIFACT.path.name}, by `{compiled.ARTIFACT.command}`"


def _score(place: Place, records: pd.DataFrame, provenance: Provenance) -> Iterable[str]:
    runs = scored_runs(records, place.size, place.suite).get((place.tau, place.checkpoint), ())
    if not runs:
        yield (
            f"  not run: the records hold no score of {place.suite} for {place.size}, "
            f"τ = {place.tau}, {step_label(place.checkpoint)}"
        )
        return
    yield from _how_scored(place, runs)
    if not place.task:
        yield from _why_bold(place, records)
    graph = _Nodes(provenance)
    for run in runs:
        yield f"run {run.node or 'without a name'}"
        yield (
            f"  score {run.score:.4f} at fine-tuning step {run.step} of "
            f"{', '.join(map(str, run.steps))}; pre-training seed {run.seed}, fine-tuning "
            f"seed {run.finetune_seed}"
        )
        if run.last:
            yield f"  score {run.last[1]:.4f} at the last of them, step {run.last[0]}"
        for task, metric, value in run.metrics:
            if not place.task or task == place.task:
                yield f"  {task} {metric}: {value:.4f}"
        yield from graph.describe(run.node, run.fingerprint)


def _how_scored(place: Place, runs: Sequence[ScoredRun]) -> Iterable[str]:
    """How a score came out of its runs, in words."""
    kind = "median" if place.task else "mean"
    what = f"{place.task} at the step selected" if place.task else "the suite's score"
    over = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    yield f"{kind} over {over} of {what}; a score is the mean over tasks of the mean over metrics"
    if any((place.suite, task) in DIVIDED_TASKS for run in runs for task, _, _ in run.metrics):
        yield "  MNLI's matched and mismatched set count as two tasks"
    yield HOW_SELECTED


def _why_bold(place: Place, records: pd.DataFrame) -> Iterable[str]:
    if place.tau == BASELINE_TAU:
        return
    summary = scores.summary(_of(records, place.size), REPORTED_SELECTION)
    summary = summary[(summary["suite"] == place.suite) & _at(summary, place)]
    means = dict(zip(summary["tau"], summary["mean"], strict=True))
    if BASELINE_TAU not in means:
        yield "not bold: there is no τ = 0 to compare with"
        return
    ours, baseline = means[place.tau], means[BASELINE_TAU]
    sign = ">" if ours > baseline else "not >"
    yield (
        f"{'bold' if place.cell.bold else 'not bold'}: {ours:.4f} {sign} {baseline:.4f} of τ = 0, "
        "before rounding"
    )


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


def _stage(place: Place, records: pd.DataFrame, provenance: Provenance) -> Iterable[str]:
    own = _of(records, place.size)
    if "seqs" not in place.column.key:
        yield "counted analytically from the profile, so no run is behind it"
        costs = own[own["metric"].str.startswith("cost/step_flops/")]
        for record in _tuples(costs.sort_values("metric")):
            yield f"  {record.metric}: {record.value:.6e} FLOPs"
        return
    yield "median over logged intervals, over the baseline's (τ = 0)"
    graph = _Nodes(provenance)
    for stage in dict.fromkeys((place.stage, "span_corruption")):
        rows = own[own["metric"] == f"timing/seqs_per_second/{stage}"]
        if stage == "span_corruption":
            rows = rows[rows["tau"].isin([BASELINE_TAU, ""])]
        rows = rows.drop_duplicates(["seed", "node", "step", "value"])
        if rows.empty:
            yield f"  not run: the records hold no timing of {stage}"
            continue
        yield f"  {stage}: {rows['value'].median():.4f} sequences/second, {len(rows)} intervals"
        for node, of_node in rows.groupby("node", sort=False):
            median = of_node["value"].median()
            yield f"    {node}: {median:.4f}, {len(of_node)} intervals; {graph.machine(str(node))}"


def _setting(place: Place, records: pd.DataFrame) -> Iterable[str]:
    if place.column.key in SIZES:
        found = setting_records(place, records[records["metric"].str.startswith("setting/")])
        if found.empty:
            yield "  not run: the records hold no such setting"
        for record in _tuples(found):
            yield f"{record.metric}: {record.text or f'{record.value:g}'}, as the profile has it"
    else:
        scored = records.loc[records["task"] != "", ["suite", "task"]].drop_duplicates()
        yield f"counted from the records: {len(scored)} tasks have scores"
        for suite, group in scored.groupby("suite"):
            yield f"  {suite}: {', '.join(sorted(group['task']))}"


class _Nodes:
    """Provenance by node, and by fingerprint for the way back to step 0."""

    def __init__(self, provenance: Provenance) -> None:
        self._by_node = {str(entry.get("node", "")): entry for entry in provenance}
        self._by_fingerprint = {str(entry.get("fingerprint", "")): entry for entry in provenance}

    def describe(self, node: str, fingerprint: str) -> Iterable[str]:
        """Lines on one run; one line that its provenance is missing, where it is."""
        entry = self._by_node.get(node)
        if not node or entry is None:
            yield "  provenance: none beside the records; `repro collect` writes it"
            return
        known = str(entry.get("fingerprint", ""))
        if fingerprint and known != fingerprint:
            yield (
                f"  provenance: that of another run of this name ({known[:12]}, not "
                f"{fingerprint[:12]}); run `repro collect` again"
            )
            return
        yield f"  fingerprint {known[:12]}"
        chain = list(self._ancestors(entry))
        step = entry.get("inputs", {}).get("checkpoint_step")
        at = "" if step is None else f" to its checkpoint at step {step}"
        if chain:
            names = [str(one.get("node", "?")) for one in reversed(chain)]
            yield f"  pre-trained{at}: {' > '.join(names)}"
        else:
            yield f"  pre-trained{at}: by a node that is not in the provenance"
        commits = dict.fromkeys(str(one.get("commit", "unknown")) for one in (entry, *chain))
        yield f"  code {', '.join(commits)}"
        data = entry.get("data", {})
        tokens = data.get("tokens", {}).get("train")
        size = f", {tokens:,} training tokens" if tokens else ""
        yield f"  data {str(data.get('fingerprint', 'unknown'))[:12]}{size}"
        yield f"  ran {self.machine(node)}"
        packages = entry.get("packages", {})
        versions = [f"{name} {version}" for name, version in packages.items()]
        yield f"  Python {entry.get('python', 'unknown')}; {', '.join(versions)}"
        yield f"  {entry.get('command', 'unknown command')}"

    def machine(self, node: str) -> str:
        """Device, machine and clock of a node, in a phrase."""
        entry = self._by_node.get(node)
        if entry is None:
            return "provenance unknown"
        attempts = entry.get("attempts", ())
        seconds = sum(attempt.get("seconds", 0.0) for attempt in attempts)
        started = attempts[0].get("started", "") if attempts else ""
        clock = f", {started}, {seconds:.1f} s in {len(attempts)} attempt" if attempts else ""
        clock += "s" * (len(attempts) > 1)
        return f"on {entry.get('device', '?')}, {entry.get('machine', '?')}{clock}"

    def _ancestors(self, entry: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
        """The nodes behind a node, nearest first."""
        seen: set[str] = set()
        parent = entry.get("inputs", {}).get("parent")
        while isinstance(parent, str) and parent in self._by_fingerprint and parent not in seen:
            seen.add(parent)
            yield self._by_fingerprint[parent]
            parent = self._by_fingerprint[parent].get("inputs", {}).get("parent")


def of_node(provenance: Provenance, node: str) -> list[str]:
    """Lines on the run of one node."""
    return list(_Nodes(provenance).describe(node, ""))


def _of(records: pd.DataFrame, size: str) -> pd.DataFrame:
    return records[records["size"] == size]


def _at(frame: pd.DataFrame, place: Place) -> pd.Series:
    return frame["checkpoint"].eq(place.checkpoint).fillna(False)


def _tuples(frame: pd.DataFrame) -> Iterable[Any]:
    return frame.itertuples()


__all__ = [
    "HOW_SELECTED",
    "Origin",
    "ScoredRun",
    "explain",
    "of_node",
    "printed_scores",
    "scored_runs",
    "trace",
]
