"""Losses against plain formulas, and where their gradients may and may not go."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_model import VOCABULARY

from spactor import corruption, objective, step
from spactor.config import ObjectiveConfig
from spactor.network import Network, padding_bias


@pytest.fixture(scope="module")
def batch(config, chunks):
    return corruption.corrupt(
        jnp.asarray(chunks), step.row_keys(jax.random.key(3), 4), config.lengths, VOCABULARY
    )


@pytest.fixture(scope="module")
def params(config):
    return step.init_state(config, 0, "hybrid").params


# Compiled: one by one, the operations of a network take longer than its compilation.
HYBRID = jax.jit(objective.hybrid_loss, static_argnums=(0, 3))
SPAN_CORRUPTION = jax.jit(objective.span_corruption_loss, static_argnums=(0, 3))
TARGET_TOKEN = jax.jit(objective.target_token_loss, static_argnums=(0, 4))
SAMPLE_KEYS = step.row_keys(jax.random.key(5), 4)


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


def _naive_hybrid(config, params, batch, weights: ObjectiveConfig) -> float:
    """Equation 9 written in loops, with every position through the generator's projection."""
    model = Network(config.model).bind({"params": params})
    every = jnp.broadcast_to(jnp.arange(config.lengths.input_tokens), batch.masked_tokens.shape)
    generator = np.asarray(
        jax.nn.log_softmax(model.generate(model.embed(batch.masked_tokens), every)), np.float64
    )
    at_masks = model.generate(model.embed(batch.masked_tokens), batch.masked_positions)
    sampled = np.asarray(objective.sample_replacements(at_masks, SAMPLE_KEYS))
    noisy = np.array(batch.masked_tokens)
    for row, positions in enumerate(np.asarray(batch.masked_positions)):
        noisy[row, positions] = sampled[row]
    clean = np.asarray(batch.encoder_input_tokens)
    encoded = model.encode(model.embed(jnp.asarray(noisy)), padding_bias(jnp.asarray(noisy)))
    rtd = np.asarray(model.detect(encoded), np.float64)
    logits = model.decode(batch.decoder_input_tokens, encoded, padding_bias(jnp.asarray(noisy)))
    decoder = np.asarray(logits, np.float64)
    terms: dict[str, list[float]] = {"generator": [], "rtd": [], "span_corruption": []}
    for row in range(len(clean)):
        for position in np.asarray(batch.masked_positions)[row]:
            terms["generator"].append(-generator[row, position, clean[row, position]])
        for position, logit in enumerate(rtd[row]):
            p = 1 / (1 + math.exp(-logit))
            original = noisy[row, position] == clean[row, position]
            terms["rtd"].append(-math.log(p if original else 1 - p))
        for position, token in enumerate(np.asarray(batch.decoder_target_tokens)[row]):
            log_z = math.log(np.exp(decoder[row, position]).sum())
            nll = log_z - decoder[row, position, token]
            terms["span_corruption"].append(nll + weights.z_loss * log_z**2)
    by_term = {"generator": 1.0, "rtd": weights.lambda_rtd, "span_corruption": weights.lambda_sc}
    return sum(
        by_term[name]
        * sum(losses)
        / (len(clean) if weights.reduction == "sum_per_sequence" else len(losses))
        for name, losses in terms.items()
    )


@pytest.mark.parametrize(
    "weights",
    [
        ObjectiveConfig(),
        ObjectiveConfig(lambda_rtd=50.0, lambda_sc=1.0, z_loss=0.0),
        ObjectiveConfig(reduction="mean_per_token"),
    ],
)
def test_hybrid_loss_equals_the_plain_formula(config, params, batch, weights) -> None:
    network = Network(config.model)
    loss, _ = HYBRID(network, params, batch, weights, SAMPLE_KEYS)
    assert float(loss) == pytest.approx(_naive_hybrid(config, params, batch, weights), rel=1e-6)


def test_means_with_weights_of_their_own_are_the_sums_to_a_factor(config, params, batch) -> None:
    """Every row has n, q and t positions, so sums / q are means with λ1·n/q and λ2·t/q."""
    network, lengths = Network(config.model), config.lengths
    sums = ObjectiveConfig()
    means = ObjectiveConfig(
        lambda_rtd=sums.lambda_rtd * lengths.input_tokens / lengths.masked_tokens,
        lambda_sc=sums.lambda_sc * lengths.target_tokens / lengths.masked_tokens,
        reduction="mean_per_token",
    )
    by_sums, _ = HYBRID(network, params, batch, sums, SAMPLE_KEYS)
    by_means, _ = HYBRID(network, params, batch, means, SAMPLE_KEYS)
    assert float(by_means) == pytest.approx(float(by_sums) / lengths.masked_tokens, rel=1e-6)


def test_mean_per_token_leaves_padding_targets_out(config, params, batch) -> None:
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


def test_hybrid_metrics_count_what_they_say(config, params, batch) -> None:
    network = Network(config.model)
    _, metrics = HYBRID(network, params, batch, config.objective, SAMPLE_KEYS)
    positions = 4 * config.lengths.input_tokens
    masked = 4 * config.lengths.masked_tokens
    assert float(metrics["rtd_loss"].weight) == positions
    assert float(metrics["generator_loss"].weight) == masked
    assert float(metrics["sc_loss"].weight) == 4 * config.lengths.target_tokens
    replaced = float(metrics["replaced_fraction"].total)
    assert 0 < replaced <= masked
    assert float(metrics["rtd_recall"].weight) == replaced


def _gradient(config, params, batch, weights):
    network = Network(config.model)
    return jax.jit(jax.grad(lambda p: HYBRID(network, p, batch, weights, SAMPLE_KEYS)[0]))(params)


def _norm(tree) -> float:
    return math.sqrt(sum(float(jnp.sum(leaf**2)) for leaf in jax.tree.leaves(tree)))


def test_where_gradients_go(config, params, batch) -> None:
    generator_alone = _gradient(
        config, params, batch, ObjectiveConfig(lambda_rtd=0.0, lambda_sc=0.0, z_loss=0.0)
    )
    touched = {name for name, tree in generator_alone.items() if _norm(tree) > 0}
    assert touched == {"generator", "token_embedder"}
    # The other terms never reach the generator: its gradient is the same with them.
    everything = _gradient(config, params, batch, config.objective)
    for alone, together in zip(
        jax.tree.leaves(generator_alone["generator"]),
        jax.tree.leaves(everything["generator"]),
        strict=True,
    ):
        np.testing.assert_allclose(alone, together, rtol=1e-5, atol=1e-7)
    assert all(_norm(tree) > 0 for tree in everything.values())


def test_gradient_equals_the_numerical_one(config, params, batch) -> None:
    """Central differences along one random direction, away from the discrete sampling."""
    weights = config.objective
    network = Network(config.model)
    grads = _gradient(config, params, batch, weights)
    keys = iter(jax.random.split(jax.random.key(9), len(jax.tree.leaves(params))))
    direction = jax.tree.map(lambda leaf: jax.random.normal(next(keys), leaf.shape), params)
    # The generator stays put, or a sampled token could change inside the difference.
    for frozen in ("generator", "token_embedder"):
        direction[frozen] = jax.tree.map(jnp.zeros_like, direction[frozen])

    def along(size: float) -> float:
        moved = jax.tree.map(lambda leaf, d: leaf + size * d, params, direction)
        return float(HYBRID(network, moved, batch, weights, SAMPLE_KEYS)[0])

    def slope(size: float) -> float:
        return (along(size) - along(-size)) / (2 * size)

    # Richardson's combination of two sizes cancels the error that grows with their square;
    # what is left comes from ReLUs that switch inside the interval.
    numerical = (4 * slope(5e-4) - slope(1e-3)) / 3
    exact = sum(
        float(jnp.sum(g * d))
        for g, d in zip(jax.tree.leaves(grads), jax.tree.leaves(direction), strict=True)
    )
    assert exact == pytest.approx(numerical, rel=1e-2)


def test_span_corruption_needs_no_generator(config, params, batch) -> None:
    network = Network(config.model)
    plain = {name: tree for name, tree in params.items() if name not in step.HYBRID_ONLY}
    with_all, _ = SPAN_CORRUPTION(network, params, batch, config.objective)
    without, _ = SPAN_CORRUPTION(network, plain, batch, config.objective)
    assert float(with_all) == float(without)


def test_padding_counts_nowhere(config, params) -> None:
    network = Network(config.model)
    inputs = jnp.asarray([[5, 6, 7, 1]])
    targets = jnp.asarray([[8, 9, 1]])
    short, _ = TARGET_TOKEN(network, params, inputs, targets, 1e-4)
    padded, metrics = TARGET_TOKEN(
        network,
        params,
        jnp.pad(inputs, ((0, 0), (0, 5))),
        jnp.pad(targets, ((0, 0), (0, 4))),
        1e-4,
    )
    assert float(padded) == pytest.approx(float(short), rel=1e-6)
    assert float(metrics["loss"].weight) == 3


def test_z_loss_is_part_of_the_objective_only(config, params, batch) -> None:
    network = Network(config.model)
    without = dataclasses.replace(config.objective, z_loss=0.0)
    loss, metrics = SPAN_CORRUPTION(network, params, batch, config.objective)
    loss_without, metrics_without = SPAN_CORRUPTION(network, params, batch, without)
    assert float(loss) > float(loss_without)
    assert float(metrics["sc_loss"].total) == float(metrics_without["sc_loss"].total)
