"""Statistical tests against SciPy and statsmodels on raw samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats import weightstats
from statsmodels.stats.multitest import multipletests

from analysis.tests import Sample, add, borrowed_spread, holm, paired, seed_values, welch
from spactor.errors import UserError

FIRST, SECOND = [1.0, 2.0, 4.0, 4.5], [2.5, 2.0, 6.0]
OURS, THEIRS = [80.1, 80.4, 80.9], [80.0, 80.6, 80.2, 80.8, 80.3]


def difference(first, second, **options):
    """Welch's test of the difference of two samples."""
    return welch(first, second.times(-1.0), **options)


@pytest.mark.parametrize("alternative", ["two-sided", "greater"])
@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_welch_from_moments_equals_welch_on_the_values(alternative, shift):
    moved = [value + shift for value in FIRST]
    expected = stats.ttest_ind(moved, SECOND, equal_var=False, alternative=alternative).pvalue
    samples = Sample.of(FIRST), Sample.of(SECOND)
    found = difference(*samples, shift=shift, alternative=alternative)
    assert found == pytest.approx(expected, rel=1e-12)
    # A second implementation, on the values.
    words = {"two-sided": "two-sided", "greater": "larger"}
    other = weightstats.ttest_ind(
        np.array(moved), np.array(SECOND), usevar="unequal", alternative=words[alternative]
    )
    assert found == pytest.approx(other[1], rel=1e-12)


def test_without_a_spread_there_is_no_welch():
    assert math.isnan(difference(Sample.of([1.0]), Sample.of(SECOND)))
    assert math.isnan(difference(Sample(1.0, 0.1, 1), Sample.of(SECOND)))


@pytest.mark.parametrize("alternative", ["two-sided", "greater"])
def test_paired_equals_scipy_on_the_values(alternative):
    expected = stats.ttest_rel(OURS, THEIRS[:3], alternative=alternative).pvalue
    scores = {"ours": dict(enumerate(OURS)), "theirs": dict(enumerate(THEIRS))}
    gaps = seed_values({"ours": 1.0, "theirs": -1.0}, scores)
    assert list(gaps) == [0, 1, 2]  # the seeds that both have
    assert paired(list(gaps.values()), alternative=alternative) == pytest.approx(expected)
    moved = stats.ttest_1samp([x + 0.5 for x in gaps.values()], 0.0, alternative=alternative)
    assert paired(list(gaps.values()), 0.5, alternative) == pytest.approx(moved.pvalue)


def test_paired_where_no_t_exists():
    assert math.isnan(paired([])) and math.isnan(paired([3.0]))
    assert paired([0.0] * 5) == paired([0.0] * 5, alternative="greater") == 1.0
    # A model equal to itself but for rounding.
    assert paired([1e-14, 0.0, -1e-14]) == 1.0
    # Equal differences in every seed: the sign test, 2^-5 one-sided. 80.1 - 80 and 60.1 - 60 differ
    # in rounding alone.
    equal = [80.1 - 80.0, 60.1 - 60.0, 40.1 - 40.0, 20.1 - 20.0, 0.1]
    assert paired(equal, alternative="greater") == 1 / 32 and paired(equal) == 1 / 16
    assert paired([-gap for gap in equal], alternative="greater") == 1.0


def test_a_linear_combination_of_samples():
    # 1.5 first − second: its variance is 1.5² that of the first mean and that of the second.
    first, second = Sample.of(FIRST), Sample.of(SECOND)
    degrees = (a := 2.25 * first.std**2 / 4) + (b := second.std**2 / 3)
    expected = stats.t.sf(
        (1.5 * first.mean - second.mean) / math.sqrt(a + b), degrees**2 / (a**2 / 3 + b**2 / 2)
    )
    assert difference(first.times(1.5), second) == pytest.approx(expected)
    assert add({"a": 1.0}, {"a": -1.0, "b": 2.0}, times=2.0) == {"a": 0.0, "b": 4.0}
    assert Sample.of([]).runs == 0 and not Sample.of([1.0]).testable


def test_no_spread_at_all_is_certain():
    one, other = Sample(1.0, 0.0, 3), Sample(2.0, 0.0, 3)
    assert difference(one, other, alternative="two-sided") == 0.0
    assert difference(one, one, alternative="two-sided") == 1.0
    assert difference(other, one) == 0.0 and difference(one, other) == 1.0
    assert difference(one, other, shift=1.5) == 0.0
    assert borrowed_spread(Sample(1.0, math.nan, 1), other) == 0.0


def test_a_borrowed_spread_is_the_pooled_test_of_equal_variances():
    # One new value against n: the classical prediction interval. t = (7 - 3.5) / (s √(1 + 1/3)).
    known, new = Sample.of(SECOND), Sample.of([7.0])
    t = (7.0 - known.mean) / (known.std * math.sqrt(4 / 3))
    assert borrowed_spread(new, known) == pytest.approx(2 * stats.t.sf(t, 2))
    assert borrowed_spread(known, new) == borrowed_spread(new, known)
    assert math.isnan(borrowed_spread(known, known)) and math.isnan(borrowed_spread(new, new))


def test_holm_by_hand_and_by_statsmodels():
    # Sorted 0.01·3, 0.02·2, 0.2·1, each at least the one before.
    assert holm([0.2, 0.01, 0.02]) == pytest.approx([0.2, 0.03, 0.04])
    assert holm([0.04, 0.03]) == pytest.approx([0.06, 0.06])
    assert holm([]) == [] and math.isnan(holm([math.nan])[0])
    p_values = np.random.default_rng(0).uniform(0.0, 0.1, 50)
    assert holm(p_values) == multipletests(p_values, method="holm")[1].tolist()
    with pytest.raises(UserError, match="give numbers from 0 to 1"):
        holm([1.5])
