"""Sampled tokens are independent draws from p_G."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from spactor import objective
from spactor.keys import row_keys

ROWS, POSITIONS, VOCABULARY = 250, 64, 384
KEYS = row_keys(jax.random.key(11), ROWS)
SAMPLE = jax.jit(objective.sample_replacements)


def draws(logits, keys=KEYS):
    spread = jnp.broadcast_to(logits, (len(keys), POSITIONS, VOCABULARY))
    return np.asarray(SAMPLE(spread, keys))


@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0])
def test_counts_follow_the_softmax(scale):
    # Three blocks of 128, so both stages decide. At scale 3 a few tokens hold most of the mass.
    logits = scale * np.random.default_rng(0).standard_normal(VOCABULARY)
    share = np.exp(logits) / np.exp(logits).sum()
    counts = np.bincount(draws(jnp.asarray(logits, jnp.float32)).ravel(), minlength=VOCABULARY)
    # Chi-square needs some five expected in a cell: the rare tokens are counted as one.
    expected = share * counts.sum()
    rare = expected < 5
    merged = lambda x: np.append(x[~rare], x[rare].sum()) if rare.any() else x  # noqa: E731
    # The seed is fixed; a correct sampler fails with one seed in ten thousand.
    assert stats.chisquare(merged(counts), merged(expected)).pvalue > 1e-4


def test_a_token_without_weight_is_never_drawn():
    logits = np.full(VOCABULARY, -np.inf, np.float32)
    allowed = [0, 127, 128, 383]
    logits[allowed] = [0.0, -20.0, 3.0, 0.0]
    assert set(np.unique(draws(jnp.asarray(logits)))) <= set(allowed)


def test_large_logits_stay_finite_and_certain():
    logits = jnp.full(VOCABULARY, -1e30).at[200].set(1e30)
    assert (draws(logits) == 200).all()


def test_the_largest_uniform_takes_the_last_token_with_weight():
    below_one = jnp.float32(np.nextafter(np.float32(1.0), np.float32(0.0)))
    for weights in ([1.0, 2.0, 0.0], [1e-30, 1e30, 0.0], [0.1] * 7 + [0.0]):
        row = jnp.asarray(weights, jnp.float32)
        last = int(np.flatnonzero(np.asarray(weights))[-1])
        assert int(objective._invert_cumulative(row, below_one)) <= last
        assert int(objective._invert_cumulative(row, jnp.float32(0.0))) == 0


def test_draws_depend_on_the_key_of_the_row_alone():
    logits = jnp.zeros(VOCABULARY)
    assert (draws(logits)[:100] == draws(logits, KEYS[:100])).all()
    assert (draws(logits, row_keys(jax.random.key(12), ROWS)) != draws(logits)).mean() > 0.9


def test_bfloat16_logits_are_sampled_in_float32():
    """Equal to sampling the same values in float32, so rare tokens have their share."""
    logits = jnp.asarray(3 * np.random.default_rng(0).standard_normal(VOCABULARY), jnp.bfloat16)
    assert (draws(logits) == draws(logits.astype(jnp.float32))).all()
