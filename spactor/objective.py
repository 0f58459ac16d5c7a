"""L_G, L_RTD, L_SC and their weighted sum (Equations 4, 6, 8 and 9).

Every loss is a sum over positions, averaged over the sequences of the batch, or a mean over
positions, depending on ``ObjectiveConfig.reduction``. Metrics are ``Ratio`` pairs, a sum and its
weight, which are divided on the host.

Read next: `corruption` (the inputs), `curriculum` (the weights), `network` (the model).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from spactor.config import ObjectiveConfig
from spactor.corruption import CorruptedBatch, shift_right
from spactor.curriculum import Number, Weights
from spactor.network import Network, padding_bias

Array = jax.Array
Params = Any

_SAMPLING_BLOCK = 128


class Ratio(NamedTuple):
    """A mean as numerator and denominator, so that means of parts of a batch can be merged."""

    total: Array
    weight: Array


Metrics = dict[str, Ratio]


def _mean(values: Array, where: Array | None = None) -> Ratio:
    values = values.astype(jnp.float32)
    weights = jnp.ones_like(values) if where is None else where.astype(jnp.float32)
    return Ratio(jnp.sum(values * weights), jnp.sum(weights))


def token_cross_entropy(logits: Array, targets: Array) -> tuple[Array, Array]:
    """Returns the negative log-likelihood and log Z of each position.

    Args:
      logits: float32 ``[..., V]``.
      targets: integer ``[...]``.

    Returns:
      Two float32 ``[...]``, in nats.
    """
    log_z = jax.nn.logsumexp(logits, axis=-1)
    chosen = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return log_z - chosen, log_z


def binary_cross_entropy(logits: Array, positive: Array) -> Array:
    """−log σ(logit) where ``positive``, −log(1 − σ(logit)) elsewhere (Equation 6), in nats."""
    return jax.nn.softplus(jnp.where(positive, -logits, logits))


def sample_replacements(generator_logits: Array, keys: Array) -> Array:
    """Samples one token per masked position from p_G, without gradient: int32 ``[B, q]``.

    Inverts the cumulative distribution in two stages, a block of tokens and then a token of it,
    each with a separate uniform number. This takes two random numbers per position instead of one
    per token, and no cumulative sum is longer than a block or the number of blocks.

    Args:
      generator_logits: ``[B, q, V]`` of any floating type, V a multiple of 128.
      keys: one per row, ``[B]``.
    """
    # In bfloat16 the cumulative sums of a block could not represent the smaller weights.
    logits = jax.lax.stop_gradient(generator_logits).astype(jnp.float32)
    weights = jnp.exp(logits - jnp.max(logits, axis=-1, keepdims=True))
    blocks = weights.reshape(*weights.shape[:-1], -1, _SAMPLING_BLOCK)
    # Position by position, so that a position's draw does not depend on how many there are.
    draw = jax.vmap(lambda key: jax.random.uniform(key, (logits.shape[1], 2)))(keys)
    block = _invert_cumulative(jnp.sum(blocks, axis=-1), draw[..., 0])
    inside = jnp.take_along_axis(blocks, block[..., None, None], axis=-2)[..., 0, :]
    return block * _SAMPLING_BLOCK + _invert_cumulative(inside, draw[..., 1])


def _invert_cumulative(weights: Array, uniform: Array) -> Array:
    """Returns the first index at which the cumulative share of the weights exceeds ``uniform``.

    Weights are ``[..., n]``, and ``uniform`` and the result ``[...]``. ``uniform`` is below 1, so
    an entry of weight 0 is never chosen.
    """
    running = jnp.cumsum(weights, axis=-1)
    return jnp.sum(running <= uniform[..., None] * running[..., -1:], axis=-1, dtype=jnp.int32)


def replace_rows(rows: Array, positions: Array, new: Array) -> Array:
    """Overwrites ``rows[b, positions[b, i]]`` with ``new[b, i]``; a row's positions all differ.

    >>> rows, positions = jnp.zeros((1, 4), int), jnp.array([[1, 3]])
    >>> replace_rows(rows, positions, jnp.array([[7, 8]])).tolist()
    [[0, 7, 0, 8]]
    """

    def replaced(row: Array, where: Array, value: Array) -> Array:
        # Without unique_indices, the gradient computes which of several values was written.
        return row.at[where].set(value, unique_indices=True)

    return jax.vmap(replaced)(rows, positions, new)


def _bind(network: Network, params: Params, dropout_key: Array | None) -> Network:
    rngs = {} if dropout_key is None else {"dropout": dropout_key}
    return network.bind({"params": params}, rngs=rngs)


def _reduced(values: Array, config: ObjectiveConfig, where: Array | None = None) -> Array:
    """Reduces the losses ``[B, L]`` of positions to one term of Equation 9."""
    if where is not None:
        values = values * where.astype(values.dtype)
    if config.reduction == "sum_per_sequence":
        return jnp.mean(jnp.sum(values, axis=-1))
    if where is None:
        return jnp.mean(values)
    return jnp.sum(values) / jnp.maximum(jnp.sum(where.astype(values.dtype)), 1.0)


class _SpanCorruption(NamedTuple):
    """Weighted loss of the decoder, and its mean in nats per target token."""

    loss: Array
    ratio: Ratio


def _span_corruption(
    logits: Array, targets: Array, config: ObjectiveConfig, lambda_sc: Number
) -> _SpanCorruption:
    """Computes λ2·L_SC of logits ``[B, t, V]`` with z-loss; padding targets (id 0) are ignored."""
    nll, log_z = token_cross_entropy(logits, targets)
    present = targets > 0
    term = _reduced(nll + config.z_loss * log_z**2, config, present)
    return _SpanCorruption(lambda_sc * term, _mean(nll, present))


def _weights(weights: Weights | None, config: ObjectiveConfig) -> Weights:
    return weights or Weights(config.lambda_rtd, config.lambda_sc)


def teacher_forced_logits(
    network: Network,
    params: Params,
    encoder_input_tokens: Array,
    decoder_target_tokens: Array,
    dropout_key: Array | None = None,
) -> Array:
    """Runs the discriminator as a T5: float32 logits ``[B, T, V]`` of every target position.

    Args:
      network, params: parameters may lack generator and RTD head.
      encoder_input_tokens: int32 ``[B, L]``, padded with 0.
      decoder_target_tokens: int32 ``[B, T]``, padded with 0.
      dropout_key: None disables dropout.
    """
    deterministic = dropout_key is None
    model = _bind(network, params, dropout_key)
    bias = padding_bias(encoder_input_tokens)
    encoded = model.encode(model.embed(encoder_input_tokens), bias, deterministic)
    return model.decode(shift_right(decoder_target_tokens), encoded, bias, deterministic)


def span_corruption_loss(
    network: Network,
    params: Params,
    batch: CorruptedBatch,
    config: ObjectiveConfig,
    dropout_key: Array | None = None,
    weights: Weights | None = None,
) -> tuple[Array, Metrics]:
    """Computes λ2·L_SC on the clean input X_c: the loss of the second stage and the baseline.

    ``weights`` come from a curriculum; by default from the configuration.

    Returns:
      The scalar objective and its metrics, ``sc_loss`` in nats per target token.
    """
    targets = batch.decoder_target_tokens
    logits = teacher_forced_logits(
        network, params, batch.encoder_input_tokens, targets, dropout_key
    )
    term = _span_corruption(logits, targets, config, _weights(weights, config).lambda_sc)
    return term.loss, {"sc_loss": term.ratio}


def target_token_loss(
    network: Network,
    params: Params,
    encoder_input_tokens: Array,
    decoder_target_tokens: Array,
    z_loss: float,
    dropout_key: Array | None = None,
) -> tuple[Array, Metrics]:
    """Computes the mean loss per target token, for fine-tuning, where target lengths vary.

    Returns:
      The scalar mean, z-loss included, and the metric ``loss`` in nats per target token.
    """
    logits = teacher_forced_logits(
        network, params, encoder_input_tokens, decoder_target_tokens, dropout_key
    )
    nll, log_z = token_cross_entropy(logits, decoder_target_tokens)
    present = decoder_target_tokens > 0
    regularised = _mean(nll + z_loss * log_z**2, present)
    return regularised.total / regularised.weight, {"loss": _mean(nll, present)}


class Generated(NamedTuple):
    """Output of the generator at the masked positions.

    Attributes:
      logits: float32 ``[B, q, V]`` at the masked positions.
      nll: nats of the original tokens at the masked positions, ``[B, q]``.
      tokens: int32 ``[B, q]``, sampled; the original token where a curriculum leaves it unmasked.
    """

    logits: Array
    nll: Array
    tokens: Array


def generate(
    model: Network,
    batch: CorruptedBatch,
    masked_embedded: Array,
    sample_keys: Array,
    deterministic: bool = True,
) -> Generated:
    """Runs the generator on X_c^MLM and samples the replacements of [M] (Section 2.1, Equation 5).

    Args:
      model: network bound to parameters.
      batch: corrupted examples.
      masked_embedded: ``[B, n, D]``, the embedded X_c^MLM.
      sample_keys: one key per row ``[B]``.
      deterministic: disables dropout.
    """
    positions = batch.masked_positions
    originals = jnp.take_along_axis(batch.encoder_input_tokens, positions, axis=1)
    shifted = shift_right(batch.encoder_input_tokens)
    if model.config.project_all_positions:
        every_logit = model.generate(masked_embedded, None, deterministic, shifted)
        every_nll, _ = token_cross_entropy(every_logit, batch.encoder_input_tokens)
        logits = jnp.take_along_axis(every_logit, positions[..., None], axis=1)
        nll = jnp.take_along_axis(every_nll, positions, axis=1)
    else:
        logits = model.generate(masked_embedded, positions, deterministic, shifted)
        nll, _ = token_cross_entropy(logits, originals)
    tokens = sample_replacements(logits, sample_keys)
    if batch.is_masked is not None:
        tokens = jnp.where(batch.is_masked, tokens, originals)
    return Generated(logits, nll, tokens)


def hybrid_loss(
    network: Network,
    params: Params,
    batch: CorruptedBatch,
    config: ObjectiveConfig,
    sample_keys: Array,
    dropout_key: Array | None = None,
    weights: Weights | None = None,
) -> tuple[Array, Metrics]:
    """Computes L = L_G + λ1·L_RTD + λ2·L_SC on the noisy input X̂_c (Equation 9).

    Only masked positions go through the generator's projection, and the discriminator's input
    embedding is the generator's with the rows of the sampled tokens replaced; options of the model
    disable both optimizations without changing the loss. A sampled token equal to the original
    counts as original. The RTD sum runs over all n positions of X̂_c.

    Args:
      network, params: network and parameters, with generator and RTD head.
      batch: corrupted examples.
      config: weights and reduction.
      sample_keys: one key per row ``[B]``, for the generator's samples.
      dropout_key: None disables dropout.
      weights: weights from a curriculum; by default from the configuration.

    Returns:
      The scalar objective and its metrics; losses are means in nats per position.
    """
    deterministic = dropout_key is None
    model = _bind(network, params, dropout_key)
    positions = batch.masked_positions
    originals = jnp.take_along_axis(batch.encoder_input_tokens, positions, axis=1)

    masked_embedded = model.embed(batch.masked_tokens)
    generated = generate(model, batch, masked_embedded, sample_keys, deterministic)
    sampled, is_masked = generated.tokens, batch.is_masked
    is_original = replace_rows(
        jnp.ones(batch.masked_tokens.shape, bool), positions, sampled == originals
    )

    if model.config.reuse_embedding:
        noisy_embedded = replace_rows(masked_embedded, positions, model.embed(sampled))
    else:
        noisy_embedded = model.embed(replace_rows(batch.masked_tokens, positions, sampled))
    bias = padding_bias(batch.masked_tokens)
    encoded = model.encode(noisy_embedded, bias, deterministic)
    rtd_logits = model.detect(encoded)
    rtd_nll = binary_cross_entropy(rtd_logits, is_original)

    logits = model.decode(batch.decoder_input_tokens, encoded, bias, deterministic)
    weights = _weights(weights, config)
    span_corruption = _span_corruption(
        logits, batch.decoder_target_tokens, config, weights.lambda_sc
    )

    loss = (
        _reduced(generated.nll, config, is_masked)
        + weights.lambda_rtd * _reduced(rtd_nll, config)
        + span_corruption.loss
    )
    judged_replaced = rtd_logits < 0
    correct = judged_replaced != is_original
    guessed = jnp.argmax(generated.logits, axis=-1) == originals
    return loss, {
        "sc_loss": span_corruption.ratio,
        "generator_loss": _mean(generated.nll, is_masked),
        "generator_accuracy": _mean(guessed, is_masked),
        "rtd_loss": _mean(rtd_nll),
        "rtd_accuracy": _mean(correct),
        "rtd_recall": _mean(correct, ~is_original),
        "rtd_precision": _mean(correct, judged_replaced),
        "replaced_fraction": _mean(~is_original),
    }
