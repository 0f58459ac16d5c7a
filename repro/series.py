"""Whether what a finished node logged is whole and of one run; every fault is one line.

A series may have gaps, be sampled (fewer points than its period says), or hold lines of another
run that were copied into the folder. None of that is glossed over: such a node doesn't count.
Attempts that disagree about a step are remarked; the last one holds.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from repro import digest_lines, folders, provenance, scorekeeping, step_lines, t5x_folder
from repro.plan import Finetuning, Node, Segment
from repro.specs import Profile
from repro.step_lines import Series

METRICS = "metrics.jsonl"
NO_DIGESTS = f"has no {digest_lines.FILE}: whether its lines are of one run can't be checked"
_TRAINING, _VALIDATION = "train/", "validation/"
_AT_TIMES = ("_precision", "_recall")
"""Without a positive there is none."""
_MOST_HOLES = 2
"""A series with more holes than that is called sampled."""


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What is wrong with a node's numbers, and what is only worth a remark."""

    faults: tuple[str, ...]
    remarks: tuple[str, ...]


def read(folder: Path) -> Series:
    """What a segment logged, whichever engine trained it.

    Raises:
      UserError: a file is damaged.
    """
    if t5x_folder.is_one(folder):
        return t5x_folder.read_attempts(folder)
    return step_lines.read_series(folder / METRICS)


def examine(profile: Profile, node: Node, folder: Path, fingerprint: str) -> Examined:
    """Holds a finished node's files against what its run must have written.

    Args:
      profile: the node's.
      node: of the tree.
      folder: the node's.
      fingerprint: what ``done.json`` says.

    Raises:
      UserError: a file is damaged.
    """
    faults = list(_other_runs(node, folder, fingerprint))
    remarks: list[str] = []
    if isinstance(node, Finetuning):
        found = {path: step_lines.read_series(path) for path in scorekeeping.score_files(folder)}
        if not found:
            faults.append(f"{folder / scorekeeping.SCORES}: no scores are there")
        for path, series in found.items():
            faults += _score_faults(node, folder, path, series)
    else:
        path = folder / ("train" if t5x_folder.is_one(folder) else METRICS)
        found = {path: read(folder)}
        by_name = t5x_folder.is_one(folder)
        faults += _strangers(path, found[path], _may_log(profile, node))
        faults += _gaps(path, missing(profile, node, found[path].steps, by_name=by_name))
    for path, series in found.items():
        remarks += _disagreements(path, series)
    remarks += _unchecked(folder)
    return Examined(faults=tuple(faults), remarks=tuple(remarks))


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Points that a series should have and hasn't: ``steps`` of those ``due``."""

    name: str
    steps: tuple[int, ...]
    due: tuple[int, ...]


def missing(
    profile: Profile,
    node: Segment,
    steps: Mapping[int, Mapping[str, float]],
    *,
    by_name: bool,
) -> list[Missing]:
    """Points that a segment's series lacks.

    Args:
      profile: the node's, with its periods.
      node: the segment.
      steps: what was logged.
      by_name: for every metric by itself, as event files keep them; a line of ``metrics.jsonl``
        is there as a whole.
    """
    found = []
    for family, period in (
        (_TRAINING, profile.log_period_steps),
        (_VALIDATION, profile.validation_period_steps),
    ):
        due = _due(node.start_step, node.end_step, period)
        points: dict[str, set[int]] = {family: set()}
        for step, values in steps.items():
            for name in values:
                if name.startswith(family) and not name.endswith(_AT_TIMES):
                    points[family].add(step)
                    if by_name:
                        points.setdefault(name, set()).add(step)
        if len(points) > 1:
            del points[family]
        for name, there in points.items():
            absent = tuple(step for step in due if step not in there)
            if absent:
                found.append(Missing(name=name, steps=absent, due=due))
    return found


def _due(start: int, end: int, period: int) -> tuple[int, ...]:
    """Multiples of a period behind the start, and the end.

    >>> _due(4, 10, 4)
    (8, 10)
    """
    return (*range(start - start % period + period, end, period), end)


def _may_log(profile: Profile, node: Segment) -> set[int]:
    periods = (profile.log_period_steps, profile.validation_period_steps)
    may = {step for period in periods for step in _due(node.start_step, node.end_step, period)}
    # T5X also validates what it starts from.
    return may | ({node.start_step} if node.parent is None else set())


def _gaps(path: Path, absent: Sequence[Missing]) -> Iterator[str]:
    alike: dict[tuple[tuple[int, ...], tuple[int, ...]], list[str]] = {}
    for each in absent:
        alike.setdefault((each.steps, each.due), []).append(each.name)
    for (steps, due), names in alike.items():
        names = sorted(names)
        what = ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
        holes = _holes(steps, due)
        if len(steps) == len(due):
            yield f"{path}: nothing of {what}, where {len(due)} points are due"
        elif len(holes) > _MOST_HOLES:
            there = len(due) - len(steps)
            yield f"{path}: {what}: sampled, {there} of {len(due)} points are there"
        else:
            number = "step" if len(steps) == 1 else "steps"
            yield f"{path}: gap in {what}: {number} {' and '.join(holes)} missing"


def _holes(steps: Sequence[int], due: Sequence[int]) -> list[str]:
    """Missing steps, those in a row together.

    >>> _holes((4, 6, 10), (2, 4, 6, 8, 10))
    ['4 to 6', '10']
    """
    rows: list[list[int]] = []
    absent = set(steps)
    for before, step in itertools.pairwise((None, *due)):
        if step in absent:
            if before not in absent:
                rows.append([])
            rows[-1].append(step)
    return [f"{row[0]} to {row[-1]}" if row[1:] else f"{row[0]}" for row in rows]


def _strangers(path: Path, series: Series, may: set[int]) -> Iterator[str]:
    strange = [step for step in series.steps if step not in may]
    if strange:
        yield (
            f"{path}: step {strange[0]} is none that this run logs "
            f"({min(may)} to {max(may)} in its periods): lines of another run are in it"
        )


def _score_faults(node: Finetuning, folder: Path, path: Path, series: Series) -> Iterator[str]:
    # T5X's steps count on from pre-training's.
    offset = node.checkpoint_step if t5x_folder.is_one(folder) else 0
    last = node.config.total_steps
    due = tuple(offset + step for step in _due(0, last, node.config.evaluation_period_steps))
    yield from _strangers(path, series, {*due})
    absent = tuple(step for step in due if step not in series.steps)
    if absent:
        yield from _gaps(path, [Missing(name="scores", steps=absent, due=due)])


def _disagreements(path: Path, series: Series) -> Iterator[str]:
    if series.replayed:
        first = series.replayed[0]
        more = len({each.step for each in series.replayed}) - 1
        others = f", and {more} more steps" if more else ""
        yield (
            f"{path}: two attempts logged step {first.step} differently ({first.name} "
            f"{first.earlier:.9g} and {first.later:.9g}{others}): the last one holds"
        )


def _unchecked(folder: Path) -> Iterator[str]:
    """Of which steps nobody can tell whether they are this run's."""
    if t5x_folder.is_one(folder):
        return
    digests, metrics = folder / digest_lines.FILE, folder / METRICS
    if not digests.is_file():
        yield NO_DIGESTS
    elif metrics.is_file():
        known = digest_lines.last(digests)
        stray = [step for step in step_lines.read_steps(metrics) if step not in known]
        if stray:
            yield (
                f"{digests} has no line of step {stray[0]}"
                f"{f' and {len(stray) - 1} more' if stray[1:] else ''}: whether what was logged "
                "there is of this run can't be checked"
            )


def _other_runs(node: Node, folder: Path, fingerprint: str) -> Iterator[str]:
    """Signs that something in the folder was made by another run."""
    record = provenance.read(folder / folders.PROVENANCE)
    if record.get("fingerprint", fingerprint) != fingerprint:
        yield f"{folder / folders.PROVENANCE} is of another run ({record['fingerprint'][:12]})"
    by_t5x = t5x_folder.is_one(folder)
    if by_t5x:
        yield from t5x_folder.strange_configs(folder)
    path = folder / digest_lines.FILE
    if not path.is_file():
        return
    seed = node.draw_seed if isinstance(node, Finetuning) else node.seed
    known: dict[int, dict[str, str]] = {}
    for line in digest_lines.read(path):
        # T5X's configuration says whose run it is, and its lines do not.
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
