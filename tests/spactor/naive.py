"""A second implementation of the objective, as in the paper, without any shortcuts."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from spactor import objective
from spactor.corruption import CorruptedBatch
from spactor.network import Network, padding_bias


def noisy_tokens(
    network: Network, params: Any, batch: CorruptedBatch, sample_keys: jax.Array
) -> jax.Array:
    """X̂_c: ``[B, n]``, sampled from the generator's logits of all positions."""
    at_masks = jnp.take_along_axis(
        _generator_logits(network, params, batch), batch.masked_positions[..., None], axis=1
    )
    sampled = np.asarray(objective.sample_replacements(at_masks, sample_keys))
    noisy = np.array(batch.masked_tokens)
    for row, positions in enumerate(np.asarray(batch.masked_positions)):
        noisy[row, positions] = sampled[row]
    return jnp.asarray(noisy)


# Compiled: one by one, the operations of a network take longer than its compilation.
@functools.partial(jax.jit, static_argnums=0)
def _generator_logits(network: Network, params: Any, batch: CorruptedBatch) -> jax.Array:
    """Of all positions: ``[B, n, V]``."""
    model = network.bind({"params": params})
    tokens = batch.masked_tokens
    every = jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape)
    return model.generate(model.embed(tokens), every)


@functools.partial(jax.jit, static_argnums=0)
def _discriminator(
    network: Network, params: Any, batch: CorruptedBatch, noisy: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """RTD logits ``[B, n]`` and decoder logits ``[B, t, V]``; X̂_c is embedded as a whole."""
    model = network.bind({"params": params})
    encoded = model.encode(model.embed(noisy), padding_bias(noisy))
    logits = model.decode(batch.decoder_input_tokens, encoded, padding_bias(noisy))
    return model.detect(encoded), logits


def dense_terms(
    network: Network, params: Any, batch: CorruptedBatch, noisy: jax.Array, z_loss: float
) -> dict[str, jax.Array]:
    """L_G, L_RTD and L_SC (z-loss included) in plain JAX, differentiable in ``params``."""
    clean = batch.encoder_input_tokens
    masked = batch.masked_tokens != clean
    log_p = jax.nn.log_softmax(_generator_logits(network, params, batch))
    of_original = jnp.sum(jax.nn.one_hot(clean, log_p.shape[-1]) * log_p, axis=-1)
    rtd_logits, logits = _discriminator(network, params, batch, noisy)
    log_correct = jnp.where(
        noisy == clean, jax.nn.log_sigmoid(rtd_logits), jax.nn.log_sigmoid(-rtd_logits)
    )
    targets = jax.nn.one_hot(batch.decoder_target_tokens, logits.shape[-1])
    log_target = jnp.sum(targets * jax.nn.log_softmax(logits), axis=-1)
    log_z = jnp.log(jnp.sum(jnp.exp(logits), axis=-1))
    rows = len(clean)
    return {
        "generator": -jnp.sum(of_original * masked) / rows,
        "rtd": -jnp.sum(log_correct) / rows,
        "sc": jnp.sum(z_loss * log_z**2 - log_target) / rows,
    }


def loop_cross_entropy(logits: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Sums of −log p(target) and of log²Z over the targets of one row that are not padding."""
    nll = squares = 0.0
    for scores, target in zip(logits, targets, strict=True):
        if target != 0:
            log_z = math.log(sum(math.exp(score) for score in scores))
            nll += log_z - scores[target]
            squares += log_z**2
    return nll, squares
