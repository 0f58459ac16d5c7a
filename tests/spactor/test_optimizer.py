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
def test_parameters_are_t5x_s_after(after_updates, updates: int) -> None:
    expected = RECORDED["parameters_after_updates"][str(updates)]
    found = trial.probes(after_updates[updates])
    assert set(found) == set(expected)
    for name, probe in expected.items():
        for what in ("values", "rms"):
            np.testing.assert_allclose(
                found[name][what], probe[what], rtol=0, atol=trial.TOLERANCE, err_msg=name
            )


def test_the_trial_moves_far_and_clips(after_updates) -> None:
    """Otherwise the comparison would say little."""
    before, after = trial.parameters(), after_updates[trial.UPDATES]
    for name in ("matrix", "narrow", "vector"):
        moved = np.sqrt(np.mean((after[name] - before[name]) ** 2))
        assert moved > 1e4 * trial.TOLERANCE, name
    # A tensor at zero moves by 1e-3 of the rate at first, the smallest size a parameter has.
    assert 1e-4 < np.abs(after_updates[1]["zero"]).max() < 1e-2


def test_the_schedule_is_t5x_s() -> None:
    for at, rate in RECORDED["learning_rates"].items():
        ours = float(optimizer.learning_rate(jnp.asarray(int(at)), trial.CONFIG))
        assert ours == pytest.approx(rate, rel=1e-6)


def test_matrices_from_128_are_factored() -> None:
    slots = optimizer.init_slots(
        {"at": jnp.zeros((128, 300)), "below": jnp.zeros((127, 300))}, trial.CONFIG
    )
    # The library keeps a placeholder of one element where a moment is not used.
    assert (slots.v_row["at"].shape, slots.v_col["at"].shape) == ((128,), (300,))
    assert slots.v["at"].size == 1
    assert slots.v["below"].shape == (127, 300)


def test_the_goldens_say_where_they_come_from() -> None:
    told = RECORDED["provenance"]
    assert told["t5x_commit"] == trial.T5X_COMMIT and told["command"] == trial.COMMAND
    assert set(told["versions"]) == {"jax", "flax", "numpy"}
    assert told["tolerance"] == trial.TOLERANCE
