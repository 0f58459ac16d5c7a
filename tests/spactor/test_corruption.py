"""Corruption by hand, and its random choices; test_corruption_against_t5.py compares with T5."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_model import VOCABULARY

from spactor import corruption
from spactor.config import CorruptionConfig


def _lengths(chunk: int, **settings: float):
    return CorruptionConfig(**settings).lengths_of_chunk(chunk)


def test_worked_example() -> None:
    # a b [c d] e f g h [i j], as in the module's docstring.
    lengths = _lengths(10, noise_density=0.4, mean_noise_span_length=2.0)
    tokens = jnp.arange(11, 21, dtype=jnp.int32)
    spans = corruption.Spans(text=jnp.asarray([2, 4]), noise=jnp.asarray([2, 2]))
    encoder_input, target = corruption.corrupt_spans(tokens, spans, lengths, VOCABULARY)
    first, second = VOCABULARY.sentinel_id(0), VOCABULARY.sentinel_id(1)
    assert encoder_input.tolist() == [11, 12, first, 15, 16, 17, 18, second, 1]
    assert target.tolist() == [first, 13, 14, second, 19, 20, 1]


@pytest.mark.parametrize("population, count", [(1, 1), (5, 5), (9, 3), (200, 150), (7, 0)])
def test_drawing_without_replacement_is_a_shuffle(population: int, count: int) -> None:
    """Against the textbook's loop over all cells, fed the same random numbers."""
    draw = jax.jit(corruption.draw_without_replacement, static_argnums=(1, 2))
    for seed in range(20):
        key = jax.random.key(seed)
        cells = list(range(population))
        for step, uniform in enumerate(np.asarray(jax.random.uniform(key, (count,)))):
            target = step + int(np.float32(uniform) * np.float32(population - step))
            cells[step], cells[target] = cells[target], cells[step]
        drawn = draw(key, population, count).tolist()
        assert drawn == cells[:count] and len(set(drawn)) == count
        assert draw(key, population, count // 2).tolist() == drawn[: count // 2]


def test_a_chunk_of_another_length_is_rejected(config) -> None:
    with pytest.raises(ValueError, match="7 tokens"):
        corruption.corrupt(
            jnp.zeros((1, 7), jnp.int32),
            jax.random.split(jax.random.key(0), 1),
            config.lengths,
            VOCABULARY,
        )
