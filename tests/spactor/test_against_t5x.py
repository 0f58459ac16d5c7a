"""The discriminator and its optimizer against T5X's own, where T5X is installed."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_model import tiny_config

from spactor import optimizer, step
from spactor.network import Network

pytestmark = [
    pytest.mark.t5x,
    # T5X and what it imports use what newer JAX and TensorFlow have deprecated.
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module", autouse=True)
def t5x():
    return pytest.importorskip("t5x", reason="T5X is not installed; see README.md")


@pytest.fixture(scope="module")
def network():
    from t5x.examples.t5 import network

    return network


def _theirs(network, model):
    return network.Transformer(
        network.T5Config(
            vocab_size=model.vocab_size,
            emb_dim=model.emb_dim,
            num_heads=model.num_heads,
            num_encoder_layers=model.num_encoder_layers,
            num_decoder_layers=model.num_decoder_layers,
            head_dim=model.head_dim,
            mlp_dim=model.mlp_dim,
            dropout_rate=0.0,
            logits_via_embedding=True,
        )
    )


def _tokens(rows: int, length: int, seed: int) -> np.ndarray:
    tokens = np.random.default_rng(seed).integers(3, 400, (rows, length)).astype(np.int32)
    tokens[0, length - 4 :] = 0
    return tokens


def test_same_tree_and_same_logits(network) -> None:
    config = tiny_config()
    params = step.init_state(config, 0, "span_corruption").params
    theirs = _theirs(network, config.model)
    inputs, targets = _tokens(3, 40, 0), _tokens(3, 12, 1)
    shifted = np.concatenate([np.zeros((3, 1), np.int32), targets[:, :-1]], axis=1)
    made = theirs.init(jax.random.key(0), inputs, shifted, targets, enable_dropout=False)["params"]
    assert jax.tree.map(jnp.shape, made) == jax.tree.map(jnp.shape, params)
    expected = theirs.apply({"params": params}, inputs, shifted, targets, enable_dropout=False)
    logits = Network(config.model).apply({"params": params}, inputs, shifted)
    # Rows that only padding would see are masked there and not here.
    present = targets > 0
    np.testing.assert_allclose(
        np.asarray(logits)[present], np.asarray(expected)[present], rtol=0, atol=2e-5
    )


def test_twenty_adafactor_updates() -> None:
    from t5x import adafactor

    config = dataclasses.replace(tiny_config().optimizer, min_dim_size_to_factor=128)
    rng = np.random.default_rng(0)
    shapes = {"matrix": (130, 140), "small": (16, 140), "vector": (16,)}
    params = {k: jnp.asarray(rng.normal(size=s), jnp.float32) for k, s in shapes.items()}
    theirs = adafactor.Adafactor(
        learning_rate=1.0,
        decay_rate=0.8,
        step_offset=0,
        min_dim_size_to_factor=128,
        logical_factor_rules=None,
    )
    state = theirs.init_state(params)
    ours, slots, other = params, optimizer.init_slots(params, config), params
    for n in range(20):
        grads = {k: jnp.asarray(rng.normal(size=s) * 3, jnp.float32) for k, s in shapes.items()}
        rate = optimizer.learning_rate(n, config)
        ours, slots = optimizer.update(ours, grads, slots, rate, config)
        hyper = dataclasses.replace(theirs.hyper_params, learning_rate=rate)
        other, state = theirs.apply_gradient(hyper, other, state, grads)
    for name in shapes:
        np.testing.assert_allclose(ours[name], other[name], rtol=0, atol=1e-5)
