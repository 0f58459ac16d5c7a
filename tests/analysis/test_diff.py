"""Verdicts on pairs that can be judged by hand, p-values against SciPy on raw samples."""

from __future__ import annotations

import math
import statistics

import pytest
import scipy.stats

from analysis import diff
from analysis.diff import Number, Pair, judge


def number(values):
    return Number(statistics.mean(values), statistics.stdev(values), len(values))


OURS, THEIRS, FAR = [80.1, 80.4, 80.9], [80.0, 80.6, 80.2, 80.8, 80.3], [85.0, 85.3, 85.1, 85.4]


def test_two_spreads_are_tested_by_welch():
    pairs = [Pair(number(THEIRS), number(OURS), False), Pair(number(FAR), number(OURS), False)]
    near, far = judge(pairs, comparable=True)
    assert (near.test, near.verdict) == ("Welch", "within seed noise")
    assert (far.test, far.verdict) == ("Welch", "differs")
    for found, sample in ((near, THEIRS), (far, FAR)):
        assert found.p == pytest.approx(scipy.stats.ttest_ind(OURS, sample, equal_var=False).pvalue)
    # Holm on two: the smaller is doubled, the greater stays.
    assert far.p_holm == pytest.approx(2 * far.p) and near.p_holm == pytest.approx(near.p)
    assert far.difference == pytest.approx(statistics.mean(OURS) - statistics.mean(FAR))


def test_one_spread_is_borrowed():
    # Δ = 1, s = 0.5 over 4 runs, one run: t = 1 / (0.5·√(1/4 + 1/1)) = 1.789, 3 degrees.
    for pair in (
        Pair(Number(79.0, 0.5, 4), Number(80.0, None, 1), False),
        Pair(Number(79.0, None, 1), Number(80.0, 0.5, 4), False),
    ):
        (found,) = judge([pair], comparable=True)
        assert (found.test, found.verdict) == ("borrowed spread", "within seed noise")
        assert found.p == pytest.approx(2 * scipy.stats.t.sf(1 / (0.5 * math.sqrt(1.25)), 3))


def test_a_median_is_tested_with_a_greater_spread():
    pair = Pair(Number(79.0, None, 5), Number(80.0, 0.5, 4), False, "median")
    (found,) = judge([pair], comparable=True)
    error = 0.5 * math.sqrt(math.pi / 2) * math.sqrt(1 / 5 + 1 / 4)
    assert found.p == pytest.approx(2 * scipy.stats.t.sf(1 / error, 3))


def test_the_factor_is_the_most_a_normal_median_errs():
    # Standard error of the median of n = 3 and 5 standard normal values over that of the mean,
    # from tables of order statistics (Sarhan and Greenberg 1962): variances 0.44867 and 0.28683.
    ratios = [math.sqrt(3 * 0.44867), math.sqrt(5 * 0.28683)]
    assert 1.0 < ratios[0] < ratios[1] < diff.MEDIAN_FACTOR == pytest.approx(1.2533, abs=1e-4)


def test_without_a_spread_nothing_is_tested():
    pair = Pair(Number(79.0, None, 5), Number(80.0, None, 1), False, "median")
    assert judge([pair], comparable=True)[0] == diff.Verdict(
        1.0, "", None, None, "no spread, not tested"
    )


def test_the_order_of_the_verdicts():
    far = number(FAR)
    pairs = [
        Pair(far, None, False),
        Pair(far, number(FAR), True),
        Pair(Number(2.0), Number(2.1), False, "exact"),
        Pair(Number(2.0), Number(2.0), True, "exact"),
        Pair(Number(None), Number(None), False, "exact"),
    ]
    assert [found.verdict for found in judge(pairs, comparable=True)] == [
        "not run", "equal at printed precision", "differs", "equal at printed precision", "differs"
    ]  # fmt: skip
    scaled = judge(pairs, comparable=False)
    assert [found.verdict for found in scaled] == [
        "not run", *["scaled profile, not comparable"] * 4
    ]  # fmt: skip
    assert all(found.p is None for found in scaled)


def test_equal_cells_stay_in_the_family():
    # p of about 0.03 alone; with two more that can be tested Holm multiplies it by three.
    base, other = Number(80.0, 0.5, 4), Number(81.05, 0.5, 4)
    close = Pair(base, other, False)
    (alone,) = judge([close], comparable=True)
    assert 0.02 < alone.p < 0.04 and alone.verdict == "differs"
    three = judge([close, Pair(base, base, True), Pair(base, base, True)], comparable=True)
    assert three[0].p_holm == pytest.approx(3 * alone.p)
    assert three[0].verdict == "within seed noise"


def test_nothing_at_all():
    assert judge([], comparable=True) == ()
