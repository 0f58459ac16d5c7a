"""What models are fine-tuned on for MMLU and BBH, whose releases are for scoring alone.

The paper tunes as FLAN does. Its collection is no release that this project knows the files of, so
the user brings a mixture:

    D/flan/*.jsonl        {"inputs": "Is rye a grain?", "targets": "yes", ...}

All lines of all files count, file after file in the order of their names; other fields are left
alone. They are read into memory, so of a large collection bring a sample.
"""

from __future__ import annotations

from pathlib import Path

from spactor.data.benchmarks import files
from spactor.data.suites.base import Example
from spactor.errors import UserError

PATTERN = "flan/*.jsonl"
TASK = "instructions"
"""Its name, as that of a task of either benchmark."""


def paths(folder: Path) -> tuple[Path, ...]:
    """Files of the mixture in a data folder."""
    return tuple(sorted(folder.glob(PATTERN)))


def require(folder: Path, suite: str) -> None:
    """Refuses to fine-tune for a suite where there is nothing to do it on.

    Raises:
      UserError: there are no files.
    """
    if not paths(folder):
        raise UserError(
            f"suite {suite} has nothing to be fine-tuned on, its release is scored alone: put a "
            f"mixture as JSON lines with inputs and targets at {folder / PATTERN}, or leave mmlu "
            "and bbh out of the profile's suites"
        )


def examples(folder: Path) -> list[Example]:
    """All examples of the mixture.

    Raises:
      UserError: a line is damaged.
    """
    found = []
    for path in paths(folder):
        for row, fields in files.json_lines(path):
            sides = (files.text(path, row, fields, side) for side in ("inputs", "targets"))
            found.append(Example(f"{path.name}-{row}", *sides))
    return found
