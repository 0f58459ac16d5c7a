"""Adafactor with T5X's settings, and the learning-rate schedule (Table 5).

The state is Optax's ``FactoredState``. The update is written out, because Optax computes x^(−1/2)
as a power, which takes a fifth of a small model's step on a CPU. On a CPU, XLA does not vectorize
``rsqrt`` either, and converts 1 / √x to ``rsqrt``; √(1 / x) is ten times faster.

The learning rate is a function of the global step and not part of the optimizer's state, so one
set of slots is used through the stage switch and into fine-tuning.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from spactor.config import OptimizerConfig

Array = jax.Array
Slots: TypeAlias = optax.FactoredState

_LEAST_SQUARE = 1e-30
"""Added to squared gradients, so that a parameter without a gradient is not divided by zero."""
_LEAST_PARAMETER_RMS = 1e-3
"""Lower limit of a parameter's root mean square, so that a parameter at zero is updated."""


def learning_rate(step: Array | int, config: OptimizerConfig) -> Array:
    """Returns factor / √max(n, κ) at global step n, counted from 0, for scalar or array ``step``.

    >>> config = OptimizerConfig(warmup_steps=10_000)
    >>> [round(float(learning_rate(n, config)), 4) for n in (0, 10_000, 1_000_000)]
    [0.01, 0.01, 0.001]
    """
    steps = jnp.maximum(jnp.asarray(step, jnp.float32), config.warmup_steps)
    return config.learning_rate_factor / jnp.sqrt(steps)


def init_slots(params: Any, config: OptimizerConfig) -> Slots:
    """Returns initial second moments; ``count`` is the number of updates applied to them."""
    return optax.scale_by_factored_rms(min_dim_size_to_factor=config.min_dim_size_to_factor).init(
        params
    )


def _reciprocal_root(values: Array) -> Array:
    return jnp.sqrt(1.0 / values)


def _root_mean_square(values: Array) -> Array:
    return jnp.sqrt(jnp.mean(values**2))


def update(
    params: Any, grads: Any, slots: Slots, rate: Array | float, config: OptimizerConfig
) -> tuple[Any, Slots]:
    """Applies Adafactor: factored moments, clipping to RMS 1, step relative to the parameter.

    Args:
      params, grads: trees of the same structure, of vectors and matrices.
      slots: result of :func:`init_slots` or of the previous update.
      rate: learning rate, relative to each parameter's root mean square.

    Returns:
      New parameters and slots.
    """
    decay = 1.0 - (slots.count + 1.0) ** -config.decay_rate

    def averaged(old: Array, new: Array) -> Array:
        return decay * old + (1.0 - decay) * new

    def updated(
        parameter: Array, grad: Array, v_row: Array, v_col: Array, v: Array
    ) -> tuple[Array, ...]:
        squared = grad**2 + _LEAST_SQUARE
        if v.shape == parameter.shape:
            v = averaged(v, squared)
            scaled = grad * _reciprocal_root(v)
        else:
            shorter, longer = (int(axis) for axis in np.argsort(parameter.shape))
            v_row = averaged(v_row, jnp.mean(squared, axis=longer))
            v_col = averaged(v_col, jnp.mean(squared, axis=shorter))
            by_row = jnp.expand_dims(_reciprocal_root(v_row / jnp.mean(v_row)), longer)
            by_column = jnp.expand_dims(_reciprocal_root(v_col), shorter)
            scaled = grad * by_row * by_column
        clipping = jnp.maximum(1.0, _root_mean_square(scaled) / config.clipping_threshold)
        size = jnp.maximum(_root_mean_square(parameter), _LEAST_PARAMETER_RMS)
        return parameter - rate * size / clipping * scaled, v_row, v_col, v

    moments = (slots.v_row, slots.v_col, slots.v)
    by_parameter = jax.tree.map(updated, params, grads, *moments)
    new, *moments = jax.tree.transpose(jax.tree.structure(params), None, by_parameter)
    return new, Slots(slots.count + 1, *moments)
