"""What a run says of its inputs, step by step: its name, its seed, its batches and masks.

``digests.jsonl`` lies beside ``metrics.jsonl``; attempts overlap in both. Two runs that read the
same have the same digests, so `repro verify` can say whether data or arithmetic differed first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from repro.folders import require
from repro.step_lines import whole
from spactor import strict_json
from spactor.errors import UserError

FILE = "digests.jsonl"
READ = ("batch", "masks")
"""What an update read; fine-tuning has no masks, and T5X's are drawn inside its step."""
_NEEDS = {"step": int, "run": str, "seed": int}
_KNOWS = dict.fromkeys(READ, str)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line.

    Attributes:
      step: at the end of the update.
      run: fingerprint of the node; empty of a T5X run, which says whose it is in its configuration.
      seed: that the trainer was given.
      read: digests by name.
    """

    step: int
    run: str
    seed: int
    read: dict[str, str]


def read(path: Path) -> list[Line]:
    """Every line, attempt by attempt.

    Raises:
      UserError: naming file and line, for what can't be read.
    """
    return [_line(text, where) for text, where in whole(path)]


def last(path: Path) -> dict[int, dict[str, str]]:
    """Digests by step, those of the last attempt that logged it, in order of the steps."""
    return dict(sorted({line.step: line.read for line in read(path)}.items()))


def _line(text: str, where: str) -> Line:
    try:
        values = strict_json.loads(text)
        require(values, _NEEDS, _KNOWS)
        if values["step"] < 0:
            raise ValueError(f"step is {values['step']}")
    except ValueError as error:
        raise UserError(
            f"{where}: damaged, no digests of a step ({error}); mend the line, or move its folder "
            "away and run again"
        ) from None
    return Line(
        step=values["step"],
        run=values["run"],
        seed=values["seed"],
        read={name: values[name] for name in READ if name in values},
    )
