"""What our model adds to a training step of T5X's own trainer at τ = 0.

Both sides are T5X's Trainer, partitioner, network and Adafactor at the same sizes, dropout
included. Ours is given token chunks and corrupts them on the device; the stock model is given
batches that are corrupted already.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import paired
import pytest
import subjects
from subjects import BATCH, LAYERS, ROUNDS

from spactor.config import PretrainConfig

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.t5x,
    # T5X and its kin use what newer JAX has deprecated.
    pytest.mark.filterwarnings("ignore"),
]


def _step(
    model: Any, batch: Mapping[str, np.ndarray], config: PretrainConfig
) -> Callable[[], None]:
    """One update of T5X's trainer a call, waited for."""
    trainer, sharded = _compiled(model, batch, config)

    def step() -> None:
        trainer.train(itertools.repeat(sharded), 1).result()
        jax.block_until_ready(trainer.train_state)

    return step


def _compiled(
    model: Any, batch: Mapping[str, np.ndarray], config: PretrainConfig
) -> tuple[Any, Any]:
    """T5X's trainer with its step compiled, and the batch as the step takes it."""
    from t5x import partitioning, trainer, utils

    partitioner = partitioning.PjitPartitioner(
        num_partitions=None,
        model_parallel_submesh=(1, 1, 1, 1),
        logical_axis_rules=partitioning.standard_logical_axis_rules(),
    )
    shapes = {name: value.shape for name, value in batch.items()}
    initializer = utils.TrainStateInitializer(
        optimizer_def=model.optimizer_def,
        init_fn=model.get_initial_variables,
        input_shapes=shapes,
        input_types={name: value.dtype for name, value in batch.items()},
        partitioner=partitioner,
    )
    rate = utils.create_learning_rate_scheduler(
        factors="constant * rsqrt_decay",
        base_learning_rate=config.optimizer.learning_rate_factor,
        warmup_steps=config.optimizer.warmup_steps,
    )
    run = trainer.Trainer(
        model=model,
        train_state=initializer.from_scratch(jax.random.PRNGKey(0)),
        partitioner=partitioner,
        eval_names=(),
        summary_dir=None,
        train_state_axes=initializer.train_state_axes,
        rng=jax.random.PRNGKey(1),
        learning_rate_fn=rate,
        num_microbatches=None,
    )
    sharded = utils._create_sharded_array(partitioner, shapes, dict(batch))
    run.compile_train(sharded)
    return run, sharded


def test_chunks_against_the_stock_model(benchmark: Any) -> None:
    """Aimed at: 0.98 to 1.02."""
    pytest.importorskip("t5x", reason="T5X is not installed; see README.md")
    from t5x import adafactor, models

    from spactor.data import host_tensorflow
    from spactor.t5x.models import SpanCorruptionModel, stock_module

    config = subjects.base_width(max(LAYERS // 3, 1), BATCH)
    vocabulary = host_tensorflow.seqio().PassThroughVocabulary(
        subjects.VOCABULARY.sentencepiece_size
    )
    vocabulary._extra_ids = subjects.VOCABULARY.extra_ids
    shared = {
        "input_vocabulary": vocabulary,
        "output_vocabulary": vocabulary,
        "optimizer_def": adafactor.Adafactor(
            logical_factor_rules=adafactor.standard_logical_factor_rules()
        ),
    }
    chunks = subjects.chunks_for(config)
    given = {
        "tokens": chunks,
        "step": np.zeros(BATCH, np.int32),
        "row": np.arange(BATCH, dtype=np.int32),
    }
    corrupted = subjects.corrupted(config)
    targets = np.asarray(corrupted.decoder_target_tokens)
    stock = {
        "encoder_input_tokens": np.asarray(corrupted.encoder_input_tokens),
        "decoder_input_tokens": np.asarray(corrupted.decoder_input_tokens),
        "decoder_target_tokens": targets,
        "decoder_loss_weights": (targets > 0).astype(np.int32),
    }
    layers = config.model.num_encoder_layers
    ours = _step(SpanCorruptionModel(config=config, seed=0, **shared), given, config)
    theirs = _step(
        models.EncoderDecoderModel(
            module=stock_module(config.model),
            z_loss=config.objective.z_loss,
            **shared,
        ),
        stock,
        config,
    )
    paired.measure(
        benchmark,
        ours,
        theirs,
        rounds=2 * ROUNDS,
        what=f"T5X's step, τ = 0, chunks, d = 768, {layers}+{layers} layers, batch {BATCH}",
        against="T5X's stock model, corrupted batch given",
        at_least=0.98,
        at_most=1.02,
    )
