"""Compiled steps: one update per stage, (state, batch, seed) → (state, metrics), and evaluation.

Every random number is a function of (seed, step, role, row), so an interrupted run resumes bit for
bit, and branches of one tree read the same data. Builders are cached on their frozen arguments: a
process that trains many segments of one size compiles each stage once.

Read next: :mod:`spactor.objective`, the losses that a step differentiates.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from spactor import corruption, curriculum, objective, optimizer
from spactor.config import PretrainConfig, Stage
from spactor.data.vocabulary import VocabularyFacts
from spactor.keys import Role, role_key, row_keys, validation_keys
from spactor.network import Network
from spactor.objective import Metrics, Params

Array = jax.Array

HYBRID_ONLY = ("generator", "rtd_head")
"""Top-level parameters that only the hybrid stage has; they are dropped at τ."""


class TrainState(NamedTuple):
    """State of training, as a checkpoint stores it.

    Attributes:
      step: scalar int32, updates made; the global step of the schedule.
      params: nested dictionaries of float32 arrays.
      slots: Adafactor's second moments.
    """

    step: Array
    params: Params
    slots: optimizer.Slots


TrainStep = Callable[[TrainState, Array, Array], tuple[TrainState, Metrics]]


def device_sharding() -> jax.sharding.Sharding:
    """Returns the sharding of every state: all arrays on the first device."""
    return jax.sharding.SingleDeviceSharding(jax.devices()[0])


def without_hybrid_parts(state: TrainState) -> TrainState:
    """Returns the state without generator, RTD head and their slots, otherwise unchanged."""

    def without(tree: Any) -> Any:
        return {name: leaf for name, leaf in tree.items() if name not in HYBRID_ONLY}

    return TrainState(
        step=state.step,
        params=without(state.params),
        slots=state.slots._replace(
            v_row=without(state.slots.v_row),
            v_col=without(state.slots.v_col),
            v=without(state.slots.v),
        ),
    )


@functools.cache
def _build_init(config: PretrainConfig, stage: Stage) -> Callable[[Array], TrainState]:
    network = Network(config.model)
    # A NumPy array, because the builder may first be called, and cached, inside a trace.
    tokens = np.zeros((1, 2), np.int32)

    def init(key: Array) -> TrainState:
        params = network.init(key, tokens, tokens, method=Network.touch_all)["params"]
        slots = optimizer.init_slots(params, config.optimizer)
        state = TrainState(jnp.zeros((), jnp.int32), params, slots)
        return state if stage == "hybrid" else without_hybrid_parts(state)

    # Committed to a device, as restored states are: otherwise the two compile separately.
    return jax.jit(init, out_shardings=device_sharding())


def init_state(config: PretrainConfig, seed: int, stage: Stage) -> TrainState:
    """Returns the state at step 0; the discriminator's values do not depend on the stage."""
    return _build_init(config, stage)(role_key(Role.INITIALISATION, seed))


def updated(
    state: TrainState, grads: Params, rate: Array | float, config: PretrainConfig
) -> TrainState:
    """Returns the state after one optimizer update."""
    params, slots = optimizer.update(state.params, grads, state.slots, rate, config.optimizer)
    return TrainState(state.step + 1, params, slots)


def _losses(config: PretrainConfig, stage: Stage) -> Callable[..., tuple[Array, Metrics]]:
    """Returns a stage's ``(params, batch, sample key, dropout key, weights) → (loss, metrics)``."""
    network = Network(config.model)
    if stage == "hybrid":
        return lambda params, batch, sample, dropout, weights: objective.hybrid_loss(
            network,
            params,
            batch,
            config.objective,
            row_keys(sample, batch[0].shape[0]),
            dropout,
            weights,
        )
    return lambda params, batch, _, dropout, weights: objective.span_corruption_loss(
        network, params, batch, config.objective, dropout, weights
    )


def _curriculum_metrics(weights: curriculum.Weights) -> Metrics:
    """Returns metrics of the weights that a curriculum changes with the step."""
    return {
        name: objective.Ratio(jnp.asarray(value, jnp.float32), jnp.ones(()))
        for name, value in weights._asdict().items()
        if isinstance(value, jax.Array)
    }


def corrupted(
    config: PretrainConfig,
    vocabulary: VocabularyFacts,
    stage: Stage,
    chunks: Array,
    key: Array,
    weights: curriculum.Weights,
) -> corruption.CorruptedBatch:
    """Corrupts chunks ``[B, N]`` as a stage's training step does, given the key of the step."""
    return corruption.corrupt(
        chunks,
        row_keys(key, chunks.shape[0]),
        config.training_lengths,
        vocabulary,
        weights.masked_tokens if stage == "hybrid" else None,
    )


@functools.cache
def build_corruption(
    config: PretrainConfig, vocabulary: VocabularyFacts, stage: Stage
) -> Callable[[Array | np.ndarray, int, int], corruption.CorruptedBatch]:
    """Compiles ``(chunks, seed, step) → batch``, which returns the corrupted batch of an update.

    Used for digests in the log; the program of the update does not depend on the digests.
    """

    def corrupt(chunks: Array, seed: Array, step: Array) -> corruption.CorruptedBatch:
        key = role_key(Role.CORRUPTION, seed, step)
        weights = curriculum.weights_at(config, step)
        return corrupted(config, vocabulary, stage, chunks, key, weights)

    return jax.jit(corrupt)


@functools.cache
def build_train_step(
    config: PretrainConfig, vocabulary: VocabularyFacts, stage: Stage
) -> TrainStep:
    """Compiles the update of one stage: ``(state, chunks int32 [B, N], seed) → (state, metrics)``.

    The state is donated. Metrics are :class:`objective.Ratio` pairs, read before the update.
    """
    losses = _losses(config, stage)

    def train_step(state: TrainState, chunks: Array, seed: Array) -> tuple[TrainState, Metrics]:
        corruption_key, sample_key, dropout_key = (
            role_key(role, seed, state.step)
            for role in (Role.CORRUPTION, Role.GENERATOR_SAMPLING, Role.DROPOUT)
        )
        weights = curriculum.weights_at(config, state.step)
        batch = corrupted(config, vocabulary, stage, chunks, corruption_key, weights)
        (loss, metrics), grads = jax.value_and_grad(losses, has_aux=True)(
            state.params,
            batch,
            sample_key,
            dropout_key if config.model.dropout_rate > 0.0 else None,
            weights,
        )
        rate = optimizer.learning_rate(state.step, config.optimizer)
        one = jnp.ones(())
        metrics |= {
            "loss": objective.Ratio(loss, one),
            "learning_rate": objective.Ratio(rate, one),
            "grad_norm": objective.Ratio(optax.tree.norm(grads), one),
        }
        metrics |= _curriculum_metrics(weights)
        return updated(state, grads, rate, config), metrics

    return jax.jit(train_step, donate_argnums=0)


@functools.cache
def build_validation_step(
    config: PretrainConfig, vocabulary: VocabularyFacts, stage: Stage
) -> Callable[[Params, Array | np.ndarray], Metrics]:
    """Compiles validation of chunks ``[B, N]``, corrupted the same way in every run and step.

    ``sc_loss_clean`` reads X_c; in the hybrid stage ``sc_loss_noisy`` reads X̂_c, and the
    generator and the RTD head are scored on the same replacements. There is no dropout.
    """
    network = Network(config.model)
    return jax.jit(
        lambda params, chunks: validation_metrics(
            network, params, chunks, config, vocabulary, stage
        )[1]
    )


def validation_metrics(
    network: Network,
    params: Params,
    chunks: Array,
    config: PretrainConfig,
    vocabulary: VocabularyFacts,
    stage: Stage,
) -> tuple[Array, Metrics]:
    """Returns the objective on validation chunks and the metrics of `build_validation_step`."""
    keys = validation_keys(Role.VALIDATION_CORRUPTION, chunks)
    batch = corruption.corrupt(chunks, keys, config.lengths, vocabulary)
    loss, clean = objective.span_corruption_loss(network, params, batch, config.objective)
    metrics = {"sc_loss_clean": clean["sc_loss"]}
    if stage == "hybrid":
        sample_keys = validation_keys(Role.VALIDATION_SAMPLING, chunks)
        loss, hybrid = objective.hybrid_loss(network, params, batch, config.objective, sample_keys)
        renamed = {
            "sc_loss": "sc_loss_noisy",
            "generator_loss": "mlm_loss",
            "generator_accuracy": "mlm_accuracy",
        }
        metrics |= {renamed.get(name, name): ratio for name, ratio in hybrid.items()}
    return loss, metrics


@functools.cache
def build_scorer(config: PretrainConfig) -> Callable[[Params, Any, Any], Array]:
    """Compiles log-likelihoods of choices; the inputs of an item are encoded once.

    Returns:
      ``(params, encoder_input_tokens int32 [B, L], targets int32 [B, C, T]) → float32 [B, C]``,
      sums over the target tokens other than padding, in nats.
    """
    network = Network(config.model)

    def score(params: Params, encoder_input_tokens: Array, targets: Array) -> Array:
        model = network.bind({"params": params})
        bias = objective.padding_bias(encoder_input_tokens)
        encoded = model.encode(model.embed(encoder_input_tokens), bias)

        def of_choice(tokens: Array) -> Array:
            # Bound here, because a module bound outside can't be used under vmap.
            decoder = network.bind({"params": params})
            logits = decoder.decode(corruption.shift_right(tokens), encoded, bias)
            nll, _ = objective.token_cross_entropy(logits, tokens)
            return -jnp.sum(nll, axis=-1, where=tokens > 0)

        return jax.vmap(of_choice, in_axes=1, out_axes=1)(targets)

    return jax.jit(score)


@functools.cache
def build_greedy_decode(
    config: PretrainConfig, max_length: int, eos_id: int
) -> Callable[[Params, Array | np.ndarray], Array]:
    """Compiles greedy decoding with a key-value cache.

    Returns:
      ``(params, encoder_input_tokens int32 [B, L]) → int32 [B, max_length]``; after eos, padding.
      Decoding stops when every row has ended.
    """
    network = Network(config.model)

    def decode(params: Params, encoder_input_tokens: Array) -> Array:
        rows = encoder_input_tokens.shape[0]
        model = network.bind({"params": params})
        bias = objective.padding_bias(encoder_input_tokens)
        encoded = model.encode(model.embed(encoder_input_tokens), bias)

        def advance(token: Array, cache: Any, position: Array) -> tuple[Array, Any]:
            logits, new = network.apply(
                {"params": params} | cache,
                token,
                encoded,
                bias,
                position,
                max_length,
                method=Network.decode_next,
                mutable=["cache"],
            )
            return jnp.argmax(logits, axis=-1).astype(jnp.int32), new

        class Carry(NamedTuple):
            position: Array
            token: Array
            ended: Array
            tokens: Array
            cache: Any

        def emit(carry: Carry, token: Array, cache: Any) -> Carry:
            token = jnp.where(carry.ended, 0, token)
            tokens = jax.lax.dynamic_update_slice_in_dim(
                carry.tokens, token[:, None], carry.position, axis=1
            )
            return Carry(carry.position + 1, token, carry.ended | (token == eos_id), tokens, cache)

        start = Carry(
            position=jnp.zeros((), jnp.int32),
            token=jnp.zeros(rows, jnp.int32),
            ended=jnp.zeros(rows, bool),
            tokens=jnp.zeros((rows, max_length), jnp.int32),
            cache={},
        )
        # The first step runs outside the loop: it creates the cache that the loop carries.
        first = emit(start, *advance(start.token, start.cache, start.position))
        return jax.lax.while_loop(
            lambda carry: (carry.position < max_length) & ~jnp.all(carry.ended),
            lambda carry: emit(carry, *advance(carry.token, carry.cache, carry.position)),
            first,
        ).tokens

    return jax.jit(decode)
