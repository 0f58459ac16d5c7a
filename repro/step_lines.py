"""Append-only files of JSON lines, one object a step, as the T5X world writes them.

A run that was stopped goes on from its newest checkpoint and logs some steps again: its attempts
overlap. Of a step logged twice the last attempt's values hold; one line torn by a kill is skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from spactor import strict_json
from spactor.errors import UserError

TIMING = "timing/"


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """A value that a later attempt of a run logged otherwise: ``name`` at ``step``."""

    step: int
    name: str
    earlier: float
    later: float


@dataclass(frozen=True, kw_only=True)
class Series:
    """What a run's attempts logged, as one series.

    Attributes:
      steps: values by step, in order of the steps.
      replayed: what attempts disagree about, clocks apart.
    """

    steps: Mapping[int, Mapping[str, float]]
    replayed: tuple[Replayed, ...]


def overlaid(attempts: Iterable[Mapping[int, Mapping[str, float]]]) -> Series:
    """Lays a run's attempts over each other, the last on top, step by step.

    The clock of a step stays where a later attempt has none: what was measured was measured.

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
            clock = {name: value for name, value in before.items() if name.startswith(TIMING)}
            steps[step] = clock | dict(values)
    return Series(steps=dict(sorted(steps.items())), replayed=tuple(replayed))


def read_series(path: Path) -> Series:
    """The series of numbers in an append-only file of JSON lines.

    A line cut short by a kill is skipped when it is the last or when the run went on behind it.

    Raises:
      UserError: naming file and line, for anything else that can't be read.
    """
    return overlaid({step: values} for step, values in (_entry(*line) for line in whole(path)))


def read_steps(path: Path) -> Mapping[int, Mapping[str, float]]:
    """Values by step, as `read_series` finds them."""
    return read_series(path).steps


def whole(path: Path) -> Iterator[tuple[str, str]]:
    """Lines of a file of JSON lines that no kill tore, each with where it stands.

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
        # A strict prefix of a flat object never ends in a brace; blank where a resumed run
        # began a new line.
        if line and not (line.startswith("{") and not line.endswith("}")):
            yield line, f"{path}, line {number}"


def _entry(line: str, where: str) -> tuple[int, dict[str, float]]:
    mend = "mend the line, or move its folder away and run again"
    try:
        values = strict_json.loads(line)
    except ValueError as error:
        raise UserError(f"{where}: damaged, no JSON object ({error}); {mend}") from None
    step = values.pop("step", None) if isinstance(values, dict) else None
    if not isinstance(step, int) or isinstance(step, bool) or step < 0:
        raise UserError(f"{where}: damaged, no step; {mend}")
    for name, value in values.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise UserError(f"{where}: damaged, {name} is {value!r}, no number; {mend}")
    return step, {name: float(value) for name, value in values.items()}
