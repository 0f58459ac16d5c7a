"""Instructions to fine-tune on for MMLU and BBH, whose releases have examples to score alone.

The paper fine-tunes on the FLAN collection, which has no release in files; so the user brings a
mixture:

    D/flan/*.jsonl        {"inputs": "Is rye a grain?", "targets": "yes", ...}

All lines of all files are read, in the order of the files' names; other fields are ignored. They
are held in memory, so bring a sample of a large collection; at least `LEAST_ROWS` are needed.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from spactor.data.examples import Example
from spactor.data.readers import files
from spactor.data.suites import FileTask, Release, Suite
from spactor.errors import UserError

PATTERN = "flan/*.jsonl"
TASK = "instructions"
"""Name of the task that it becomes in either benchmark."""
LEAST_ROWS = 8
"""T5X reads training data in so many shards, and an empty shard yields no batch."""


def paths(folder: Path) -> tuple[Path, ...]:
    """Files of the mixture in a data folder."""
    return tuple(sorted(folder.glob(PATTERN)))


def require(folder: Path, suite: str) -> None:
    """Checks that a data folder has instructions to fine-tune on for a suite.

    Raises:
      UserError: there are no files, or as `read`.
    """
    found = paths(folder)
    if not found:
        raise UserError(
            f"suite {suite} has nothing to be fine-tuned on, its release is scored alone: put a "
            f"mixture as JSON lines with inputs and targets at {folder / PATTERN}, or leave mmlu "
            "and bbh out of the profile's suites"
        )
    read(None, *found)


def with_instructions(suite: Suite, folder: Path) -> Suite:
    """A benchmark with the mixture as its last task, if it lacks training data and there is one."""
    found = [path.relative_to(folder).as_posix() for path in paths(folder)]
    if suite.has_training_data or not found:
        return suite
    task = FileTask(
        name=TASK,
        metrics=(),
        files={"train": tuple(found)},
        counts={},
        reader="instructions:read",
        release=Release("the user's mixture of instructions", PATTERN),
    )
    return dataclasses.replace(suite, tasks=(*suite.tasks, task))


def read(_task: FileTask | None, *paths: Path) -> list[Example]:
    """All examples of files, in their order.

    Raises:
      UserError: a line is damaged, a file is empty, or there are fewer than `LEAST_ROWS`.
    """
    found: list[Example] = []
    for path in paths:
        before = len(found)
        for row, fields in files.json_lines(path):
            inputs, targets = (
                files.text(path, row, fields, side) for side in ("inputs", "targets")
            )
            found.append(Example(f"{path.name}-{row}", inputs, targets))
        if len(found) == before:
            raise UserError(f"{path}: 0 rows: give it lines with inputs and targets, or remove it")
    if len(found) < LEAST_ROWS:
        raise UserError(
            f"{', '.join(map(str, paths))}: {len(found)} rows, and fine-tuning needs at "
            f"least {LEAST_ROWS}: add lines with inputs and targets"
        )
    return found
