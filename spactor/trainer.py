"""The only file that loops, logs and saves.

Pre-training and fine-tuning hand :func:`fit` their step, batches and evaluation; it resumes from
the newest complete checkpoint, logs on fixed steps, and ends with a checkpoint on disk. Because
steps are pure functions of (state, batch, seed) and windows of averaged metrics begin and end at
checkpoints, an interrupted run logs and saves what an unbroken one does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import jax

from spactor.checkpoints import Checkpoints
from spactor.data.digest import batch_digest
from spactor.errors import Diverged, UserError
from spactor.metrics import METRICS, RunLog, host_means, logged_steps
from spactor.objective import Metrics
from spactor.step import TrainState


class Observer(Protocol):
    """Told of every logged step, for a progress bar."""

    def __call__(
        self,
        step: int,
        end_step: int,
        values: Mapping[str, float],
        sequences_per_second: float,
    ) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When a run logs, evaluates and saves, in its own steps.

    Attributes:
      start_step, end_step: updates made before and after.
      log_period_steps: every logged value is a mean over one period.
      evaluation_period_steps, checkpoint_period_steps: multiples of the log period.
    """

    start_step: int
    end_step: int
    log_period_steps: int
    evaluation_period_steps: int
    checkpoint_period_steps: int

    def __post_init__(self) -> None:
        if not 0 <= self.start_step < self.end_step:
            raise UserError(
                f"a run from step {self.start_step} to {self.end_step}: the end must come later"
            )
        for name in ("evaluation_period_steps", "checkpoint_period_steps"):
            if getattr(self, name) % self.log_period_steps:
                raise UserError(
                    f"{name} {getattr(self, name)} must be a multiple of log_period_steps "
                    f"{self.log_period_steps}, so that a resumed run averages over whole periods"
                )

    def logs_at(self, step: int) -> bool:
        return step % self.log_period_steps == 0 or step == self.end_step

    def evaluates_at(self, step: int) -> bool:
        return step % self.evaluation_period_steps == 0 or step == self.end_step

    def saves_at(self, step: int) -> bool:
        return step % self.checkpoint_period_steps == 0 or step == self.end_step


class _Clock:
    """Time and steps of a log period, without compilation, evaluation and saving."""

    def __init__(self) -> None:
        self.started = False
        self._since = 0.0
        self._steps = 0

    def start(self) -> None:
        self.started = True
        self._since = time.perf_counter()
        self._steps = 0

    def count(self) -> None:
        self._steps += 1

    def lap(self) -> float | None:
        """Steps per second since the start; none if no step was counted."""
        return self._steps / (time.perf_counter() - self._since) if self._steps else None


def fit(
    *,
    initial: Callable[[], TrainState],
    train_step: Callable[[TrainState, Any, Any], tuple[TrainState, Metrics]],
    batch_at: Callable[[int], Any],
    evaluate: Callable[[TrainState, int], Mapping[str, float]],
    digests: Callable[[int, Any], Mapping[str, str]],
    run: str,
    seed: int,
    checkpoints: Checkpoints,
    schedule: Schedule,
    folder: Path,
    sequences_per_step: int,
    observer: Observer,
) -> None:
    """Trains from the newest checkpoint, or the initial state, to ``schedule.end_step``.

    Args:
      initial: makes the state at ``schedule.start_step``; not called when resuming.
      train_step: compiled update; the state it is given is donated.
      batch_at: batch of the update that leads away from a step.
      evaluate: values to log beside the training metrics, at evaluation steps.
      digests: of what the update that leads away from a step reads, given the step and its batch.
      run: what ``digests.jsonl`` calls this run.
      seed: handed to every update.
      checkpoints: of this run, in its stage.
      schedule: when to log, evaluate and save.
      folder: where ``metrics.jsonl``, ``digests.jsonl`` and event files go.
      sequences_per_step: batch size, for ``timing/seqs_per_second``.
      observer: told of every logged step.

    Raises:
      Diverged: a logged value is not finite.
    """
    restored = checkpoints.newest(_lack_of_lines(folder / METRICS, schedule))
    step = schedule.start_step if restored is None else restored.step
    if step >= schedule.end_step:
        return
    state = initial() if restored is None else restored.state

    def require_finite(values: Mapping[str, float], window: Sequence[Metrics], step: int) -> None:
        if bad := _first_bad(values, window, step):
            name, value, at = bad
            digest = batch_digest(batch_at(at - 1))
            raise Diverged(name, value, at, digest, checkpoints.latest_step())

    window: list[Metrics] = []
    clock = _Clock()
    with closing(RunLog(folder)) as log:
        while step < schedule.end_step:
            batch = batch_at(step)
            state, metrics = train_step(state, batch, seed)
            step += 1
            window.append(metrics)
            if clock.started:
                clock.count()
            else:  # The first step compiles; time runs from the second.
                jax.block_until_ready(metrics)
                clock.start()
            if not schedule.logs_at(step):
                continue
            values = host_means(window, "train/")
            steps_per_second = clock.lap()
            require_finite(values, window, step)
            window.clear()
            if schedule.evaluates_at(step):
                values |= evaluate(state, step)
                require_finite(values, window, step)
            rate = math.nan
            timing = {}
            if steps_per_second is not None:
                rate = steps_per_second * sequences_per_step
                timing["timing/seqs_per_second"] = rate
            # First, so that no number stands there without them.
            log.write_digests(step, {"run": run, "seed": seed, **digests(step - 1, batch)})
            log.write(step, values | timing)
            if schedule.saves_at(step):
                checkpoints.save(state, step)
            observer(step, schedule.end_step, values, rate)
            clock.start()


def _lack_of_lines(path: Path, schedule: Schedule) -> Callable[[int], str | None]:
    """Says what a log lacks for a run to go on from the checkpoint of a step, if anything.

    Lines are on disk before a checkpoint is begun, so a log that ends before it was damaged.
    Without any log the checkpoint was brought here from elsewhere.
    """
    logged = set(logged_steps(path)) if path.exists() else None

    def lack(step: int) -> str | None:
        if logged is None:
            return None
        first = min(logged, default=step)
        missing = [s for s in range(first, step + 1) if schedule.logs_at(s) and s not in logged]
        return f"{path.name} lacks step {missing[0]}" if missing else None

    return lack


def _first_bad(
    values: Mapping[str, float], window: Sequence[Metrics], step: int
) -> tuple[str, str, int] | None:
    """Name and value of a number that is not finite, and the first step at which it was so.

    Args:
      values: logged at ``step``.
      window: metrics of the steps up to it, over which ``values`` are means.
      step: updates made.
    """
    if all(map(math.isfinite, values.values())):
        return None
    each = [host_means([metrics], "train/") for metrics in window]
    for at, named in enumerate([*each, values], start=step - len(each) + 1):
        for name, value in named.items():
            if not math.isfinite(value):
                return name, str(value), min(at, step)
    return None
