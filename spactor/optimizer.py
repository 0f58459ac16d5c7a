"""Adafactor with T5X's settings, built from Optax, and the learning-rate schedule (Table 5).

The learning rate is a function of the global step and not part of the optimizer's state, so one
set of slots is used through the stage switch and into fine-tuning.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax

from spactor.config import OptimizerConfig

Array = jax.Array
Slots: TypeAlias = optax.FactoredState


def learning_rate(step: Array | int, config: OptimizerConfig) -> Array:
    """factor / √max(n, κ) at global step n, counted from 0, for scalar or array ``step``.

    >>> config = OptimizerConfig(warmup_steps=10_000)
    >>> [round(float(learning_rate(n, config)), 4) for n in (0, 10_000, 1_000_000)]
    [0.01, 0.01, 0.001]
    """
    steps = jnp.maximum(jnp.asarray(step, jnp.float32), config.warmup_steps)
    return config.learning_rate_factor / jnp.sqrt(steps)


def _second_moments(config: OptimizerConfig) -> optax.GradientTransformation:
    return optax.scale_by_factored_rms(
        factored=True,
        decay_rate=config.decay_rate,
        min_dim_size_to_factor=config.min_dim_size_to_factor,
    )


def init_slots(params: Any, config: OptimizerConfig) -> Slots:
    """Initial second moments; ``count`` is the number of updates applied to them."""
    return _second_moments(config).init(params)


def update(
    params: Any, grads: Any, slots: Slots, rate: Array | float, config: OptimizerConfig
) -> tuple[Any, Slots]:
    """One Adafactor update: factored moments, clipping to RMS 1, step relative to the parameter.

    Args:
      params, grads: trees of the same structure.
      slots: from :func:`init_slots` or from the previous update.
      rate: learning rate, relative to each parameter's root mean square.

    Returns:
      New parameters and slots.
    """
    scaled, slots = _second_moments(config).update(grads, slots, params)
    stateless = optax.chain(
        optax.clip_by_block_rms(config.clipping_threshold),
        optax.scale_by_param_block_rms(),
    )
    scaled, _ = stateless.update(scaled, stateless.init(params), params)
    return jax.tree.map(lambda p, u: p - rate * u, params, scaled), slots
