from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats import weightstats

from analysis.statistics import Sample, borrowed_spread, holm, welch
from spactor.errors import UserError

FIRST, SECOND = [1.0, 2.0, 4.0, 4.5], [2.5, 2.0, 6.0]


def sample(values):
    return Sample(float(np.mean(values)), float(np.std(values, ddof=1)), len(values))


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_welch_from_moments_equals_welch_on_the_values(alternative, shift):
    moved = [value + shift for value in FIRST]
    expected = stats.ttest_ind(moved, SECOND, equal_var=False, alternative=alternative).pvalue
    found = welch(sample(FIRST), sample(SECOND), shift=shift, alternative=alternative)
    assert found == pytest.approx(expected, rel=1e-12)
    # A second implementation, on the values.
    words = {"two-sided": "two-sided", "greater": "larger", "less": "smaller"}
    other = weightstats.ttest_ind(
        np.array(moved), np.array(SECOND), usevar="unequal", alternative=words[alternative]
    )
    assert found == pytest.approx(other[1], rel=1e-12)


def test_without_a_spread_there_is_no_welch():
    assert math.isnan(welch(Sample(1.0, math.nan, 1), sample(SECOND)))
    assert math.isnan(welch(Sample(1.0, 0.1, 1), sample(SECOND)))


def test_no_spread_at_all_is_certain():
    one, other = Sample(1.0, 0.0, 3), Sample(2.0, 0.0, 3)
    assert welch(one, other) == 0.0 and welch(one, one) == 1.0
    assert welch(one, other, alternative="less") == 0.0
    assert welch(one, other, alternative="greater") == 1.0
    assert welch(one, other, shift=1.5, alternative="greater") == 0.0
    assert borrowed_spread(Sample(1.0, math.nan, 1), other) == 0.0


def test_a_borrowed_spread_is_the_pooled_test_of_equal_variances():
    # One new value against n: the classical prediction interval. t = (7 - 3.5) / (s √(1 + 1/3)).
    known, new = sample(SECOND), Sample(7.0, math.nan, 1)
    t = (7.0 - known.mean) / (known.std * math.sqrt(4 / 3))
    assert borrowed_spread(new, known) == pytest.approx(2 * stats.t.sf(t, 2))
    assert borrowed_spread(known, new) == borrowed_spread(new, known)
    assert math.isnan(borrowed_spread(known, known)) and math.isnan(borrowed_spread(new, new))


def test_holm_by_hand():
    # Sorted 0.01·3, 0.02·2, 0.2·1, each at least the one before.
    assert holm([0.2, 0.01, 0.02]) == pytest.approx([0.2, 0.03, 0.04])
    assert holm([0.04, 0.03]) == pytest.approx([0.06, 0.06])
    assert holm([]) == [] and math.isnan(holm([math.nan])[0])
    with pytest.raises(UserError, match="give numbers from 0 to 1"):
        holm([1.5])
