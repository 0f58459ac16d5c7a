"""Statistical tests on scores over runs.

Measured runs of one seed share their initialisation and their data across τ, so measured scores are
compared seed by seed (:func:`paired`). A published cell has only a mean, a standard deviation and a
number of runs, so tests with a published cell take the runs as independent (:func:`welch`). The
standard deviation is assumed to have the divisor n − 1, which the paper does not state.

A test may be of a linear combination of several cells (:func:`add`), such as a difference plus an
estimated margin, and then includes the margin's error (``analysis.paper.contrasts``).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import scipy.special

from spactor.errors import UserError

ALPHA = 0.05
"""Significance level of every test, and of every family of tests."""
CONFIDENCE = 0.95
"""Level of every confidence interval."""

_ROUNDING = 1e-12
"""Largest difference of equal scores or losses by rounding errors."""
Alternative = Literal["two-sided", "greater"]
Kind = Literal["higher", "within", "different"]
Cell = TypeVar("Cell", bound=Hashable)
"""Key of a cell; a linear combination of cells is a mapping from keys to coefficients."""


@dataclass(frozen=True)
class Sample:
    """Mean and standard deviation over runs.

    Attributes:
      mean: mean over the runs.
      std: standard deviation over the runs; NaN if unknown.
      runs: number of runs.
    """

    mean: float
    std: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float] | np.ndarray) -> Sample:
        """Creates a sample from the values of single runs.

        >>> Sample.of([1.0, 2.0, 3.0])
        Sample(mean=2.0, std=1.0, runs=3)
        """
        if not len(values):
            return cls(math.nan, math.nan, 0)
        std = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
        # As in `analysis.scores`, the sum is exact and does not depend on the order of runs.
        return cls(math.fsum(values) / len(values), std, len(values))

    def times(self, weight: float) -> Sample:
        """Multiplies every run's value by a weight."""
        return Sample(weight * self.mean, abs(weight) * self.std, self.runs)

    @property
    def testable(self) -> bool:
        """Whether the standard deviation over two or more runs is known."""
        return self.runs >= 2 and not math.isnan(self.std)


@dataclass(frozen=True)
class SeedDifferences:
    """Differences of two models by seed, or slopes of differences, tested against 0.

    Attributes:
      by_seed: one value for each pre-training seed that both models have.

    >>> found = SeedDifferences((1.0, 2.0, 3.0))
    >>> found.mean, round(found.p_value, 3), [round(end, 2) for end in found.interval()]
    (2.0, 0.074, [-0.48, 4.48])
    """

    by_seed: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over seeds; NaN without seeds."""
        return float(np.mean(self.by_seed)) if self.by_seed else math.nan

    @property
    def p_value(self) -> float:
        """Two-sided p-value of :func:`paired`; NaN for fewer than two seeds."""
        return paired(self.by_seed)

    def interval(self, level: float = CONFIDENCE) -> tuple[float, float]:
        """Returns the confidence interval of the mean by Student's t; NaN for a single seed."""
        count = len(self.by_seed)
        if count < 2:
            return math.nan, math.nan
        error = float(np.std(self.by_seed, ddof=1)) / math.sqrt(count)
        half = -float(scipy.special.stdtrit(count - 1, (1.0 - level) / 2.0)) * error
        return self.mean - half, self.mean + half


def welch(*samples: Sample, shift: float = 0.0, alternative: Alternative = "greater") -> float:
    """Tests a sum of independent means, Σ mean + shift, against 0 by Welch's test.

    t = (Σ mean + shift) / √(Σ s²/n), with Satterthwaite's degrees of freedom. The test is for
    published cells, which have no runs that could be paired.

    Args:
      samples: samples with any variances and numbers of runs; ``Sample.times(-1.0)`` subtracts one.
      shift: a margin that is known exactly.
      alternative: alternative hypothesis on Σ mean + shift.

    Returns:
      The p-value; NaN if a sample is not testable. If all standard deviations are 0, it is 0 or 1.

    >>> baseline, ours = Sample(85.89, 0.17, 5), Sample(86.46, 0.17, 5)
    >>> f"{welch(ours, baseline.times(-1.0)):.5f}"
    '0.00036'
    """
    if not all(sample.testable for sample in samples):
        return math.nan
    estimate = math.fsum(sample.mean for sample in samples) + shift
    variances = [sample.std**2 / sample.runs for sample in samples]
    variance = math.fsum(variances)
    if variance == 0.0:
        return _without_spread(estimate, alternative)
    parts = zip(variances, samples, strict=True)
    degrees = variance**2 / math.fsum(v**2 / (sample.runs - 1) for v, sample in parts)
    return _student(estimate / math.sqrt(variance), degrees, alternative)


def paired(
    differences: Sequence[float] | np.ndarray,
    shift: float = 0.0,
    alternative: Alternative = "two-sided",
) -> float:
    """Tests mean(differences) + shift against 0 by Student's t-test over seeds.

    Args:
      differences: [n] one value for each pre-training seed, as in :func:`seed_values`.
      shift: a margin that is known exactly.
      alternative: alternative hypothesis on mean(differences) + shift.

    Returns:
      The p-value; NaN for fewer than two seeds. If all differences are equal, t is undefined and p
      is that of the sign test, 2⁻ⁿ one-sided, or 1 if the differences are 0.

    >>> round(paired([1.0, 2.0, 3.0]), 3), paired([0.5, 0.5, 0.5]), paired([0.0, 0.0])
    (0.074, 0.25, 1.0)
    """
    values = np.asarray(differences, dtype=float) + shift
    if len(values) < 2:
        return math.nan
    mean, std = float(values.mean()), float(values.std(ddof=1))
    if abs(mean) <= _ROUNDING and std <= _ROUNDING:
        return 1.0
    if std <= _ROUNDING * (1.0 + abs(mean)):
        signs = 2.0 ** -len(values)
        if alternative == "two-sided":
            return 2.0 * signs
        return signs if mean > 0.0 else 1.0
    return _student(mean * math.sqrt(len(values)) / std, len(values) - 1, alternative)


def add(*combinations: Mapping[Cell, float], times: float = 1.0) -> dict[Cell, float]:
    """Adds linear combinations of cells, and multiplies the sum by ``times``.

    >>> add({"ours": 1.0, "full": -1.0}, {"full": 0.5, "half": -0.5})
    {'ours': 1.0, 'full': -0.5, 'half': -0.5}
    """
    total: dict[Cell, float] = {}
    for weights in combinations:
        for cell, weight in weights.items():
            total[cell] = total.get(cell, 0.0) + times * weight
    return total


def seed_values(
    weights: Mapping[Cell, float], scores: Mapping[Cell, Mapping[int, float]]
) -> dict[int, float]:
    """Evaluates a linear combination for each seed that every cell with a coefficient has.

    >>> seed_values({"ours": 1.0, "theirs": -1.0}, {"ours": {0: 5.0, 1: 7.0}, "theirs": {1: 4.0}})
    {1: 3.0}
    """
    used = [(weight, scores[cell]) for cell, weight in weights.items() if weight]
    shared = set.intersection(*(set(values) for _, values in used)) if used else set()
    return {
        seed: math.fsum(weight * values[seed] for weight, values in used) for seed in sorted(shared)
    }


def borrowed_spread(first: Sample, second: Sample) -> float:
    """Two-sided p-value of a difference in means if only one sample has a standard deviation.

    The other sample is assumed to have the same standard deviation s:
    t = Δ / (s·√(1/n₁ + 1/n₂)), with the degrees of freedom of the sample that has one.

    Returns:
      The p-value; NaN unless exactly one of the two samples is testable.

    >>> round(borrowed_spread(Sample(1.0, math.nan, 1), Sample(0.0, 0.5, 4)), 3)
    0.172
    """
    if first.testable == second.testable:
        return math.nan
    known = first if first.testable else second
    difference = first.mean - second.mean
    error = known.std * math.sqrt(1.0 / first.runs + 1.0 / second.runs)
    if error == 0.0:
        return _without_spread(difference, "two-sided")
    return _student(difference / error, known.runs - 1, "two-sided")


def _student(t: float, degrees: float, alternative: Alternative) -> float:
    if alternative == "two-sided":
        return 2.0 * float(scipy.special.stdtr(degrees, -abs(t)))
    return float(scipy.special.stdtr(degrees, -t))


def _without_spread(difference: float, alternative: Alternative) -> float:
    """p-value if all standard deviations are 0: 0 or 1."""
    holds = difference > 0.0 if alternative == "greater" else difference != 0.0
    return 0.0 if holds else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusts the p-values of a family by Holm; NaN stays NaN and does not count as a test.

    Raises:
      UserError: a p-value is not between 0 and 1.

    >>> [round(p, 3) for p in holm([0.01, math.nan, 0.04, 0.03])]
    [0.03, nan, 0.06, 0.06]
    """
    known = [p for p in p_values if not math.isnan(p)]
    if any(not 0.0 <= p <= 1.0 for p in known):
        raise UserError(f"p-values {known}: give numbers from 0 to 1")
    # The same as statsmodels' ``multipletests``, which runs the garbage collector on every call.
    order = np.argsort(known)
    raised = np.sort(known) * np.arange(len(known), 0, -1)
    adjusted = dict(zip(order, np.minimum(np.maximum.accumulate(raised), 1.0), strict=True))
    positions = itertools.count()
    return [p if math.isnan(p) else float(adjusted[next(positions)]) for p in p_values]


def format_p(p_value: float) -> str:
    """Formats a p-value.

    >>> format_p(0.0123), format_p(3e-7), format_p(math.nan)
    ('0.012', '3.0e-07', 'undefined')
    """
    if math.isnan(p_value):
        return "undefined"
    return f"{p_value:.3f}" if p_value >= 0.001 else f"{p_value:.1e}"
