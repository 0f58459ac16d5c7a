"""The discriminator and its optimizer against T5X's own, where T5X is installed."""

from __future__ import annotations

import functools

import adafactor_trial
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_model import tiny_config

from spactor import step
from spactor.network import Network

pytestmark = [
    pytest.mark.t5x,
    # T5X and what it imports use what newer JAX and TensorFlow have deprecated.
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module", autouse=True)
def t5x():
    return pytest.importorskip("t5x", reason="T5X is not installed; see README.md")


def _tokens(rows: int, length: int, seed: int) -> np.ndarray:
    tokens = np.random.default_rng(seed).integers(3, 400, (rows, length)).astype(np.int32)
    tokens[0, length - 4 :] = 0
    return tokens


def test_same_tree_and_same_logits() -> None:
    from spactor.t5x.models import stock_module

    config = tiny_config()
    params = step.init_state(config, 0, "span_corruption").params
    theirs = stock_module(config.model)
    inputs, targets = _tokens(3, 40, 0), _tokens(3, 12, 1)
    shifted = np.concatenate([np.zeros((3, 1), np.int32), targets[:, :-1]], axis=1)
    init = functools.partial(theirs.init, enable_dropout=False)
    apply = functools.partial(theirs.apply, enable_dropout=False)
    made = jax.eval_shape(init, jax.random.key(0), inputs, shifted, targets)["params"]
    assert jax.tree.map(jnp.shape, made) == jax.tree.map(jnp.shape, params)
    expected = jax.jit(apply)({"params": params}, inputs, shifted, targets)
    logits = jax.jit(Network(config.model).apply)({"params": params}, inputs, shifted)
    # T5X masks rows of padding targets, and we do not; they are not compared.
    present = targets > 0
    np.testing.assert_allclose(
        np.asarray(logits)[present], np.asarray(expected)[present], rtol=0, atol=2e-5
    )


def test_the_recorded_values_are_what_this_t5x_computes() -> None:
    made = adafactor_trial.record()
    recorded = adafactor_trial.recorded()
    for what in ("learning_rates", "parameters_after_updates"):
        for mine, other in zip(
            jax.tree.leaves(made[what]), jax.tree.leaves(recorded[what]), strict=True
        ):
            assert mine == pytest.approx(other, rel=1e-6, abs=1e-6)
