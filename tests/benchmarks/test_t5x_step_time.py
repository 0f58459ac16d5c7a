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
import tiny_t5x  # type: ignore[import-not-found]
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
    from t5x import trainer, utils

    shapes = {name: value.shape for name, value in batch.items()}
    partitioner, initializer = tiny_t5x.initializer(model, shapes)
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

    def step() -> None:
        run.train(itertools.repeat(sharded), 1).result()
        jax.block_until_ready(run.train_state)

    return step


def test_chunks_against_the_stock_model(benchmark: Any) -> None:
    """Aimed at: 0.98 to 1.02."""
    pytest.importorskip("t5x", reason="T5X is not installed; see README.md")
    config = subjects.base_width(max(LAYERS // 3, 1), BATCH)
    vocabulary = tiny_t5x.vocabulary(subjects.VOCABULARY)
    chunks = subjects.chunks_for(config)
    corrupted = subjects.corrupted(config)
    targets = np.asarray(corrupted.decoder_target_tokens)
    stock = {
        "encoder_input_tokens": np.asarray(corrupted.encoder_input_tokens),
        "decoder_input_tokens": np.asarray(corrupted.decoder_input_tokens),
        "decoder_target_tokens": targets,
        "decoder_loss_weights": (targets > 0).astype(np.int32),
    }
    layers = config.model.num_encoder_layers
    ours, theirs = (
        _step(tiny_t5x.model(kind, config, vocabulary, seed=0), batch, config)
        for kind, batch in (("span_corruption", tiny_t5x.batch_of(chunks, 0)), ("stock", stock))
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
