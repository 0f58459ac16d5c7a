"""Losses against plain formulas written in loops."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import naive
import numpy as np
import pytest
from tiny_model import SAMPLE_KEYS

from spactor import objective
from spactor.config import ObjectiveConfig
from spactor.network import Network

# Compiled: one by one, the operations of a network take longer than its compilation.
HYBRID = jax.jit(objective.hybrid_loss, static_argnums=(0, 3))
SPAN_CORRUPTION = jax.jit(objective.span_corruption_loss, static_argnums=(0, 3))
TARGET_TOKEN = jax.jit(objective.target_token_loss, static_argnums=(0, 4))
APPLY = jax.jit(Network.apply, static_argnums=0)


def test_token_cross_entropy_by_hand() -> None:
    logits = jnp.log(jnp.asarray([[1.0, 2.0, 5.0]]))  # p = 1/8, 2/8, 5/8
    nll, log_z = objective.token_cross_entropy(logits, jnp.asarray([1]))
    assert float(nll[0]) == pytest.approx(math.log(4))
    assert float(log_z[0]) == pytest.approx(math.log(8))


def test_binary_cross_entropy_by_hand() -> None:
    logits = jnp.asarray([0.0, 2.0, 2.0, -300.0])
    loss = objective.binary_cross_entropy(logits, jnp.asarray([True, True, False, True]))
    sigma = 1 / (1 + math.exp(-2))
    expected = [math.log(2), -math.log(sigma), -math.log(1 - sigma), 300.0]
    assert loss.tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "weights",
    [
        ObjectiveConfig(lambda_rtd=50.0, lambda_sc=1.0, z_loss=0.0),
        ObjectiveConfig(reduction="mean_per_token"),
    ],
)
def test_hybrid_loss_equals_the_plain_formula(config, params, batch, noisy, weights) -> None:
    """All positions through the generator's projection, and all embedded twice.

    `test_gradients` compares the default weights.
    """
    network = Network(config.model)
    terms, without_z = (
        jax.device_get(naive.dense_terms(network, params, batch, noisy, z_loss))
        for z_loss in (weights.z_loss, 0.0)
    )
    lengths = config.lengths
    positions = (lengths.masked_tokens, lengths.input_tokens, lengths.target_tokens)
    # All rows have equal lengths, so the mean over tokens is a mean over rows.
    q, n, t = positions if weights.reduction == "mean_per_token" else (1, 1, 1)
    expected = (
        terms["generator"] / q
        + weights.lambda_rtd * terms["rtd"] / n
        + weights.lambda_sc * terms["sc"] / t
    )
    loss, metrics = HYBRID(network, params, batch, weights, SAMPLE_KEYS)
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    for name, term, tokens in zip(
        ("generator_loss", "rtd_loss", "sc_loss"),
        (terms["generator"], terms["rtd"], without_z["sc"]),
        positions,
        strict=True,
    ):
        assert float(metrics[name].total) / 4 == pytest.approx(term, rel=1e-6), name
        assert float(metrics[name].weight) == 4 * tokens
    replaced = float(metrics["replaced_fraction"].total)
    assert replaced == np.sum(noisy != batch.encoder_input_tokens) > 0
    assert float(metrics["rtd_recall"].weight) == replaced


def test_span_corruption_loss_equals_the_plain_formula(config, params, batch) -> None:
    network = Network(config.model)
    logits = APPLY(
        network, {"params": params}, batch.encoder_input_tokens, batch.decoder_input_tokens
    )
    rows = zip(np.asarray(logits, np.float64), np.asarray(batch.decoder_target_tokens), strict=True)
    sums = np.asarray([naive.loop_cross_entropy(*row) for row in rows]).sum(axis=0)
    weights = ObjectiveConfig(lambda_sc=7.0, z_loss=1e-3)
    loss, metrics = SPAN_CORRUPTION(network, params, batch, weights)
    assert float(loss) == pytest.approx(7.0 * (sums[0] + 1e-3 * sums[1]) / 4, rel=1e-6)
    assert float(metrics["sc_loss"].total) == pytest.approx(sums[0], rel=1e-6)


def test_target_token_loss_equals_the_plain_formula(config, params) -> None:
    network = Network(config.model)
    inputs, targets = np.asarray([[5, 6, 7, 1], [8, 1, 0, 0]]), np.asarray([[9, 1, 0], [10, 11, 1]])
    shifted = np.asarray([[0, 9, 1], [0, 10, 11]])
    logits = np.asarray(APPLY(network, {"params": params}, inputs, shifted), np.float64)
    sums = np.asarray(
        [naive.loop_cross_entropy(*row) for row in zip(logits, targets, strict=True)]
    ).sum(axis=0)
    loss, metrics = TARGET_TOKEN(network, params, inputs, targets, 1e-3)
    assert float(loss) == pytest.approx((sums[0] + 1e-3 * sums[1]) / 5, rel=1e-6)
    assert float(metrics["loss"].total) == pytest.approx(sums[0], rel=1e-6)
    assert float(metrics["loss"].weight) == 5


def test_mean_per_token_ignores_padding_targets(config, params, batch) -> None:
    network = Network(config.model)
    means = ObjectiveConfig(lambda_sc=1.0, z_loss=0.0, reduction="mean_per_token")
    targets = batch.decoder_target_tokens.at[0, 5:].set(0)
    loss, metrics = SPAN_CORRUPTION(
        network, params, batch._replace(decoder_target_tokens=targets), means
    )
    # Over the batch's tokens, not over rows first: a short row counts for fewer.
    assert float(metrics["sc_loss"].weight) == 5 + 3 * config.lengths.target_tokens
    assert float(loss) == pytest.approx(
        float(metrics["sc_loss"].total / metrics["sc_loss"].weight), rel=1e-6
    )


def test_options_change_neither_losses_nor_gradients(config, params, batch) -> None:
    """Losses within 1e-6, gradients within 1e-6 of each tensor's norm: sums in another order."""
    fast_model = dataclasses.replace(config.model, dropout_rate=0.1)
    slow_model = dataclasses.replace(
        fast_model, one_hot_embedding=True, project_all_positions=True, reuse_embedding=False
    )

    def of(model):
        value = jax.value_and_grad(
            lambda p: objective.hybrid_loss(
                Network(model), p, batch, config.objective, SAMPLE_KEYS, jax.random.key(1)
            ),
            has_aux=True,
        )
        return jax.jit(value)(params)

    (fast, fast_metrics), fast_grads = of(fast_model)
    (slow, slow_metrics), slow_grads = of(slow_model)
    assert float(slow) == pytest.approx(float(fast), rel=1e-6)
    for metric, ratio in fast_metrics.items():
        assert float(slow_metrics[metric].total) == pytest.approx(float(ratio.total), rel=1e-6)
        assert float(slow_metrics[metric].weight) == float(ratio.weight)
    for left, right in zip(jax.tree.leaves(fast_grads), jax.tree.leaves(slow_grads), strict=True):
        distance = float(jnp.linalg.norm((left - right).ravel()))
        assert distance <= 1e-6 * float(jnp.linalg.norm(left.ravel()))


def test_bfloat16_activations(config, params, batch) -> None:
    """A rounding to bfloat16 errs by up to 2^-8, and each loss averages hundreds of them."""
    model = dataclasses.replace(config.model, compute_dtype="bfloat16")
    exact, _ = SPAN_CORRUPTION(Network(config.model), params, batch, config.objective)
    loss, _ = SPAN_CORRUPTION(Network(model), params, batch, config.objective)
    assert loss.dtype == jnp.float32 and float(loss) != float(exact)
    assert float(loss) == pytest.approx(float(exact), rel=2**-8)
    grads = jax.eval_shape(
        jax.grad(lambda p: HYBRID(Network(model), p, batch, config.objective, SAMPLE_KEYS)[0]),
        params,
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(grads)} == {jnp.dtype("float32")}
