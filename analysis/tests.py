"""Statistical tests on means over runs, and the comparison of our table cells with published ones.

A published cell offers a mean, a standard deviation and a number of runs, so the tests use these
three numbers alone; measured cells are reduced to them. The standard deviation is taken to have the
divisor n − 1; the paper does not state its own.

:func:`compare_with_published` gives each pair of cells the first verdict that applies:

* ``NOT_RUN``: we have no such cell;
* ``SCALED``: our cell belongs to a scaled profile;
* ``EQUAL``: both print the same at the paper's decimals;
* ``DIFFERS`` without a test: a counted number or a setting, which does not vary between runs;
* ``UNTESTED``: neither cell has a spread over runs;
* ``DIFFERS`` or ``WITHIN_NOISE``: Welch's test, or :func:`borrowed_spread` where only one cell has
  a spread; two-sided, at ``ALPHA`` after Holm's correction.

Holm's family is every cell of the table that can be tested. Cells that are equal at printed
precision stay in it: leaving them out because of their outcome would make the family too small. A
median over n runs is tested as a mean whose standard deviation is greater by ``MEDIAN_FACTOR``,
the largest ratio of the two standard errors for normal scores (the limit of large n); the test
therefore errs towards ``WITHIN_NOISE``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.stats

from spactor.errors import UserError

ALPHA = 0.05
"""Significance level of every test, and of every family of tests."""
CONFIDENCE = 0.95
"""Level of every confidence interval."""

EQUAL = "equal at printed precision"
WITHIN_NOISE = "within seed noise"
DIFFERS = "differs"
SCALED = "scaled profile, not comparable"
NOT_RUN = "not run"
UNTESTED = "no spread, not tested"
VERDICTS = (EQUAL, WITHIN_NOISE, DIFFERS, UNTESTED, SCALED, NOT_RUN)

MEDIAN_FACTOR = math.sqrt(math.pi / 2)
Alternative = Literal["two-sided", "greater", "less"]
Test = Literal["Welch", "borrowed spread", ""]


@dataclass(frozen=True)
class Sample:
    """A mean over runs.

    Attributes:
      mean: of the runs.
      std: standard deviation over the runs; NaN where unknown.
      runs: number of runs.
    """

    mean: float
    std: float
    runs: int

    @property
    def testable(self) -> bool:
        """Whether the standard deviation over two or more runs is known."""
        return self.runs >= 2 and not math.isnan(self.std)


def welch(
    first: Sample, second: Sample, *, shift: float = 0.0, alternative: Alternative = "two-sided"
) -> float:
    """p-value of Welch's t-test of mean(first) + shift against mean(second).

    Args:
      first, second: variances and numbers of runs may differ.
      shift: added to the first mean. With ``alternative="greater"`` a positive shift is the margin
        of a non-inferiority test: a small p-value means that ``first`` is worse by less than it.
      alternative: the alternative hypothesis about ``first`` relative to ``second``.

    Returns:
      The p-value; NaN if a sample is not testable.

    >>> baseline, ours = Sample(85.89, 0.17, 5), Sample(86.46, 0.17, 5)
    >>> f"{welch(ours, baseline, alternative='greater'):.5f}"
    '0.00036'
    """
    if not (first.testable and second.testable):
        return math.nan
    if first.std == second.std == 0.0:
        return _without_spread(first.mean + shift - second.mean, alternative)
    result = scipy.stats.ttest_ind_from_stats(
        *(first.mean + shift, first.std, first.runs),
        *(second.mean, second.std, second.runs),
        equal_var=False,
        alternative=alternative,
    )
    return float(result.pvalue)


def borrowed_spread(first: Sample, second: Sample) -> float:
    """Two-sided p-value of a difference in means when only one sample has a spread.

    The other sample is assumed to have the same standard deviation s:
    t = Δ / (s·√(1/n₁ + 1/n₂)), with the degrees of freedom of the sample with the known spread.

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
    return float(2.0 * scipy.stats.t.sf(abs(difference) / error, known.runs - 1))


def _without_spread(difference: float, alternative: Alternative) -> float:
    """p-value where no run deviates from its mean: 0 or 1."""
    holds = {"two-sided": difference != 0.0, "greater": difference > 0.0, "less": difference < 0.0}
    return 0.0 if holds[alternative] else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values of one family; NaN stays NaN and does not count as a test.

    >>> [round(p, 3) for p in holm([0.01, math.nan, 0.04, 0.03])]
    [0.03, nan, 0.06, 0.06]
    """
    known = [p for p in p_values if not math.isnan(p)]
    if any(not 0.0 <= p <= 1.0 for p in known):
        raise UserError(f"p-values {known}: give numbers from 0 to 1")
    # As statsmodels' ``multipletests``, which runs the garbage collector on every call.
    order = np.argsort(known)
    raised = np.sort(known) * np.arange(len(known), 0, -1)
    adjusted = dict(zip(order, np.minimum(np.maximum.accumulate(raised), 1.0), strict=True))
    positions = itertools.count()
    return [p if math.isnan(p) else float(adjusted[next(positions)]) for p in p_values]


def format_p(p_value: float) -> str:
    """A p-value as printed.

    >>> format_p(0.0123), format_p(3e-7), format_p(math.nan)
    ('0.012', '3.0e-07', 'undefined')
    """
    if math.isnan(p_value):
        return "undefined"
    return f"{p_value:.3f}" if p_value >= 0.001 else f"{p_value:.1e}"


@dataclass(frozen=True)
class Number:
    """The unrounded content of one table cell.

    Attributes:
      value: mean or median over the runs, or a setting; None where the cell is a word.
      std: standard deviation over the runs; None where unknown.
      runs: number of runs; None where unknown.
    """

    value: float | None
    std: float | None = None
    runs: int | None = None

    def sample(self, factor: float) -> Sample:
        """The cell as a sample with its standard deviation times ``factor``."""
        value, std = (math.nan if x is None else x for x in (self.value, self.std))
        return Sample(value, std * factor, self.runs or 0)


@dataclass(frozen=True)
class Pair:
    """A published cell and ours.

    Attributes:
      published: the paper's cell.
      ours: None where we have none.
      equal: whether both print the same at the paper's decimals.
      kind: "exact" for counts and settings; else the statistic over runs that the cell holds.
    """

    published: Number
    ours: Number | None
    equal: bool
    kind: Literal["mean", "median", "exact"] = "mean"


@dataclass(frozen=True)
class Comparison:
    """The result of comparing a pair of cells.

    Attributes:
      difference: ours minus published; None where one of them is missing or no number.
      test: name of the test; "" where there was none.
      p, p_holm: p-value, and the same adjusted over the table; None without a test.
      verdict: one of ``VERDICTS``.
    """

    difference: float | None
    test: Test
    p: float | None
    p_holm: float | None
    verdict: str


def compare_with_published(pairs: Sequence[Pair], *, comparable: bool) -> tuple[Comparison, ...]:
    """Compares every pair of cells of one table.

    Args:
      pairs: every cell that the paper prints.
      comparable: whether our runs used the published settings (profile ``paper``).

    >>> pair = Pair(Number(85.89, 0.17, 5), Number(86.46, 0.17, 5), equal=False)
    >>> (found,) = compare_with_published([pair], comparable=True)
    >>> found.test, found.verdict, round(found.difference, 2)
    ('Welch', 'differs', 0.57)
    >>> compare_with_published([pair], comparable=False)[0].verdict
    'scaled profile, not comparable'
    """
    tested = [_test(pair) if comparable else ("", math.nan) for pair in pairs]
    adjusted = holm([p for _, p in tested])
    return tuple(
        Comparison(
            difference=_difference(pair),
            test=test,
            p=None if math.isnan(p) else p,
            p_holm=None if math.isnan(p_holm) else p_holm,
            verdict=_verdict(pair, p_holm, comparable),
        )
        for pair, (test, p), p_holm in zip(pairs, tested, adjusted, strict=True)
    )


def _verdict(pair: Pair, p_holm: float, comparable: bool) -> str:
    if pair.ours is None:
        return NOT_RUN
    if not comparable:
        return SCALED
    if pair.equal:
        return EQUAL
    if pair.kind == "exact":
        return DIFFERS
    if math.isnan(p_holm):
        return UNTESTED
    return DIFFERS if p_holm < ALPHA else WITHIN_NOISE


def _test(pair: Pair) -> tuple[Test, float]:
    if pair.ours is None or pair.kind == "exact":
        return "", math.nan
    factor = MEDIAN_FACTOR if pair.kind == "median" else 1.0
    ours, published = pair.ours.sample(factor), pair.published.sample(factor)
    if math.isnan(ours.mean - published.mean) or not (ours.runs and published.runs):
        return "", math.nan
    if ours.testable and published.testable:
        return "Welch", welch(ours, published)
    if ours.testable or published.testable:
        return "borrowed spread", borrowed_spread(ours, published)
    return "", math.nan


def _difference(pair: Pair) -> float | None:
    if pair.ours is None or pair.ours.value is None or pair.published.value is None:
        return None
    return pair.ours.value - pair.published.value
