"""Adafactor and its schedule against values that T5X computed; see adafactor_trial.py."""

from __future__ import annotations

import adafactor_trial as trial
import jax.numpy as jnp
import numpy as np
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


def test_provenance_of_the_goldens() -> None:
    provenance = RECORDED["provenance"]
    assert provenance["t5x_commit"] == trial.T5X_COMMIT and provenance["command"] == trial.COMMAND
    assert set(provenance["versions"]) == {"jax", "flax", "numpy"}
    assert provenance["tolerance"] == trial.TOLERANCE
