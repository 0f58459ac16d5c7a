"""Which objective holds at step n: a pure function of the step (Section 2.2)."""

from __future__ import annotations

import math

from spactor.config import Stage


def stage_at(step: int, tau_steps: float) -> Stage:
    """The objective of the update that leads from ``step`` to ``step + 1``.

    Args:
      step: updates already made, from 0.
      tau_steps: τ in updates; 0 is the baseline, ``math.inf`` never leaves the hybrid objective.

    >>> [stage_at(step, 2) for step in (0, 1, 2)]
    ['hybrid', 'hybrid', 'span_corruption']
    >>> stage_at(10**9, math.inf)
    'hybrid'
    """
    if step < 0 or math.isnan(tau_steps) or tau_steps < 0:
        raise ValueError(f"step {step} and tau {tau_steps} must not be negative")
    return "hybrid" if step < tau_steps else "span_corruption"
