"""Reader of a run's JSON-lines logs, with one object per step: metrics, scores, data digests.

An interrupted run resumes from its newest checkpoint and logs some steps again, so its attempts
overlap. The values of the last attempt are used; an incomplete line is skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spactor import strict_json
from spactor.errors import UserError

METRICS, DIGESTS = "metrics.jsonl", "digests.jsonl"
"""Names of the logs in a node's folder."""
TIMING = "timing/"
READ = ("batch", "masks")
"""Inputs of an update that have digests; fine-tuning and T5X have no digest of masks."""
_ADVICE = "correct the line, or move its folder away and run again"

Steps = Mapping[int, Mapping[str, float]]
"""Values by step and metric, in the order of the steps."""


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """A value that two attempts of a run logged differently at the same step."""

    step: int
    name: str
    earlier: float
    later: float


@dataclass(frozen=True, kw_only=True)
class Series:
    """The attempts of a run merged into one series.

    Attributes:
      steps: values by step.
      replayed: values that differ between attempts, except timings.
    """

    steps: Steps
    replayed: tuple[Replayed, ...]


@dataclass(frozen=True, kw_only=True)
class Digests:
    """A line of ``digests.jsonl``.

    Attributes:
      step: number of the step after the update.
      run: fingerprint of the node; "" for T5X, where the configuration identifies the run.
      seed: seed of the trainer.
      read: digests of the update's inputs, by the names in `READ`.
    """

    step: int
    run: str
    seed: int
    read: Mapping[str, str]


def overlaid(attempts: Iterable[Steps]) -> Series:
    """Merges the attempts of a run step by step; later attempts replace earlier ones.

    A step's timing remains if a later attempt has none.

    >>> overlaid([{1: {"x": 1.0}, 2: {"x": 2.0, "y": 3.0}}, {2: {"x": 2.5}, 3: {"x": 3.0}}]).steps
    {1: {'x': 1.0}, 2: {'x': 2.5}, 3: {'x': 3.0}}
    """
    steps: dict[int, dict[str, float]] = {}
    replayed = []
    for attempt in attempts:
        for step, values in attempt.items():
            before = steps.get(step, {})
            replayed += [
                Replayed(step=step, name=name, earlier=before[name], later=value)
                for name, value in values.items()
                if not name.startswith(TIMING) and before.get(name, value) != value
            ]
            timing = {name: value for name, value in before.items() if name.startswith(TIMING)}
            steps[step] = timing | dict(values)
    return Series(steps=dict(sorted(steps.items())), replayed=tuple(replayed))


def read_series(path: Path) -> Series:
    """Reads a log of numbers, such as ``metrics.jsonl`` or a task's scores.

    Raises:
      UserError: the file or a line can't be read; names the file and the line.
    """
    return overlaid({step: values} for step, values in (_numbers(*line) for line in lines(path)))


def read_steps(path: Path) -> Steps:
    """Returns the values of `read_series` by step."""
    return read_series(path).steps


def read_digests(path: Path) -> list[Digests]:
    """Reads every line of ``digests.jsonl``, in the order of writing.

    Raises:
      UserError: the file or a line can't be read; names the file and the line.
    """
    return [_digests(*line) for line in lines(path)]


def last_digests(path: Path) -> dict[int, Mapping[str, str]]:
    """Returns the digests of each step's last attempt, in the order of the steps."""
    return dict(sorted({line.step: line.read for line in read_digests(path)}.items()))


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yields each complete line of a log, with file and line number for error messages.

    Raises:
      UserError: the file is missing or can't be read.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} is missing: move its folder away and run again") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't be read ({error}); move its folder away") from None
    for number, line in enumerate(text.split("\n"), start=1):
        # An incomplete flat object never ends in a brace. A resumed run may leave an empty line.
        if line and not (line.startswith("{") and not line.endswith("}")):
            yield line, f"{path}, line {number}"


def _entry(line: str, where: str) -> tuple[int, dict[str, Any]]:
    """Parses a line into its step and its other values."""
    try:
        values = strict_json.loads(line)
    except ValueError as error:
        raise UserError(f"{where}: damaged, not a JSON object ({error}); {_ADVICE}") from None
    step = values.pop("step", None) if isinstance(values, dict) else None
    if type(step) is not int or step < 0:
        raise UserError(f"{where}: damaged, has no step; {_ADVICE}")
    return step, values


def _numbers(line: str, where: str) -> tuple[int, dict[str, float]]:
    step, values = _entry(line, where)
    for name, value in values.items():
        if type(value) not in (int, float):
            raise UserError(f"{where}: damaged, {name} is {value!r}, not a number; {_ADVICE}")
    return step, {name: float(value) for name, value in values.items()}


def _digests(line: str, where: str) -> Digests:
    step, values = _entry(line, where)
    read = {name: values[name] for name in READ if name in values}
    for name, value, kind in (
        ("run", values.get("run"), str),
        ("seed", values.get("seed"), int),
        *((name, value, str) for name, value in read.items()),
    ):
        if type(value) is not kind:
            raise UserError(f"{where}: damaged, {name} is {value!r}; {_ADVICE}")
    return Digests(step=step, run=values["run"], seed=values["seed"], read=read)
