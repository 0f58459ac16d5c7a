"""Scores at equal compute: straight lines between the baseline's two checkpoints.

A learning curve bends down, so the line lies below the baseline's true curve and favours SPACTOR
a little; the paper's Figures 2 and 5 draw the same line.
"""

from __future__ import annotations

from analysis.paper.contrasts import mixed
from analysis.paper.evidence import FULL, HALF, Evidence, Missing, describe
from analysis.tests import Sample


def baseline_at(evidence: Evidence, size: str, suite: str, budget: float) -> Sample:
    """The baseline's score at a budget, in units of its own FLOPs up to 500K."""
    low = evidence.relative_flops(size, "0", HALF)
    high = evidence.relative_flops(size, "0", FULL)
    if not low <= budget <= high:
        raise Missing(f"a budget of {budget:.2f} lies outside the baseline's {low:g} to {high:g}")
    weight = (budget - low) / (high - low)
    return mixed(
        evidence.score(size, "0", HALF, suite), evidence.score(size, "0", FULL, suite), weight
    )


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


def share_of_budgets_above(evidence: Evidence, size: str, tau: str, suite: str) -> float:
    """Share of the budgets both have where SPACTOR's line is above the baseline's."""
    ours = [
        (evidence.relative_flops(size, tau, c), evidence.spread_score(size, tau, c, suite).mean)
        for c in (HALF, FULL)
    ]
    first, last = ours[0][0], min(ours[1][0], evidence.relative_flops(size, "0", FULL))
    if last <= first:
        raise Missing(f"no budget common to {describe(size, tau)} and the baseline")

    def lead(budget: float) -> float:
        weight = (budget - ours[0][0]) / (ours[1][0] - ours[0][0])
        mean = (1.0 - weight) * ours[0][1] + weight * ours[1][1]
        return mean - baseline_at(evidence, size, suite, budget).mean

    at_first, at_last = lead(first), lead(last)
    if at_first > 0.0 and at_last > 0.0:
        return 1.0
    if at_first <= 0.0 and at_last <= 0.0:
        return 0.0
    # Both lines are straight, so the lead is too: it crosses 0 once.
    positive = max(at_first, at_last)
    return positive / (abs(at_first) + abs(at_last))
