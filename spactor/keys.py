"""PRNG keys: one per role, step and row, so that no two random draws of a run share a key.

A key is derived by folding its role, the step and the row into the key of a seed, always in this
order. Keys on the way are only folded, never used to draw numbers: with partitionable threefry
``split(key)[i]`` equals ``fold_in(key, i)``, so a key that is both split and folded collides with
its own children. The numbers of the roles are large for the same reason: T5X splits the key of the
same seed for its own use.
"""

from __future__ import annotations

import enum

import jax
import jax.numpy as jnp

Array = jax.Array

_FIRST_ROLE = 0x53500000
_VALIDATION_SEED = 0


class Role(enum.IntEnum):
    """Uses of random numbers in training and validation; the data order has its own hash."""

    INITIALISATION = _FIRST_ROLE
    CORRUPTION = enum.auto()
    GENERATOR_SAMPLING = enum.auto()
    DROPOUT = enum.auto()
    FINETUNING_DROPOUT = enum.auto()
    VALIDATION_DIGEST = enum.auto()
    VALIDATION_CORRUPTION = enum.auto()
    VALIDATION_SAMPLING = enum.auto()


def role_key(role: Role, seed: Array | int, *counters: Array | int) -> Array:
    """Returns the key of a role in a run.

    Args:
      role: the use of the key.
      seed: seed of the run.
      *counters: the step, or the step and the row; a role always has the same number of counters.
    """
    key = jax.random.fold_in(jax.random.key(seed), int(role))
    for counter in counters:
        key = jax.random.fold_in(key, counter)
    return key


def row_keys(key: Array, rows: int) -> Array:
    """Returns a key per row, ``[rows]``; the key of row i does not depend on ``rows``."""
    return jax.vmap(lambda row: jax.random.fold_in(key, row))(jnp.arange(rows))


def validation_keys(role: Role, chunks: Array) -> Array:
    """Returns a key per row that depends only on the row's tokens: ``[B]`` keys for ``[B, N]``.

    An example is therefore corrupted the same way in every run, batch and engine.
    """
    digest_key = role_key(Role.VALIDATION_DIGEST, _VALIDATION_SEED)
    weights = jax.random.bits(digest_key, (chunks.shape[-1],), jnp.uint32)
    digests = jnp.sum(chunks.astype(jnp.uint32) * weights, axis=-1, dtype=jnp.uint32)
    key = role_key(role, _VALIDATION_SEED)
    return jax.vmap(lambda digest: jax.random.fold_in(key, digest))(digests)
