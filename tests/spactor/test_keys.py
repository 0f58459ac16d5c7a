"""Keys of all roles are distinct, and the numbers drawn with them are uncorrelated."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spactor import keys
from spactor.keys import Role

ROWS, STEPS, SEEDS = 4, (0, 1, 2, 3, 4, 5, 6, 7, 99, 10**6), (0, 1, 7, 2**31 - 1)
PER_ROW = (Role.CORRUPTION, Role.GENERATOR_SAMPLING)
PER_STEP = (Role.DROPOUT, Role.FINETUNING_DROPOUT)
PER_EXAMPLE = (Role.VALIDATION_CORRUPTION, Role.VALIDATION_SAMPLING)


def _data(key: jax.Array) -> np.ndarray:
    return np.asarray(jax.random.key_data(key)).reshape(-1, 2)


def _children(rows: jax.Array) -> list[np.ndarray]:
    """The keys into which `corruption.corrupt` splits its row keys."""
    spans, masks = jnp.moveaxis(jax.vmap(jax.random.split)(rows), 1, 0)
    return [_data(spans), _data(masks), _data(jax.vmap(jax.random.split)(spans))]


@pytest.fixture(scope="module")
def row_keys():
    derive = jax.jit(
        lambda seed, at: {
            role: keys.row_keys(keys.role_key(role, seed, at), ROWS) for role in PER_ROW
        }
    )
    return {(seed, at): derive(seed, at) for seed in SEEDS for at in STEPS}


def test_every_role_is_tested() -> None:
    once = (Role.INITIALISATION, Role.VALIDATION_DIGEST)
    assert sorted([*PER_ROW, *PER_STEP, *PER_EXAMPLE, *once]) == list(Role)


def test_all_keys_are_distinct(row_keys, chunks) -> None:
    """Of all roles, seeds, steps and rows, in both stages, in validation, and T5X's own."""
    used = [_data(keys.role_key(Role.VALIDATION_DIGEST, 0))]
    for role in PER_EXAMPLE:
        used.append(_data(keys.validation_keys(role, jnp.asarray(chunks))))
    used += _children(keys.validation_keys(Role.VALIDATION_CORRUPTION, jnp.asarray(chunks)))
    for seed in SEEDS:
        used += [_data(jax.random.key(seed)), _data(keys.role_key(Role.INITIALISATION, seed))]
        # T5X initialises with the first of two keys, and folds the step into the second.
        t5x = jax.random.split(jax.random.key(seed))
        used.append(_data(t5x))
        for at in STEPS:
            used.append(_data(jax.random.fold_in(t5x[1], at)))
            used += [_data(keys.role_key(role, seed, at)) for role in (*PER_STEP, *PER_ROW)]
            used += [_data(row_keys[seed, at][role]) for role in PER_ROW]
            used += _children(row_keys[seed, at][Role.CORRUPTION])
    every = np.concatenate(used)
    assert len(np.unique(every, axis=0)) == len(every) > 1000


def test_draws_of_different_roles_steps_and_rows_are_uncorrelated(row_keys) -> None:
    """Correlations of 4,096 independent numbers have a standard deviation of 1/64."""
    size = 4096
    some = [row_keys[seed, at][role] for seed in (0, 1) for at in (0, 1) for role in PER_ROW]
    leaves = jnp.concatenate([keys_of[:2] for keys_of in some])
    parts = jax.vmap(jax.random.split)(leaves[:4]).reshape(-1)
    dropout = jnp.stack([keys.role_key(role, 0, at) for role in PER_STEP for at in (0, 1)])
    every = jnp.concatenate([leaves, parts, dropout])
    draws = np.asarray(jax.vmap(lambda key: jax.random.uniform(key, (size,)))(every))
    between = np.corrcoef(draws)[np.triu_indices(len(every), 1)]
    # 378 pairs: the largest of as many normal deviates exceeds 5 with probability 2e-4.
    assert len(between) == 378 and abs(between).max() < 5 / np.sqrt(size)


def test_validation_masks_are_independent_of_the_sampled_replacements() -> None:
    """The numbers that order the masked positions against those that choose replacements."""
    rows = 2000
    chunks = jnp.asarray(np.random.default_rng(0).integers(3, 400, (rows, 64)), jnp.int32)
    corrupt, sample = (keys.validation_keys(role, chunks) for role in PER_EXAMPLE)
    masks = jax.vmap(jax.random.split)(corrupt)[:, 1]
    drawn = jax.vmap(lambda key: jax.random.uniform(key, (8, 2)))
    # Both read the first numbers of their stream, position by position.
    mask, replacement = (np.asarray(drawn(key)).reshape(rows, -1) for key in (masks, sample))
    between = np.corrcoef(mask, replacement, rowvar=False)[:16, 16:]
    assert abs(between).max() < 5 / np.sqrt(rows)


def test_validation_keys_depend_on_the_row_alone(chunks) -> None:
    together, alone = (
        _data(keys.validation_keys(Role.VALIDATION_SAMPLING, jnp.asarray(rows)))
        for rows in (chunks, chunks[2:3])
    )
    assert (together[2] == alone[0]).all()
    assert len(np.unique(together, axis=0)) == len(chunks)
