"""Tests on means that are known by mean, standard deviation and number of runs.

Everything a published cell offers is these three numbers, so they are all the tests use; measured
cells are reduced to them, and both kinds are judged alike. The standard deviation is taken to have
the divisor n − 1; the paper does not state its own.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import scipy.stats
from statsmodels.stats.multitest import multipletests

from spactor.errors import UserError

ALPHA = 0.05
"""Level of every test and of every family of tests."""

Alternative = Literal["two-sided", "greater", "less"]


@dataclass(frozen=True)
class Sample:
    """A mean over runs.

    Attributes:
      mean: of the runs.
      std: standard deviation over the runs, NaN where unknown.
      runs: how many.
    """

    mean: float
    std: float
    runs: int

    @property
    def testable(self) -> bool:
        """Whether it has a spread of its own: two runs or more, and their deviation."""
        return self.runs >= 2 and not math.isnan(self.std)


def welch(
    first: Sample, second: Sample, *, shift: float = 0.0, alternative: Alternative = "two-sided"
) -> float:
    """p-value of Welch's t-test of mean(first) + shift against mean(second).

    Args:
      first, second: unequal variances and numbers of runs are allowed.
      shift: added to the first mean. With ``alternative="greater"`` a positive shift is the margin
        of a non-inferiority test: a small p says that first is worse by less than it.
      alternative: what a small p speaks for, of first against second.

    Returns:
      The p-value; NaN when a sample has no spread of its own.

    >>> baseline, ours = Sample(85.89, 0.17, 5), Sample(86.46, 0.17, 5)
    >>> f"{welch(ours, baseline, alternative='greater'):.5f}"
    '0.00036'
    """
    if not (first.testable and second.testable):
        return math.nan
    difference = first.mean + shift - second.mean
    if first.std == second.std == 0.0:
        # No spread at all: the means are what they are.
        return _certain(difference, alternative)
    result = scipy.stats.ttest_ind_from_stats(
        first.mean + shift,
        first.std,
        first.runs,
        second.mean,
        second.std,
        second.runs,
        equal_var=False,
        alternative=alternative,
    )
    return float(result.pvalue)


def borrowed_spread(first: Sample, second: Sample) -> float:
    """Two-sided p-value of a difference when only one sample has a spread.

    The other is taken to vary as much: t = Δ / (s·√(1/n₁ + 1/n₂)) with the known sample's degrees
    of freedom.

    Returns:
      The p-value; NaN unless exactly one of the two has a spread.

    >>> round(borrowed_spread(Sample(1.0, math.nan, 1), Sample(0.0, 0.5, 4)), 3)
    0.172
    """
    if first.testable == second.testable:
        return math.nan
    known = first if first.testable else second
    difference = first.mean - second.mean
    error = known.std * math.sqrt(1.0 / first.runs + 1.0 / second.runs)
    if error == 0.0:
        return _certain(difference, "two-sided")
    return float(2.0 * scipy.stats.t.sf(abs(difference) / error, known.runs - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values of one family; NaN stays NaN and does not count.

    >>> [round(p, 3) for p in holm([0.01, math.nan, 0.04, 0.03])]
    [0.03, nan, 0.06, 0.06]
    """
    known = [p for p in p_values if not math.isnan(p)]
    if any(not 0.0 <= p <= 1.0 for p in known):
        raise UserError(f"p-values {known}: give numbers from 0 to 1")
    if not known:
        return list(p_values)
    # statsmodels collects garbage each time; it passes over what is frozen.
    gc.freeze()
    try:
        adjusted = iter(multipletests(known, method="holm")[1])
    finally:
        gc.unfreeze()
    return [p if math.isnan(p) else float(next(adjusted)) for p in p_values]


def _certain(difference: float, alternative: Alternative) -> float:
    if alternative == "two-sided":
        return 1.0 if difference == 0.0 else 0.0
    positive = difference > 0.0 if alternative == "greater" else difference < 0.0
    return 0.0 if positive else 1.0
