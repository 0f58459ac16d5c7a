"""A short schedule, and the numbers that a segment of training logged."""

from __future__ import annotations

import json
from pathlib import Path

from spactor.trainer import Schedule


def schedule(
    start: int = 0, end: int = 8, *, log: int = 2, evaluation: int = 4, checkpoint: int = 4
) -> Schedule:
    """A schedule of these steps and periods."""
    return Schedule(
        start_step=start,
        end_step=end,
        log_period_steps=log,
        evaluation_period_steps=evaluation,
        checkpoint_period_steps=checkpoint,
    )


def numbers(folder: Path) -> dict[int, dict[str, float]]:
    """The last logged line of every step, without wall-clock values."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text("utf-8").splitlines())
    return {
        line.pop("step"): {k: v for k, v in line.items() if not k.startswith("timing/")}
        for line in lines
    }
