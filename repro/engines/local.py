"""The local engine, which trains nodes by ``spactor`` in this process.

`repro.workers` runs it in several processes, which on a CPU have one thread of XLA each.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis.schema.facts import PAPER_STEPS
from repro import folders
from repro.engines.contract import Engine, Work
from repro.engines.data import EMBEDDED, DataSource, PreparedData, require_packages
from repro.plan import Finetuning, Node, Segment, Tree
from repro.spent import FINETUNING, PRETRAINING, SCORING, STARTING, Stopwatch
from spactor.progress import Observer


class LocalEngine(Engine):
    """Engine that trains by ``spactor`` on this machine's devices."""

    def __init__(self, cache: Path, source: DataSource = EMBEDDED) -> None:
        super().__init__(cache, source)
        self._arrays: tuple[Path, Any] | None = None
        self._is_set_up = False
        self._stopwatch = Stopwatch()

    def check(self, tree: Tree) -> None:
        """Refuses a tree without its data, and a machine without JAX."""
        self.require_data(tree.profile)
        require_packages("jax")

    def device(self) -> str:
        """Returns the number and kind of JAX's devices."""
        self._set_up()
        import jax

        devices = jax.devices()
        return f"{len(devices)} × {devices[0].platform} {devices[0].device_kind}"

    def run(self, work: Work, observer: Observer) -> None:
        """Pre-trains or fine-tunes through ``spactor``."""
        if isinstance(work.node, Finetuning):
            with self._stopwatch.measure(FINETUNING):
                self._finetune(work, work.node, observer)
        else:
            with self._stopwatch.measure(PRETRAINING):
                self._pretrain(work, work.node, observer)

    def _pretrain(self, work: Work, node: Segment, observer: Observer) -> None:
        self._set_up()
        with self._stopwatch.measure(STARTING):
            from spactor import example
            from spactor.pretraining import PretrainJob, pretrain
            from spactor.trainer import Schedule

        arrays = self._load_arrays(work.data.folder)
        pretrain(
            PretrainJob(
                config=node.config,
                stage=node.stage,
                seed=node.seed,
                schedule=Schedule(
                    start_step=node.start_step,
                    end_step=node.end_step,
                    log_period_steps=work.profile.log_period_steps,
                    evaluation_period_steps=work.profile.validation_period_steps,
                    checkpoint_period_steps=work.profile.checkpoint_period_steps,
                ),
                validation_chunks=work.profile.validation_chunks,
            ),
            arrays=arrays,
            folder=work.folder,
            parent=work.parent,
            observer=observer,
            run_id=folders.read_node(work.folder)["fingerprint"],
        )
        if node.stage == "hybrid" and node.end_paper == PAPER_STEPS:
            example.write(work.folder, node.config, node.end_step, arrays, work.data.folder)

    def _finetune(self, work: Work, node: Finetuning, observer: Observer) -> None:
        self._set_up()
        with self._stopwatch.measure(STARTING):
            from spactor.finetuning import FinetuneJob, finetune

        finetune(
            FinetuneJob(
                config=node.config,
                pretraining=node.pretraining,
                suite=node.suite,
                checkpoint_step=node.checkpoint_step,
                pretraining_seed=node.seed,
                seed=node.draw_seed,
            ),
            data_folder=work.data.folder,
            folder=work.folder,
            parent=work.parent,
            observer=observer,
            score=functools.partial(self._score, node, work.data, work.folder)
            if self.can_score()
            else lambda step: {},
            run_id=folders.read_node(work.folder)["fingerprint"],
        )

    def restore(self, node: Node, folder: Path) -> Any:
        """Reads the node's last checkpoint, without generator and RTD head."""
        self._set_up()
        from spactor.checkpoints import restore_parent

        if isinstance(node, Finetuning):
            config, step = node.pretraining, node.config.total_steps
        else:
            config, step = node.config, node.end_step
        return restore_parent(folder, config, step, "span_corruption").params

    def can_score(self) -> bool:
        """Whether TensorFlow, seqio and T5 are installed."""
        from spactor import scoring

        return scoring.available()

    def score(self, node: Finetuning, *, data: PreparedData, folder: Path, step: int) -> None:
        """Scores one step's predictions with seqio's Evaluator."""
        self._set_up()
        self._score(node, data, folder, step)

    def _score(
        self, node: Finetuning, data: PreparedData, folder: Path, step: int
    ) -> Mapping[str, float]:
        from spactor import scoring

        with self._stopwatch.measure(SCORING):
            return scoring.score(folder, data.folder, node.suite, step)

    def take_spent(self) -> Mapping[str, float]:
        """Returns seconds of training, compiling, scoring and importing since the last call."""
        return self._stopwatch.take()

    def _load_arrays(self, folder: Path) -> Any:
        if self._arrays is None or self._arrays[0] != folder:
            from spactor.data.arrays import load_arrays

            self._arrays = folder, load_arrays(folder)
        return self._arrays[1]

    def _set_up(self) -> None:
        """Configures JAX on the first call."""
        if self._is_set_up:
            return
        # Silences messages that TensorFlow prints when it is imported.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with self._stopwatch.measure(STARTING):
            import jax
            from absl import logging as absl_logging

            from spactor import numerics

        # Silences seqio's advice about sequence lengths at each evaluation, and the tracebacks of
        # Orbax's threads when a checkpoint can't be written: that error is raised as well.
        absl_logging.set_verbosity(absl_logging.FATAL)
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        numerics.apply()
        # Segments of one size and stage are one program, which is compiled once and cached here.
        jax.config.update("jax_compilation_cache_dir", str((self._cache / "xla").absolute()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
        # XLA's own caches would make the folder's path part of every program's key, so that
        # programs would be compiled again after a folder of runs is moved or copied.
        jax.config.update("jax_persistent_cache_enable_xla_caches", "none")
        jax.monitoring.register_event_duration_secs_listener(self._stopwatch.compiled)
        sys.unraisablehook = _report_unraisable
        self._is_set_up = True


def _report_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """Reports an exception that could not be raised, unless it follows from a raised one.

    If a checkpoint can't be written, the error is raised and printed in one line; TensorStore's
    threads then fail once for each array, because Orbax's event loop is closed.
    """
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)
