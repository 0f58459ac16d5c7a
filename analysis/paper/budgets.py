"""Scores at equal compute: straight lines between the baseline's two checkpoints.

A learning curve bends down, so the line lies below the baseline's true curve and favours SPACTOR
a little; the paper's Figures 2 and 5 draw the same line.
"""

from __future__ import annotations

from analysis.paper.evidence import FULL, HALF, Cell, Evidence, Missing, describe
from analysis.tests import add


def line_at(
    evidence: Evidence, size: str, suite: str, budget: float, tau: str = "0"
) -> dict[Cell, float]:
    """The score of a model's line at a budget, as a linear combination of its two cells.

    Args:
      evidence: the FLOPs.
      size, suite, tau: of the line, by default the baseline's.
      budget: in units of the baseline's FLOPs up to 500K.
    """
    low, high = (evidence.relative_flops(size, tau, at) for at in (HALF, FULL))
    if not low <= round(budget, 9) <= high:
        raise Missing(f"a budget of {budget:.2f} lies outside the line's {low:g} to {high:g}")
    weight = (budget - low) / (high - low)
    ends = {Cell(size, tau, HALF, suite): 1.0 - weight, Cell(size, tau, FULL, suite): weight}
    return {cell: weight for cell, weight in ends.items() if weight}


def saved(evidence: Evidence, size: str, tau: str, checkpoint: int) -> float:
    """FLOPs saved, in per cent, against the baseline at 1M."""
    ours = evidence.relative_flops(size, tau, checkpoint)
    return 100.0 * (1.0 - ours / evidence.relative_flops(size, "0", FULL))


def saved_at_equal_score(evidence: Evidence, size: str, tau: str, suite: str) -> tuple[float, bool]:
    """FLOPs the 500K checkpoint saves over the baseline at the same score, in per cent.

    Returns:
      The saving, and whether it is a lower bound because the baseline never got that far.
    """
    ours = evidence.spread_score(size, tau, HALF, suite).mean
    cost = evidence.relative_flops(size, tau, HALF)
    low, high = (evidence.relative_flops(size, "0", c) for c in (HALF, FULL))
    early, late = (evidence.spread_score(size, "0", c, suite).mean for c in (HALF, FULL))
    if late <= early:
        raise Missing(f"{describe(size, '0')} gains nothing from 500K to 1M to measure by")
    weight = (ours - early) / (late - early)
    budget = low + min(weight, 1.0) * (high - low)
    if budget <= 0.0:
        raise Missing("the score lies below any the baseline's line reaches")
    return 100.0 * (1.0 - cost / budget), weight > 1.0


def common_budgets(evidence: Evidence, size: str, tau: str) -> tuple[float, float]:
    """Least and greatest budget between the two checkpoints of a model and of the baseline."""
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
    """SPACTOR's line, or its score at a checkpoint, minus the baseline's line at a budget."""
    if checkpoint is None:
        ours = line_at(evidence, size, suite, budget, tau)
    else:
        ours = {Cell(size, tau, checkpoint, suite): 1.0}
    return add(ours, add(line_at(evidence, size, suite, budget), times=-1.0))


def share_of_budgets_above(evidence: Evidence, size: str, tau: str, suite: str) -> float:
    """Share of the common budgets at which SPACTOR's line is above the baseline's."""

    def lead(budget: float) -> float:
        cells = lead_at(evidence, size, tau, suite, budget)
        return sum(weight * evidence.score(*cell[:4]).mean for cell, weight in cells.items())

    at_first, at_last = map(lead, common_budgets(evidence, size, tau))
    if at_first > 0.0 and at_last > 0.0:
        return 1.0
    if at_first <= 0.0 and at_last <= 0.0:
        return 0.0
    # Both lines are straight, so the lead is too: it crosses 0 once.
    positive = max(at_first, at_last)
    return positive / (abs(at_first) + abs(at_last))
