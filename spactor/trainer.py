"""The training loop: the only module that loops over steps, logs and saves.

Pre-training and fine-tuning each describe themselves as a :class:`Task`. :func:`fit` resumes from
the newest complete checkpoint, logs at fixed steps, and ends with a checkpoint on disk. Steps are
pure functions of (state, batch, seed), and the windows over which metrics are averaged begin and
end at checkpoints, so an interrupted run logs and saves the same values as an uninterrupted one.

Read next: :mod:`spactor.step`, the compiled updates.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from spactor.checkpoints import Checkpoints
from spactor.data.digest import batch_digest
from spactor.errors import Diverged, UserError
from spactor.metrics import METRICS, RunLog, host_means, logged_steps
from spactor.objective import Metrics
from spactor.progress import Observer
from spactor.step import TrainState


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The steps at which a run starts, ends, logs, evaluates and saves.

    Attributes:
      start_step, end_step: number of updates made before the run and after it.
      log_period_steps: length of the windows over which metrics are averaged.
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
        return self._due(step, self.log_period_steps)

    def evaluates_at(self, step: int) -> bool:
        return self._due(step, self.evaluation_period_steps)

    def saves_at(self, step: int) -> bool:
        return self._due(step, self.checkpoint_period_steps)

    def _due(self, step: int, period_steps: int) -> bool:
        return step % period_steps == 0 or step == self.end_step


@dataclass(frozen=True, kw_only=True)
class Task:
    """State, update, data and evaluation of a run.

    Attributes:
      seed: passed to every update.
      initial_state: makes the state at ``schedule.start_step``; not called when resuming.
      train_step: compiled update ``(state, batch, seed) → (state, metrics)``; the state is donated.
      batch_at: batch of the update from ``step`` to ``step + 1``.
      evaluate: returns values to log in addition to the training metrics, given the state and its
        step; called where the schedule evaluates or saves.
      digests: returns digests of the input of the update from ``step`` to ``step + 1``, given the
        step and its batch.
      batch_size: sequences per step, for ``timing/seqs_per_second``.
      schedule: when to log, evaluate and save.
    """

    seed: int
    initial_state: Callable[[], TrainState]
    train_step: Callable[[TrainState, Any, Any], tuple[TrainState, Metrics]]
    batch_at: Callable[[int], Any]
    evaluate: Callable[[TrainState, int], Mapping[str, float]]
    digests: Callable[[int, Any], Mapping[str, str]]
    batch_size: int
    schedule: Schedule


class _Clock:
    """Measures speed over a log period, without compilation, evaluation and saving."""

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

    def steps_per_second(self) -> float:
        """Returns the mean speed since the start; NaN if no step was counted."""
        return self._steps / (time.perf_counter() - self._since) if self._steps else math.nan


def fit(
    *, task: Task, checkpoints: Checkpoints, folder: Path, observer: Observer, run_id: str = ""
) -> None:
    """Trains from the newest checkpoint, or the initial state, to the end of the schedule.

    Args:
      task: state, update, data and evaluation of the run.
      checkpoints: the run's checkpoints; define the stage of the states.
      folder: the run's folder, for ``metrics.jsonl``, ``digests.jsonl`` and event files.
      observer: called after every logged step.
      run_id: identifies this run in ``digests.jsonl``.

    Raises:
      Diverged: a logged value is not finite.
    """
    schedule = task.schedule
    restored = checkpoints.newest(_missing_lines(folder / METRICS, schedule))
    step = schedule.start_step if restored is None else restored.step
    if step >= schedule.end_step:
        return
    state = task.initial_state() if restored is None else restored.state

    def require_finite(values: Mapping[str, float]) -> None:
        if bad := _first_not_finite(values, window, step):
            name, value, at = bad
            digest = batch_digest(task.batch_at(at - 1))
            raise Diverged(name, value, at, digest, checkpoints.latest_step())

    window: list[Metrics] = []
    clock = _Clock()
    with closing(RunLog(folder)) as log:
        while step < schedule.end_step:
            batch = task.batch_at(step)
            state, metrics = task.train_step(state, batch, task.seed)
            step += 1
            window.append(metrics)
            if clock.started:
                clock.count()
            else:  # The first step compiles; the clock starts after it.
                jax.block_until_ready(metrics)
                clock.start()
            if not schedule.logs_at(step):
                continue
            values = host_means(window, "train/")
            sequences_per_second = clock.steps_per_second() * task.batch_size
            require_finite(values)
            window.clear()
            if schedule.evaluates_at(step) or schedule.saves_at(step):
                values |= task.evaluate(state, step)
                require_finite(values)
            # Digests first, so that no logged value lacks them.
            digests = task.digests(step - 1, batch)
            log.write_digests(step, {"run": run_id, "seed": task.seed, **digests})
            timing = {"timing/seqs_per_second": sequences_per_second}
            log.write(step, values if math.isnan(sequences_per_second) else values | timing)
            if schedule.saves_at(step):
                checkpoints.save(state, step)
            observer(step, schedule.end_step, values, sequences_per_second)
            clock.start()


def _missing_lines(path: Path, schedule: Schedule) -> Callable[[int], str | None]:
    """Returns a function that names the first line missing from a log before a checkpoint's step.

    Lines are on disk before a checkpoint is begun, so a log that ends before it was damaged.
    Without any log file the checkpoint was copied here from elsewhere, and nothing is missing.
    """
    logged = set(logged_steps(path)) if path.exists() else None

    def missing(step: int) -> str | None:
        if logged is None:
            return None
        first = min(logged, default=step)
        gaps = [s for s in range(first, step + 1) if schedule.logs_at(s) and s not in logged]
        return f"{path.name} lacks step {gaps[0]}" if gaps else None

    return missing


def _first_not_finite(
    values: Mapping[str, float], window: Sequence[Metrics], step: int
) -> tuple[str, str, int] | None:
    """Returns name and value of a metric that is not finite, and the first step at which it was.

    Args:
      values: values logged at ``step``.
      window: metrics of the steps up to ``step``, over which ``values`` are means.
      step: number of updates made.
    """
    if all(map(math.isfinite, values.values())):
        return None
    each = [host_means([metrics], "train/") for metrics in window]
    for at, named in enumerate([*each, values], start=step - len(each) + 1):
        for name, value in named.items():
            if not math.isfinite(value):
                return name, str(value), min(at, step)
    return None
