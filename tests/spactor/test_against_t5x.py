"""The discriminator and its optimizer against T5X's own, where T5X is installed."""

from __future__ import annotations

import dataclasses
import functools

import adafactor_trial
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_model import VOCABULARY, one_layer_config, tiny_config

from spactor import corruption, optimizer, step
from spactor.keys import Role, role_key, row_keys
from spactor.network import Network

pytestmark = [
    pytest.mark.t5x,
    # T5X and what it imports use what newer JAX and TensorFlow have deprecated.
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module", autouse=True)
def t5x():
    return pytest.importorskip("t5x", reason="T5X is not installed; see README.md")


def _theirs(model):
    from spactor.t5x.models import stock_module

    return stock_module(model)


def _tokens(rows: int, length: int, seed: int) -> np.ndarray:
    tokens = np.random.default_rng(seed).integers(3, 400, (rows, length)).astype(np.int32)
    tokens[0, length - 4 :] = 0
    return tokens


def test_same_tree_and_same_logits() -> None:
    config = tiny_config()
    params = step.init_state(config, 0, "span_corruption").params
    theirs = _theirs(config.model)
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


def test_twenty_adafactor_updates() -> None:
    """Every element of every tensor; the recorded values are checked in test_optimizer.py."""
    for ours, theirs in zip(
        adafactor_trial.of_this_project(), adafactor_trial.of_t5x(), strict=True
    ):
        for name in adafactor_trial.SCALES:
            np.testing.assert_allclose(
                ours[name], theirs[name], rtol=0, atol=adafactor_trial.TOLERANCE, err_msg=name
            )


def test_the_recorded_values_are_what_this_t5x_computes() -> None:
    made = adafactor_trial.record()
    recorded = adafactor_trial.recorded()
    for what in ("learning_rates", "parameters_after_updates"):
        for mine, other in zip(
            jax.tree.leaves(made[what]), jax.tree.leaves(recorded[what]), strict=True
        ):
            assert mine == pytest.approx(other, rel=1e-6, abs=1e-6)


def test_without_a_first_stage_it_is_plain_t5(chunks) -> None:
    """Three updates with τ = 0 against T5X's network, loss and Adafactor on the same batches."""
    from t5x import adafactor, losses

    config = one_layer_config()
    state = step.init_state(config, 0, "span_corruption")
    theirs, params = _theirs(config.model), state.params
    train_step = step.build_train_step(config, VOCABULARY, "span_corruption")
    rule = adafactor.Adafactor(learning_rate=1.0, logical_factor_rules=None)
    slots = rule.init_state(params)
    corrupt = jax.jit(corruption.corrupt, static_argnums=(2, 3))

    @jax.jit
    @jax.grad
    def gradient(params, batch):
        logits = theirs.apply(
            {"params": params},
            batch.encoder_input_tokens,
            batch.decoder_input_tokens,
            batch.decoder_target_tokens,
            enable_dropout=False,
        )
        loss, _, _ = losses.compute_weighted_cross_entropy(
            logits,
            batch.decoder_target_tokens,
            z_loss=config.objective.z_loss,
            # T5X's normalising factor equals our mean over sequences times λ2.
            loss_normalizing_factor=len(chunks) / config.objective.lambda_sc,
        )
        return loss

    for n in range(3):
        keys = row_keys(role_key(Role.CORRUPTION, 0, n), len(chunks))
        grads = gradient(params, corrupt(jnp.asarray(chunks), keys, config.lengths, VOCABULARY))
        hyper = dataclasses.replace(
            rule.hyper_params, learning_rate=optimizer.learning_rate(n, config.optimizer)
        )
        params, slots = rule.apply_gradient(hyper, params, slots, grads)
        state, _ = train_step(state, chunks, 0)
    for (path, ours), other in zip(
        jax.tree.leaves_with_path(state.params), jax.tree.leaves(params), strict=True
    ):
        np.testing.assert_allclose(ours, other, rtol=0, atol=1e-4, err_msg=str(path))
