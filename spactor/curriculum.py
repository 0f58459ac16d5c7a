"""Objective and weights at step n: pure functions of the step (Section 2.2).

The stage is hybrid before step τ and span corruption from then on. The paper leaves open whether a
continuous curriculum is better (Limitations): :class:`spactor.config.CurriculumConfig` provides
ramps of λ1, λ2 and r_MLM, and a handover that fades the hybrid objective out around τ.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from spactor.config import CurriculumConfig, PretrainConfig, Ramp, Stage

if TYPE_CHECKING:
    import jax

Number: TypeAlias = "float | jax.Array"


class Weights(NamedTuple):
    """Weights of the objective at one step: numbers, or scalars of a traced step.

    Attributes:
      lambda_rtd, lambda_sc: λ1 and λ2.
      masked_tokens: number of the q positions that are masked; None for all.
    """

    lambda_rtd: Number
    lambda_sc: Number
    masked_tokens: Number | None = None


def stage_at(step: int, tau_steps: float) -> Stage:
    """Returns the objective of the update from ``step`` to ``step + 1``.

    Args:
      step: updates already made, from 0.
      tau_steps: τ in updates; 0 is the baseline, ``math.inf`` the hybrid objective throughout.

    >>> [stage_at(step, 2) for step in (0, 1, 2)]
    ['hybrid', 'hybrid', 'span_corruption']
    >>> stage_at(10**9, math.inf)
    'hybrid'
    """
    if step < 0 or math.isnan(tau_steps) or tau_steps < 0:
        raise ValueError(f"step {step} and tau {tau_steps} must not be negative")
    return "hybrid" if step < tau_steps else "span_corruption"


def _share(ramp: Ramp, step: int | jax.Array) -> Number:
    """Fraction of a ramp completed at a step, from 0 to 1."""
    if isinstance(step, int):
        share = (step - ramp.start_step) / (ramp.end_step - ramp.start_step)
        share = min(max(share, 0.0), 1.0)
        return share if ramp.shape == "linear" else (1.0 - math.cos(math.pi * share)) / 2.0
    import jax.numpy as jnp

    traced = (step - ramp.start_step) / (ramp.end_step - ramp.start_step)
    traced = jnp.clip(traced, 0.0, 1.0)
    return traced if ramp.shape == "linear" else (1.0 - jnp.cos(jnp.pi * traced)) / 2.0


def value_at(ramp: Ramp, step: int | jax.Array) -> Number:
    """Returns the value of a ramp at a step; exact at both ends.

    Args:
      ramp: the ramp.
      step: updates already made: a number, or a traced integer scalar.

    >>> ramp = Ramp(start_value=10.0, end_value=2.0, start_step=100, end_step=200, shape="cosine")
    >>> [round(value_at(ramp, step), 3) for step in (0, 100, 125, 150, 200, 10**6)]
    [10.0, 10.0, 8.828, 6.0, 2.0, 2.0]
    """
    return _between(ramp.start_value, ramp.end_value, _share(ramp, step))


def _between(start: float, end: float, share: Number) -> Number:
    return (1.0 - share) * start + share * end


def weights_at(config: PretrainConfig, step: int | jax.Array) -> Weights:
    """Returns the weights of the update from ``step`` to ``step + 1``.

    Weights without a ramp are Python numbers, so a configuration without ramps compiles to the
    same program as if there were no curricula. The number of masked tokens is interpolated between
    the rounded numbers at both ends of the ramp, so both ends are exact.

    >>> from spactor.config import PAPER
    >>> weights_at(PAPER["base"], 0)
    Weights(lambda_rtd=10.0, lambda_sc=10.0, masked_tokens=None)
    """
    curriculum = config.curriculum

    def weight(ramp: Ramp | None, constant: float) -> Number:
        if ramp is None or ramp.is_level:
            return constant if ramp is None else ramp.start_value
        return value_at(ramp, step)

    lambda_rtd = weight(curriculum.lambda_rtd, config.objective.lambda_rtd)
    lambda_sc = weight(curriculum.lambda_sc, config.objective.lambda_sc)
    ratio, handover = curriculum.mlm_ratio, curriculum.handover
    if handover is None and (ratio is None or ratio.is_level):
        return Weights(lambda_rtd, lambda_sc)
    masked: Number = config.training_lengths.masked_tokens
    if ratio is not None and not ratio.is_level:
        masked = _between(*_ends_in_tokens(config, ratio), _share(ratio, step))
    if handover is not None:
        left = value_at(handover, step)
        lambda_rtd, masked = lambda_rtd * left, masked * left
    return Weights(lambda_rtd, lambda_sc, _rounded(masked))


def _ends_in_tokens(config: PretrainConfig, ratio: Ramp) -> tuple[int, int]:
    def tokens(value: float) -> int:
        corruption = dataclasses.replace(config.corruption, mlm_ratio=value)
        return corruption.lengths(config.input_length).masked_tokens

    return tokens(ratio.start_value), tokens(ratio.end_value)


def _rounded(value: Number) -> Number:
    if isinstance(value, (int, float)):
        return round(value)
    import jax.numpy as jnp

    return jnp.round(value).astype(jnp.int32)


def restricted(
    config: PretrainConfig, stage: Stage, start_step: int, end_step: int
) -> PretrainConfig:
    """Removes the settings that have no effect on the steps ``start_step`` to ``end_step - 1``.

    Two experiments train identically on these steps exactly if the results are equal. A ramp that
    has not begun or is over becomes a constant, or None if it equals the configuration's constant;
    span corruption depends on λ2 only.

    >>> from spactor.config import PAPER
    >>> ramp = Ramp(start_value=10.0, end_value=0.0, start_step=100, end_step=200)
    >>> faded = dataclasses.replace(PAPER["base"], curriculum=CurriculumConfig(lambda_rtd=ramp))
    >>> restricted(faded, "hybrid", 0, 100) == PAPER["base"]
    True
    >>> restricted(faded, "hybrid", 100, 150) == faded
    True
    >>> restricted(faded, "hybrid", 200, 300).curriculum.lambda_rtd == Ramp.level(0.0)
    True
    >>> restricted(faded, "span_corruption", 150, 300) == PAPER["base"]
    True
    """
    curriculum = config.curriculum
    constants = {
        "lambda_sc": config.objective.lambda_sc,
        "lambda_rtd": config.objective.lambda_rtd,
        "mlm_ratio": config.corruption.mlm_ratio,
        "handover": 1.0,
    }
    restricted_ramps: dict[str, Ramp | None] = {}
    for name, constant in constants.items():
        ramp = getattr(curriculum, name)
        if ramp is None or (stage == "span_corruption" and name != "lambda_sc"):
            restricted_ramps[name] = None
            continue
        if end_step - 1 <= ramp.start_step:
            ramp = Ramp.level(ramp.start_value)
        elif start_step >= ramp.end_step and name != "handover":
            ramp = Ramp.level(ramp.end_value)
        elif ramp.is_level:
            ramp = Ramp.level(ramp.start_value)
        restricted_ramps[name] = None if ramp == Ramp.level(constant) else ramp
    return dataclasses.replace(config, curriculum=CurriculumConfig(**restricted_ramps))
