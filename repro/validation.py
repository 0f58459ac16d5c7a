"""Checks that the logs of a finished node are complete and belong to one run.

A node is left out of the records if its log has gaps, is sampled (has fewer points than its period
requires), or has lines of another run. If attempts logged a step differently, the last one is used,
and a remark names the step.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from repro import folders, provenance, scoring, step_lines, t5x_folder
from repro.plan import Finetuning, Node, Segment
from repro.specs import Profile
from repro.step_lines import DIGESTS, METRICS, Digests, Series, Steps

NO_DIGESTS = f"has no {DIGESTS}, so it can't be checked that its lines are of one run"
_TRAINING, _VALIDATION = "train/", "validation/"
_UNDEFINED_AT_TIMES = ("_precision", "_recall")
"""Suffixes of metrics that are not logged at a step without positives."""
_MOST_HOLES = 2
"""Largest number of gaps in a series that are listed; with more it is reported as sampled."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Faults and remarks, one line each; a node with faults is left out of the records."""

    faults: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Steps that a series lacks, and all steps that it should have."""

    name: str
    steps: tuple[int, ...]
    due: tuple[int, ...]


def read_series(folder: Path) -> Series:
    """Reads the log of a segment of either engine.

    Raises:
      UserError: a file is damaged.
    """
    if t5x_folder.is_one(folder):
        return t5x_folder.read_series(folder)
    return step_lines.read_series(folder / METRICS)


def validate(profile: Profile, node: Node, folder: Path, fingerprint: str) -> Findings:
    """Checks a finished node's files.

    Args:
      profile: profile of the node.
      node: the node.
      folder: folder of the node.
      fingerprint: fingerprint in ``done.json``.

    Raises:
      UserError: a file is damaged.
    """
    path = folder / DIGESTS
    digests = step_lines.read_digests(path) if path.is_file() else None
    faults = list(_other_runs(node, folder, fingerprint, digests or ()))
    found: dict[Path, Series] = {}
    if isinstance(node, Finetuning):
        first = scoring.first_step(folder, node)
        due = score_steps(node, first)
        found = {path: step_lines.read_series(path) for path in scoring.score_files(folder)}
        if not found:
            faults.append(f"{folder / scoring.SCORES} has no scores")
        for path, series in found.items():
            faults += _unexpected(path, series, due)
            faults += _gap_lines(path, find_gaps({"scores": series.steps}, due))
    else:
        by_t5x = t5x_folder.is_one(folder)
        path = folder / ("train" if by_t5x else METRICS)
        found[path] = series = read_series(folder)
        faults += _unexpected(path, series, _loggable_steps(profile, node))
        faults += _gap_lines(path, segment_gaps(profile, node, series.steps, by_metric=by_t5x))
    remarks = [line for path, series in found.items() for line in _disagreements(path, series)]
    remarks += _unverifiable(folder, digests)
    return Findings(faults=tuple(faults), remarks=tuple(remarks))


def due_steps(start: int, end: int, period: int) -> tuple[int, ...]:
    """Returns the multiples of a period after the start, and the end.

    >>> due_steps(4, 10, 4)
    (8, 10)
    """
    return (*range(start - start % period + period, end, period), end)


def score_steps(node: Finetuning, first: int) -> tuple[int, ...]:
    """Returns the steps at which a fine-tuning is scored, counted from ``first``."""
    config = node.config
    return tuple(
        first + step for step in due_steps(0, config.total_steps, config.evaluation_period_steps)
    )


def find_gaps(present: Mapping[str, Collection[int]], due: tuple[int, ...]) -> list[Gap]:
    """Returns the gaps of several series that should have the same steps.

    >>> find_gaps({"a": (2, 4), "b": (2,)}, (2, 4))
    [Gap(name='b', steps=(4,), due=(2, 4))]
    """
    gaps = (
        Gap(name=name, steps=tuple(step for step in due if step not in steps), due=due)
        for name, steps in present.items()
    )
    return [gap for gap in gaps if gap.steps]


def segment_gaps(profile: Profile, node: Segment, steps: Steps, *, by_metric: bool) -> list[Gap]:
    """Returns the gaps in a segment's training and validation metrics.

    Args:
      profile: profile of the node, with its periods.
      node: the segment.
      steps: logged values.
      by_metric: whether to check every metric by itself, for event files; a line of
        ``metrics.jsonl`` has all metrics.
    """
    gaps = []
    for family, period in (
        (_TRAINING, profile.log_period_steps),
        (_VALIDATION, profile.validation_period_steps),
    ):
        present: dict[str, set[int]] = {}
        for step, values in steps.items():
            for name in values:
                if name.startswith(family) and not name.endswith(_UNDEFINED_AT_TIMES):
                    present.setdefault(name if by_metric else family, set()).add(step)
        due = due_steps(node.start_step, node.end_step, period)
        gaps += find_gaps(present or {family: ()}, due)
    return gaps


def _loggable_steps(profile: Profile, node: Segment) -> set[int]:
    periods = (profile.log_period_steps, profile.validation_period_steps)
    steps = {
        step for period in periods for step in due_steps(node.start_step, node.end_step, period)
    }
    # T5X also validates the initial parameters.
    return steps | ({node.start_step} if node.parent is None else set())


def _gap_lines(path: Path, gaps: Iterable[Gap]) -> Iterator[str]:
    """Describes gaps; metrics with the same gap share a line."""
    alike: dict[tuple[tuple[int, ...], tuple[int, ...]], list[str]] = {}
    for gap in gaps:
        alike.setdefault((gap.steps, gap.due), []).append(gap.name)
    for (steps, due), names in alike.items():
        names = sorted(names)
        what = ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
        holes = _ranges(steps, due)
        if len(steps) == len(due):
            yield f"{path}: nothing of {what}, where {len(due)} points are due"
        elif len(holes) > _MOST_HOLES:
            present = len(due) - len(steps)
            yield f"{path}: {what}: sampled, {present} of {len(due)} points are there"
        else:
            number = "step" if len(steps) == 1 else "steps"
            yield f"{path}: gap in {what}: {number} {' and '.join(holes)} missing"


def _ranges(steps: Collection[int], due: Iterable[int]) -> list[str]:
    """Formats missing steps; consecutive ones become a range.

    >>> _ranges((4, 6, 10), (2, 4, 6, 8, 10))
    ['4 to 6', '10']
    """
    runs = itertools.groupby(due, key=lambda step: step in steps)
    missing = [list(run) for is_missing, run in runs if is_missing]
    return [f"{run[0]} to {run[-1]}" if run[1:] else f"{run[0]}" for run in missing]


def _unexpected(path: Path, series: Series, allowed: Collection[int]) -> Iterator[str]:
    step = next((step for step in series.steps if step not in allowed), None)
    if step is not None:
        yield (
            f"{path}: this run does not log step {step} "
            f"({min(allowed)} to {max(allowed)} in its periods): it has lines of another run"
        )


def _disagreements(path: Path, series: Series) -> Iterator[str]:
    if series.replayed:
        first = series.replayed[0]
        more = len({each.step for each in series.replayed}) - 1
        others = f", and {more} more steps" if more else ""
        yield (
            f"{path}: two attempts logged step {first.step} differently ({first.name} "
            f"{first.earlier:.9g} and {first.later:.9g}{others}): the last one counts"
        )


def _unverifiable(folder: Path, digests: Iterable[Digests] | None) -> Iterator[str]:
    """Reports steps without a digest, which can't be checked."""
    if t5x_folder.is_one(folder):
        return
    metrics = folder / METRICS
    if digests is None:
        yield NO_DIGESTS
    elif metrics.is_file():
        known = {line.step for line in digests}
        stray = [step for step in step_lines.read_steps(metrics) if step not in known]
        if stray:
            more = f" and {len(stray) - 1} more" if stray[1:] else ""
            yield (
                f"{folder / DIGESTS} has no line of step {stray[0]}{more}, so it can't be checked "
                "that its values are of this run"
            )


def _other_runs(
    node: Node, folder: Path, fingerprint: str, digests: Iterable[Digests]
) -> Iterator[str]:
    """Reports files or lines in the folder that belong to another run."""
    record = provenance.read(folder / folders.PROVENANCE)
    if record.get("fingerprint", fingerprint) != fingerprint:
        yield f"{folder / folders.PROVENANCE} is of another run ({record['fingerprint'][:12]})"
    by_t5x = t5x_folder.is_one(folder)
    if by_t5x:
        yield from t5x_folder.foreign_configs(folder)
    path = folder / DIGESTS
    seed = node.draw_seed if isinstance(node, Finetuning) else node.seed
    known: dict[int, Mapping[str, str]] = {}
    for line in digests:
        # T5X's lines have no run; its configuration identifies the run.
        if not by_t5x and line.run != fingerprint:
            yield f"{path}: step {line.step} is of another run ({line.run[:12]})"
            return
        if line.seed != seed:
            yield f"{path}: step {line.step} is of seed {line.seed}, and this run has {seed}"
            return
        if known.setdefault(line.step, line.read) != line.read:
            yield (
                f"{path}: two attempts read different data at step {line.step}: "
                "they are of two runs"
            )
            return
