"""Where two runs first differ: at which step, in which stream.

Streams, in the order in which a difference spreads within a step: the batch an update read, the
masks on it, training metrics, validation losses, parameters with their optimizer slots, predictions
and scores. Clocks and paths are no numbers and are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro import folders, identity, scoring, step_lines, t5x_folder, validation
from spactor import predictions
from spactor.data.digest import batch_digest
from spactor.errors import UserError

Values = Mapping[int, Mapping[str, Any]]
"""Values by step and name."""
Parameters = Callable[[Path], Values]
"""Digests of the arrays in every checkpoint of a node's folder, by step and path in the tree."""

STREAMS = (
    *("batch", "masks", "train metrics", "validation", "parameters", "predictions", "scores"),
    "facts",
)
"""Facts are records that no run measured: costs, settings, the data's."""
_FAMILIES = {"train/": "train metrics", "validation/": "validation", "eval/": "scores"}


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The first difference of one stream.

    Attributes:
      where: name of the node, or of the series.
      step: at which.
      stream: one of `STREAMS`.
      name: of the value.
      values: on either side; None where there is none.
    """

    where: str
    step: int
    stream: str
    name: str
    values: tuple[Any, Any]

    def line(self) -> str:
        """For people."""
        first, second = ("nothing" if value is None else value for value in self.values)
        named = "" if self.name == self.stream else f" ({self.name})"
        return f"{self.where}: step {self.step}: {self.stream} differ{named}: {first} and {second}"


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What a comparison found.

    Attributes:
      differences: the first of each stream, those of one place together, the earliest first.
      missing: what only one side has, line by line.
      notes: what was not or could not be compared, and inputs that differ.
      counted: how many values were held against each other.
    """

    differences: tuple[Difference, ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...]
    counted: int

    @property
    def equal(self) -> bool:
        return not self.differences and not self.missing


def streams_of(folder: Path, parameters: Parameters) -> dict[str, Values]:
    """Every stream that a node's folder holds.

    Args:
      folder: of a node, whichever engine trained it.
      parameters: reads its checkpoints.

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
    for step, digests in parameters(folder).items():
        for name, digest in digests.items():
            add("parameters", step, name, digest)
    return dict(found)


def first_differences(
    where: str, first: Mapping[str, Values], second: Mapping[str, Values]
) -> tuple[list[Difference], int]:
    """The first difference of each stream, the earliest first, and how many values were compared.

    A step that one side alone has is a difference; of checkpoints only those that both sides keep
    are compared, as which are kept depends on how often a run was saved.
    """
    found, counted = [], 0
    for stream in STREAMS:
        ours, theirs = first.get(stream, {}), second.get(stream, {})
        steps = (
            ours.keys() & theirs.keys() if stream == "parameters" else ours.keys() | theirs.keys()
        )
        pairs = list(_pairs(ours, theirs, sorted(steps)))
        counted += len(pairs)
        for step, name, values in pairs:
            if values[0] != values[1]:
                found.append(
                    Difference(where=where, step=step, stream=stream, name=name, values=values)
                )
                break
    return sorted(found, key=lambda each: (each.step, STREAMS.index(each.stream))), counted


def _pairs(
    ours: Values, theirs: Values, steps: Iterable[int]
) -> Iterator[tuple[int, str, tuple[Any, Any]]]:
    for step in steps:
        one, other = ours.get(step, {}), theirs.get(step, {})
        for name in sorted(one.keys() | other.keys()):
            yield step, name, (one.get(name), other.get(name))


def compare_nodes(where: str, first: Path, second: Path, parameters: Parameters) -> Compared:
    """Compares two folders of nodes.

    Args:
      where: what to call them.
      first, second: the folders.
      parameters: reads their checkpoints.

    Raises:
      UserError: one is no node's folder, or holds nothing to compare.
    """
    recorded = [_recorded(folder) for folder in (first, second)]
    sides = [streams_of(folder, parameters) for folder in (first, second)]
    for folder, streams in zip((first, second), sides, strict=True):
        if not streams:
            raise UserError(f"{folder} holds no numbers yet: let `repro run` finish it")
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
        notes.append(f"{where}: not compared, as both don't have them: {', '.join(lacking)}")
    return Compared(differences=tuple(differences), missing=(), notes=tuple(notes), counted=counted)


def _recorded(folder: Path) -> Mapping[str, Any]:
    recorded = folders.read_node(folder)
    if not recorded:
        raise UserError(
            f"{folder} is no folder of a node (no {folders.NODE} in it): name a folder of runs, "
            "of a node, or of records"
        )
    return recorded


def nodes_in(home: Path) -> dict[str, Path]:
    """Folders of the nodes of a profile by name, parents before their children.

    Args:
      home: the profile's, in a folder of runs.
    """
    found = []
    for path in home.rglob(folders.NODE):
        name = path.parent.relative_to(home).as_posix()
        if not name.startswith("stale/"):
            inputs = folders.read_node(path.parent).get("inputs", {})
            begins = inputs.get("start_step", inputs.get("checkpoint_step", 0))
            found.append((begins, "suite" in inputs, name, path.parent))
    return {name: folder for _, _, name, folder in sorted(found)}


def compare_runs(first: Path, second: Path, parameters: Parameters) -> Compared:
    """Compares one profile's nodes in two folders of runs.

    Args:
      first, second: the profile's folders.
      parameters: reads checkpoints.

    Raises:
      UserError: neither holds a node.
    """
    ours, theirs = nodes_in(first), nodes_in(second)
    if not ours.keys() & theirs.keys():
        raise UserError(
            f"{first} and {second} have no node in common: run the same profile in both"
        )
    missing = [
        f"{name}: only in {home}"
        for mine, other, home in ((ours, theirs, first), (theirs, ours, second))
        for name in mine
        if name not in other
    ]
    each = [
        compare_nodes(name, folder, theirs[name], parameters)
        for name, folder in ours.items()
        if name in theirs
    ]
    return Compared(
        differences=tuple(difference for one in each for difference in one.differences),
        missing=tuple(missing),
        notes=tuple(note for one in each for note in one.notes),
        counted=sum(one.counted for one in each),
    )


def compare_records(first: Path, second: Path) -> Compared:
    """Compares two files of records, each record by its key; the node's name says where.

    Raises:
      UserError: a file can't be read as records.
    """
    from analysis.schema import records

    sides: list[dict[str, dict[str, dict[int, dict[str, Any]]]]] = []
    keys = [name for name in records.KEY_COLUMNS if name not in ("step", "paper_step", "metric")]
    for path in (first, second):
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
        sides.append(places)
    differences, counted = [], 0
    for where in sides[0].keys() & sides[1].keys():
        found, number = first_differences(where, sides[0][where], sides[1][where])
        differences += found
        counted += number
    missing = [
        f"{where}: only in {path}"
        for mine, other, path in ((sides[0], sides[1], first), (sides[1], sides[0], second))
        for where in mine
        if where not in other
    ]
    return Compared(
        differences=tuple(sorted(differences, key=lambda each: (each.step, each.where))),
        missing=tuple(sorted(missing)),
        notes=(),
        counted=counted,
    )
