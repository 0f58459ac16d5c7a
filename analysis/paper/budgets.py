"""Scores at equal compute, interpolated linearly between a model's two checkpoints.

A learning curve flattens, so the line is below the baseline's true curve and favours SPACTOR a
little; the paper's Figures 2 and 5 draw the same line.
"""

from __future__ import annotations

import math

from analysis.paper.evidence import FULL, HALF, Cell, Evidence, Missing, describe
from analysis.tests import add


def line_at(
    evidence: Evidence, size: str, suite: str, budget: float, tau: str = "0"
) -> dict[Cell, float]:
    """Interpolates a model's score at a budget, as a linear combination of its two cells.

    Args:
      evidence: records with the FLOPs of both checkpoints.
      size, suite, tau: the model and the suite; by default the baseline.
      budget: FLOPs over those of the baseline at 500K.

    Raises:
      Missing: the budget is outside the two checkpoints' FLOPs, or these are not recorded.
    """
    low, high = (evidence.relative_flops(size, tau, at) for at in (HALF, FULL))
    if not low <= round(budget, 9) <= high:
        raise Missing(f"a budget of {budget:.2f} is outside the line's {low:g} to {high:g}")
    weight = (budget - low) / (high - low)
    ends = {Cell(size, tau, HALF, suite): 1.0 - weight, Cell(size, tau, FULL, suite): weight}
    return {cell: weight for cell, weight in ends.items() if weight}


def budget_saved(evidence: Evidence, size: str, tau: str, checkpoint: int) -> float:
    """FLOPs saved by a checkpoint, in per cent of the baseline's at 1M."""
    ours = evidence.relative_flops(size, tau, checkpoint)
    return 100.0 * (1.0 - ours / evidence.relative_flops(size, "0", FULL))


def saved_at_equal_score(evidence: Evidence, size: str, tau: str, suite: str) -> tuple[float, bool]:
    """FLOPs saved by the 500K checkpoint, in per cent of the baseline's at the same score.

    Returns:
      The saving, and whether it is a lower bound because the baseline never reaches the score.

    Raises:
      Missing: a score or cost is missing, or the baseline does not improve from 500K to 1M.
    """
    ours = evidence.spread_score(size, tau, HALF, suite).mean
    cost = evidence.relative_flops(size, tau, HALF)
    low, high = (evidence.relative_flops(size, "0", c) for c in (HALF, FULL))
    early, late = (evidence.spread_score(size, "0", c, suite).mean for c in (HALF, FULL))
    if late <= early:
        raise Missing(f"{describe(size, '0')} does not improve from 500K to 1M")
    weight = (ours - early) / (late - early)
    budget = low + min(weight, 1.0) * (high - low)
    if budget <= 0.0:
        raise Missing("the score is below the whole of the baseline's line")
    return 100.0 * (1.0 - cost / budget), weight > 1.0


def common_budgets(evidence: Evidence, size: str, tau: str) -> tuple[float, float]:
    """Returns the smallest and the largest budget within both models' two checkpoints."""
    first = evidence.relative_flops(size, tau, HALF)
    last = min(evidence.relative_flops(size, t, FULL) for t in (tau, "0"))
    if last <= first:
        raise Missing(f"no budget common to {describe(size, tau)} and the baseline")
    return first, last


def lead_at(
    evidence: Evidence,
    size: str,
    tau: str,
    suite: str,
    budget: float,
    checkpoint: int | None = None,
) -> dict[Cell, float]:
    """SPACTOR's score minus the baseline's interpolated score at a budget.

    Args:
      evidence: records with scores and FLOPs.
      size, tau, suite: the model and the suite.
      budget: FLOPs over those of the baseline at 500K.
      checkpoint: the checkpoint with SPACTOR's score; by default it is interpolated at the budget.

    Returns:
      Linear combination of cells.
    """
    if checkpoint is None:
        ours = line_at(evidence, size, suite, budget, tau)
    else:
        ours = {Cell(size, tau, checkpoint, suite): 1.0}
    return add(ours, add(line_at(evidence, size, suite, budget), times=-1.0))


def share_of_budgets_above(evidence: Evidence, size: str, tau: str, suite: str) -> float:
    """Share of the common budgets at which SPACTOR's line is above the baseline's."""

    def lead(budget: float) -> float:
        cells = lead_at(evidence, size, tau, suite, budget)
        return math.fsum(weight * evidence.score(*cell[:4]).mean for cell, weight in cells.items())

    at_first, at_last = map(lead, common_budgets(evidence, size, tau))
    if at_first > 0.0 and at_last > 0.0:
        return 1.0
    if at_first <= 0.0 and at_last <= 0.0:
        return 0.0
    # The difference of two straight lines is straight, so it crosses 0 once.
    positive = max(at_first, at_last)
    return positive / (abs(at_first) + abs(at_last))
