"""What is measured: models of Base's width, and training steps ready to be called."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from spactor import corruption, objective, optimizer, step
from spactor.config import PAPER, PretrainConfig, Stage
from spactor.data.vocabulary import VocabularyFacts
from spactor.network import Network

VOCABULARY = VocabularyFacts.of_pieces(32_000)


def base_width(layers: int, batch_size: int, *, dropout_rate: float = 0.1) -> PretrainConfig:
    """Base with ``layers`` + ``layers`` layers and a generator of a third of that, as published.

    Width, heads, vocabulary, lengths and masking are the paper's.
    """
    base = PAPER["base"]
    return dataclasses.replace(
        base,
        batch_size=batch_size,
        model=dataclasses.replace(
            base.model,
            num_encoder_layers=layers,
            num_decoder_layers=layers,
            generator_num_layers=max(layers // 3, 1),
            dropout_rate=dropout_rate,
        ),
    )


def chunks_for(config: PretrainConfig, vocabulary: VocabularyFacts = VOCABULARY) -> np.ndarray:
    """A batch of made-up text, int32 ``[B, N]``."""
    shape = (config.batch_size, config.lengths.chunk_tokens)
    return (
        np.random.default_rng(0).integers(3, vocabulary.sentencepiece_size, shape).astype(np.int32)
    )


class Training:
    """A training run of which each call makes one step and waits for it."""

    def __init__(
        self,
        config: PretrainConfig,
        stage: Stage,
        vocabulary: VocabularyFacts = VOCABULARY,
        train_step: Callable[..., Any] | None = None,
    ) -> None:
        self._state = step.init_state(config, 0, stage)
        self._step = train_step or step.build_train_step(config, vocabulary, stage)
        self._chunks = jnp.asarray(chunks_for(config, vocabulary))
        self.loss = float("nan")

    def __call__(self) -> None:
        self._state, metrics = self._step(self._state, self._chunks, 0)
        jax.block_until_ready((self._state, metrics))
        self.loss = float(metrics["loss"].total)


def corrupted(config: PretrainConfig) -> corruption.CorruptedBatch:
    """The batch of :func:`chunks_for`, corrupted: what other implementations are given."""
    keys = step.row_keys(jax.random.key(0), config.batch_size)
    return jax.jit(corruption.corrupt, static_argnums=(2, 3))(
        chunks_for(config), keys, config.lengths, VOCABULARY
    )


def loss_in(
    config: PretrainConfig, stage: Stage, dtype: Any, vocabulary: VocabularyFacts = VOCABULARY
) -> Callable[[Any, jax.Array, jax.Array, int], jax.Array]:
    """Loss of (parameters, chunks, step, seed) with activations in ``dtype``."""
    network = Network(config.model, dtype=dtype)

    def loss(params: Any, chunks: jax.Array, at: jax.Array, seed: int) -> jax.Array:
        keys = step.role_keys(seed, at)
        rows = step.row_keys(keys["corruption"], config.batch_size)
        batch = corruption.corrupt(chunks, rows, config.lengths, vocabulary)
        dropout = keys["dropout"] if config.model.dropout_rate else None
        if stage == "span_corruption":
            return objective.span_corruption_loss(
                network, params, batch, config.objective, dropout
            )[0]
        samples = step.row_keys(keys["sample"], config.batch_size)
        return objective.hybrid_loss(network, params, batch, config.objective, samples, dropout)[0]

    return loss


def step_in(
    config: PretrainConfig, stage: Stage, dtype: Any, vocabulary: VocabularyFacts = VOCABULARY
) -> Callable[..., Any]:
    """The training step with activations in ``dtype``; parameters and moments stay float32."""
    loss = jax.value_and_grad(loss_in(config, stage, dtype, vocabulary))

    def train_step(state: step.TrainState, chunks: jax.Array, seed: int) -> Any:
        value, grads = loss(state.params, chunks, state.step, seed)
        rate = optimizer.learning_rate(state.step, config.optimizer)
        metrics = {"loss": objective.Ratio(value, jnp.ones(()))}
        return step.updated(state, grads, rate, config), metrics

    return jax.jit(train_step, donate_argnums=0)
