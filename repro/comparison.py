"""Comparison of two runs: the first step and stream of values at which they differ.

Streams are, in the order in which a difference spreads within a step: the batch of an update, its
masks, training metrics, validation losses, the zero-shot cloze, parameters with their optimizer
slots, predictions and scores. Timings and paths are not compared.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro import folders, identity, scoring, step_lines, t5x_folder, validation
from spactor import predictions
from spactor.data.digest import batch_digest
from spactor.errors import UserError

Values = Mapping[int, Mapping[str, Any]]
"""Values by step and name."""

STREAMS = (
    *("batch", "masks", "train metrics", "validation", "cloze"),
    *("parameters", "predictions", "scores", "facts"),
)
"""Names of the streams; "facts" are records that no run measures: costs, settings, data."""
_FAMILIES = {
    "train/": "train metrics",
    "validation/": "validation",
    "cloze/": "cloze",
    "eval/": "scores",
}


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The first difference of one stream.

    Attributes:
      where: the node's name, or the columns that identify a series of records.
      step: step at which the values differ.
      stream: one of `STREAMS`.
      name: name of the value.
      values: values of both sides; None for a missing one.
    """

    where: str
    step: int
    stream: str
    name: str
    values: tuple[Any, Any]

    def line(self) -> str:
        """Formats the difference."""
        first, second = ("nothing" if value is None else value for value in self.values)
        named = "" if self.name == self.stream else f" ({self.name})"
        return f"{self.where}: step {self.step}: {self.stream} differ{named}: {first} and {second}"


@dataclass(frozen=True, kw_only=True)
class Compared:
    """The result of a comparison.

    Attributes:
      differences: first difference of each stream and node; the earliest of a node is first.
      missing: nodes or series that only one side has, one line each.
      notes: inputs that differ, and streams that were not compared.
      counted: number of values compared.
    """

    differences: tuple[Difference, ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...]
    counted: int

    @property
    def equal(self) -> bool:
        return not self.differences and not self.missing


def streams_of(folder: Path) -> dict[str, Values]:
    """Reads every stream in a node's folder; checkpoints only of the local engine's nodes.

    Args:
      folder: folder of a node of either engine.

    Raises:
      UserError: a file is damaged.
    """
    found: dict[str, dict[int, dict[str, Any]]] = {}

    def add(stream: str, step: int, name: str, value: Any) -> None:
        found.setdefault(stream, {}).setdefault(step, {})[name] = value

    if (folder / step_lines.DIGESTS).is_file():
        for step, read in step_lines.last_digests(folder / step_lines.DIGESTS).items():
            for name, digest in read.items():
                add(name, step, name, digest)
    if t5x_folder.is_one(folder) or (folder / step_lines.METRICS).is_file():
        for step, values in validation.read_series(folder).steps.items():
            for name, value in values.items():
                family, _, rest = name.partition("/")
                if stream := _FAMILIES.get(f"{family}/"):
                    add(stream, step, rest, value)
    for path in scoring.score_files(folder):
        for step, values in step_lines.read_steps(path).items():
            for name, value in values.items():
                add("scores", step, f"{path.name.split('-')[0]}/{name}", value)
    for step in predictions.steps(folder):
        for task, tokens in predictions.read(folder, step).items():
            add("predictions", step, task, batch_digest(tokens))
    if (folder / "checkpoints").is_dir():
        from spactor import checkpoints  # imports JAX

        for step, digests in checkpoints.digests(folder).items():
            for name, digest in digests.items():
                add("parameters", step, name, digest)
    return dict(found)


def first_differences(
    where: str, first: Mapping[str, Values], second: Mapping[str, Values]
) -> tuple[list[Difference], int]:
    """Finds the first difference of each stream.

    A step that only one side has is a difference. An exception are checkpoints, and the cloze,
    which is measured at them: only steps of both sides are compared, since runs may be saved at
    different steps.

    Args:
      where: name of the node or series.
      first, second: streams of both sides, from :func:`streams_of`.

    Returns:
      The differences, the earliest first, and the number of compared values.
    """
    found, counted = [], 0
    for stream in STREAMS:
        ours, theirs = first.get(stream, {}), second.get(stream, {})
        of_checkpoints = stream in ("parameters", "cloze")
        steps = ours.keys() & theirs.keys() if of_checkpoints else ours.keys() | theirs.keys()
        pairs = [
            (step, name, (ours.get(step, {}).get(name), theirs.get(step, {}).get(name)))
            for step in sorted(steps)
            for name in sorted(ours.get(step, {}).keys() | theirs.get(step, {}).keys())
        ]
        counted += len(pairs)
        unequal = next((pair for pair in pairs if pair[2][0] != pair[2][1]), None)
        if unequal:
            step, name, values = unequal
            found.append(
                Difference(where=where, step=step, stream=stream, name=name, values=values)
            )
    return sorted(found, key=lambda each: (each.step, STREAMS.index(each.stream))), counted


def compare_nodes(where: str, first: Path, second: Path) -> Compared:
    """Compares two folders of nodes.

    Args:
      where: name of the node in the result.
      first, second: the folders.

    Raises:
      UserError: one is not a node's folder, or has no values.
    """
    recorded = [_recorded(folder) for folder in (first, second)]
    sides = [streams_of(folder) for folder in (first, second)]
    for folder, streams in zip((first, second), sides, strict=True):
        if not streams:
            raise UserError(f"{folder} has no numbers yet: train the node first")
    differences, counted = first_differences(where, *sides)
    notes = [
        f"{where}: inputs differ: {line}"
        for line in identity.differences(*(each.get("inputs", {}) for each in recorded))
    ]
    lacking = [
        stream
        for stream in ("batch", "parameters")
        if not (sides[0].get(stream, {}).keys() & sides[1].get(stream, {}).keys())
    ]
    if lacking:
        notes.append(f"{where}: not compared, missing on a side: {', '.join(lacking)}")
    return Compared(differences=tuple(differences), missing=(), notes=tuple(notes), counted=counted)


def _recorded(folder: Path) -> Mapping[str, Any]:
    recorded = folders.read_node(folder)
    if not recorded:
        raise UserError(
            f"{folder} is not a node's folder (it has no {folders.NODE}): name a folder of runs, "
            "of a node, or of records"
        )
    return recorded


def nodes_in(home: Path) -> dict[str, Path]:
    """Returns the node folders of a profile by name, parents before their children.

    Args:
      home: folder of the profile in a folder of runs.
    """
    found = []
    for path in home.rglob(folders.NODE):
        name = path.parent.relative_to(home).as_posix()
        if not name.startswith("stale/"):
            inputs = folders.read_node(path.parent).get("inputs", {})
            begins = inputs.get("start_step", inputs.get("checkpoint_step", 0))
            found.append((begins, "suite" in inputs, name, path.parent))
    return {name: folder for _, _, name, folder in sorted(found)}


def compare_runs(first: Path, second: Path) -> Compared:
    """Compares one profile's nodes in two folders of runs.

    Args:
      first, second: the profile's folders.

    Raises:
      UserError: the folders have no node in common.
    """
    ours, theirs = nodes_in(first), nodes_in(second)
    each = [
        compare_nodes(name, folder, theirs[name]) for name, folder in ours.items() if name in theirs
    ]
    if not each:
        raise UserError(
            f"{first} and {second} have no node in common: run the same profile in both"
        )
    return Compared(
        differences=tuple(difference for one in each for difference in one.differences),
        missing=tuple(_only_in(first, ours, theirs) + _only_in(second, theirs, ours)),
        notes=tuple(note for one in each for note in one.notes),
        counted=sum(one.counted for one in each),
    )


def _only_in(home: Path, here: Collection[str], there: Collection[str]) -> list[str]:
    return [f"{name}: only in {home}" for name in here if name not in there]


def compare_records(first: Path, second: Path) -> Compared:
    """Compares two files of records by their key columns.

    Raises:
      UserError: a file can't be read as records.
    """
    ours, theirs = _series_of(first), _series_of(second)
    differences, counted = [], 0
    for where in ours.keys() & theirs.keys():
        found, number = first_differences(where, ours[where], theirs[where])
        differences += found
        counted += number
    return Compared(
        differences=tuple(sorted(differences, key=lambda each: (each.step, each.where))),
        missing=tuple(sorted(_only_in(first, ours, theirs) + _only_in(second, theirs, ours))),
        notes=(),
        counted=counted,
    )


def _series_of(path: Path) -> dict[str, dict[str, dict[int, dict[str, Any]]]]:
    """Reads records as streams, by the values of the key columns without step and metric."""
    from analysis.schema import records

    keys = [name for name in records.KEY_COLUMNS if name not in ("step", "paper_step", "metric")]
    places: dict[str, dict[str, dict[int, dict[str, Any]]]] = {}
    frame = records.read(path).astype(object)
    frame = frame.where(frame.notna(), None)
    for row in frame.to_dict("records"):
        family = row["metric"].partition("/")[0] + "/"
        stream = "scores" if row["suite"] else _FAMILIES.get(family, "facts")
        where = " ".join(str(row[key]) for key in keys if row[key] not in (None, ""))
        value = row["text"] if row["value"] is None else row["value"]
        steps = places.setdefault(where, {}).setdefault(stream, {})
        steps.setdefault(row["step"] or 0, {})[row["metric"]] = value
    return places
