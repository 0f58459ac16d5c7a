"""Adafactor and its schedule against values that T5X computed; see adafactor_trial.py."""

from __future__ import annotations

import adafactor_trial as trial
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from spactor import optimizer

RECORDED = trial.recorded()


@pytest.fixture(scope="module")
def after_updates():
    return dict(enumerate(trial.of_this_project(), start=1))


@pytest.mark.parametrize("updates", trial.RECORDED_AFTER)
def test_parameters_equal_t5x(after_updates, updates: int) -> None:
    expected = RECORDED["parameters_after_updates"][str(updates)]
    found = trial.probes(after_updates[updates])
    assert set(found) == set(expected)
    for name, probe in expected.items():
        for what in ("values", "rms"):
            np.testing.assert_allclose(
                found[name][what], probe[what], rtol=0, atol=trial.TOLERANCE, err_msg=name
            )


def test_the_trial_moves_far_and_clips(after_updates) -> None:
    """Otherwise the comparison would be insensitive."""
    before, after = trial.parameters(), after_updates[trial.UPDATES]
    for name in ("matrix", "narrow", "vector"):
        moved = np.sqrt(np.mean((after[name] - before[name]) ** 2))
        assert moved > 1e4 * trial.TOLERANCE, name
    # The scale of a tensor at zero is clipped to 1e-3, so its first update is 1e-3 of the rate.
    assert 1e-4 < np.abs(after_updates[1]["zero"]).max() < 1e-2


def test_two_hundred_updates_equal_optax() -> None:
    """Its own Adafactor, which computes the powers that ours writes as reciprocal roots."""
    config = trial.CONFIG
    theirs = optax.chain(
        optax.scale_by_factored_rms(decay_rate=config.decay_rate),
        optax.clip_by_block_rms(config.clipping_threshold),
        optax.scale_by_param_block_rms(),
    )

    @jax.jit
    def both(ours, slots, params, state, n):
        key = jax.random.fold_in(jax.random.key(0), n)
        grads = jax.tree.map(lambda leaf: jax.random.normal(key, leaf.shape), params)
        rate = 0.01 / jnp.sqrt(1.0 + n)
        ours, slots = optimizer.update(ours, grads, slots, rate, config)
        scaled, state = theirs.update(grads, state, params)
        params = jax.tree.map(lambda p, u: p - rate * u, params, scaled)
        return ours, slots, params, state

    params = jax.tree.map(jnp.asarray, trial.parameters())
    state = (params, optimizer.init_slots(params, config), params, theirs.init(params))
    for n in range(200):
        state = both(*state, jnp.float32(n))
    ours, slots, expected, (moments, *_) = state
    for found, other in ((ours, expected), (slots, moments)):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-5), found, other)


def test_learning_rates_equal_t5x() -> None:
    for at, rate in RECORDED["learning_rates"].items():
        ours = float(optimizer.learning_rate(jnp.asarray(int(at)), trial.CONFIG))
        assert ours == pytest.approx(rate, rel=1e-6)


def test_matrices_of_at_least_128_are_factored() -> None:
    slots = optimizer.init_slots(
        {"at": jnp.zeros((128, 300)), "below": jnp.zeros((127, 300))}, trial.CONFIG
    )
    # Optax stores a placeholder of one element where a moment is not used.
    assert (slots.v_row["at"].shape, slots.v_col["at"].shape) == ((128,), (300,))
    assert slots.v["at"].size == 1
    assert slots.v["below"].shape == (127, 300)


def test_a_gradient_of_zero_moves_nothing() -> None:
    """With λ1 = 0 the RTD head is unchanged, bit for bit."""
    params = jax.tree.map(jnp.asarray, trial.parameters())
    slots = optimizer.init_slots(params, trial.CONFIG)
    nothing = jax.tree.map(jnp.zeros_like, params)
    moved, _ = jax.jit(optimizer.update, static_argnums=4)(
        params, nothing, slots, 0.1, trial.CONFIG
    )
    jax.tree.map(np.testing.assert_array_equal, moved, params)


def test_provenance_of_the_goldens() -> None:
    provenance = RECORDED["provenance"]
    assert provenance["t5x_commit"] == trial.T5X_COMMIT and provenance["command"] == trial.COMMAND
    assert set(provenance["versions"]) == {"jax", "flax", "numpy"}
    assert provenance["tolerance"] == trial.TOLERANCE
