"""Pre-trains one segment: one objective, from step a to step b, from a parent or from scratch.

Reading order of the method: this module, then `trainer` (the loop), `step` (the compiled update),
`objective`, `corruption`, `curriculum` and `network` (the loss), `metrics` (the log).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spactor import ranking, trainer
from spactor import step as steps
from spactor.checkpoints import Checkpoints, restore_parent
from spactor.config import PretrainConfig, Stage
from spactor.data import vocabulary
from spactor.data.arrays import TokenArrays, train_batch, validation_chunks
from spactor.data.digest import batch_digest
from spactor.metrics import host_means
from spactor.objective import Params
from spactor.progress import Observer
from spactor.step import TrainState


@dataclass(frozen=True, kw_only=True)
class PretrainJob:
    """A segment of pre-training.

    Attributes:
      config: sizes and hyper-parameters.
      stage: objective of every step of the segment.
      seed: seed of initialisation, data order, corruption and sampling.
      schedule: first and last step, and when to log, validate and save.
      validation_chunks: size of the fixed validation set.
    """

    config: PretrainConfig
    stage: Stage
    seed: int
    schedule: trainer.Schedule
    validation_chunks: int


def zero_shot_cloze(
    config: PretrainConfig, params: Params, items: ranking.Items
) -> dict[str, float]:
    """Returns accuracy (per cent) and margin (nats) of a pre-trained model on ranked items."""
    rank = steps.build_scorer(PretrainConfig(model=config.model))
    discriminator = {k: v for k, v in params.items() if k not in steps.HYBRID_ONLY}
    scores = ranking.log_likelihoods(functools.partial(rank, discriminator), items)
    found = ranking.accuracy_and_margin(scores, items.counts, items.right)
    return {f"cloze/{name}": value for name, value in found.items()}


def pretrain(
    job: PretrainJob,
    *,
    arrays: TokenArrays,
    folder: Path,
    parent: Path | None,
    observer: Observer,
    run_id: str = "",
) -> None:
    """Trains a segment to its end, resuming from the newest checkpoint in ``folder``.

    Args:
      job: the segment.
      arrays: prepared tokens; neither TensorFlow nor seqio is imported to read them.
      folder: this segment's folder; made if missing.
      parent: folder of the segment that ended at ``start_step``; None from scratch. A hybrid
        parent of a span-corruption segment is the switch at τ.
      observer: called after every logged step.
      run_id: identifies this run in ``digests.jsonl``.

    Raises:
      Diverged: a loss or a gradient is no longer finite.
      UserError: the data does not fit the model, or the parent is missing or of another size.
    """
    config = job.config
    vocabulary.require(
        arrays.vocabulary,
        vocab_size=config.model.vocab_size,
        noise_spans=config.lengths.noise_spans,
    )
    chunk_tokens = config.lengths.chunk_tokens
    held_out = validation_chunks(arrays, count=job.validation_chunks, chunk_tokens=chunk_tokens)
    # Whole batches only, so that validation compiles once.
    rows = min(config.batch_size, len(held_out))
    batches = [held_out[i : i + rows] for i in range(0, len(held_out) - rows + 1, rows)]
    validation_step = steps.build_validation_step(config, arrays.vocabulary, job.stage)
    corruption = steps.build_corruption(config, arrays.vocabulary, job.stage)

    def initial_state() -> TrainState:
        if parent is None:
            return steps.init_state(config, job.seed, job.stage)
        return restore_parent(parent, config, job.schedule.start_step, job.stage)

    def evaluate(state: TrainState, step: int) -> Mapping[str, float]:
        values: dict[str, float] = {}
        if job.schedule.evaluates_at(step):
            metrics = [validation_step(state.params, batch) for batch in batches]
            values |= host_means(metrics, "validation/")
        if arrays.cloze is not None and job.schedule.saves_at(step):
            values |= zero_shot_cloze(config, state.params, arrays.cloze)
        return values

    def digests(step: int, batch: np.ndarray) -> Mapping[str, str]:
        masks = corruption(batch, job.seed, step)._asdict()
        present = {name: np.asarray(mask) for name, mask in masks.items() if mask is not None}
        return {"batch": batch_digest(batch), "masks": batch_digest(present)}

    task = trainer.Task(
        seed=job.seed,
        initial_state=initial_state,
        train_step=steps.build_train_step(config, arrays.vocabulary, job.stage),
        batch_at=lambda step: train_batch(
            arrays,
            seed=job.seed,
            step=step,
            batch_size=config.batch_size,
            chunk_tokens=chunk_tokens,
        ),
        evaluate=evaluate,
        digests=digests,
        batch_size=config.batch_size,
        schedule=job.schedule,
    )
    with closing(Checkpoints(folder, config, job.stage)) as checkpoints:
        trainer.fit(
            task=task, checkpoints=checkpoints, folder=folder, observer=observer, run_id=run_id
        )
