"""Slopes and bends of autocorrelated series: other implementations, and simulated properties."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from statsmodels.tsa.arima.model import ARIMA
from synthetic_records import autoregressive

from analysis import regression, tests
from analysis.regression import estimate_inflection, estimate_slopes

STEPS = np.arange(120.0, 1001.0, 10.0)
RUNS = 100
WIDE = np.arange(60.0, 1001.0, 20.0)
BENT_RUNS, DRAWS = 40, 99
METHODS = (regression.AUTOREGRESSIVE, regression.LEAST_SQUARES, regression.NEWEY_WEST)


def by_method(values: np.ndarray, steps: np.ndarray = STEPS) -> dict[str, regression.Slope]:
    return {slope.method: slope for slope in estimate_slopes(steps, values)}


def test_autocorrelation_approaches_maximum_likelihood():
    values = autoregressive(np.random.default_rng(2), 2000, 0.7)
    rho = regression.autocorrelation(np.arange(2000.0), values)
    theirs = ARIMA(values, order=(1, 0, 0), trend="c").fit()
    assert rho == pytest.approx(theirs.params[1], abs=0.003)
    assert rho == pytest.approx(0.7, abs=4 * math.sqrt((1 - 0.7**2) / 2000))


def test_autoregressive_slope_equals_exact_maximum_likelihood():
    steps = np.arange(400.0)
    values = 0.01 * steps + autoregressive(np.random.default_rng(3), 400, 0.5)
    ours = by_method(values, steps)[regression.AUTOREGRESSIVE]
    # In units near 1, for its optimizer's sake.
    theirs = ARIMA(values, exog=steps / 400 - 0.5, order=(1, 0, 0), trend="c").fit()
    error = theirs.bse[1] / 400
    assert ours.value == pytest.approx(theirs.params[1] / 400, abs=0.01 * error)
    # Theirs is a sandwich estimate; ours has the wider t of fewer degrees of freedom besides.
    rho = regression.autocorrelation(steps, values)
    degrees = 398 * (1 - rho) / (1 + rho)
    half = scipy.stats.t.ppf(0.975, degrees) * error
    assert ours.high - ours.value == pytest.approx(half, rel=0.1)
    # p < 0.05 just where the interval leaves 0 out.
    t = ours.value / (ours.high - ours.value) * scipy.stats.t.ppf(0.975, degrees)
    assert ours.p_value == pytest.approx(2 * scipy.stats.t.sf(t, degrees), rel=1e-6, abs=0)


def test_theil_sen_is_the_median_of_pairwise_slopes_and_its_test_is_kendalls():
    rng = np.random.default_rng(4)
    values = rng.permutation(STEPS) + 0.4 * STEPS
    ours = by_method(values)[regression.THEIL_SEN]
    pairs = [
        (values[j] - values[i]) / (STEPS[j] - STEPS[i])
        for i in range(len(STEPS))
        for j in range(i + 1, len(STEPS))
    ]
    assert ours.value == pytest.approx(np.median(pairs))
    # Independent points: nothing to correct, so the p-value is near Kendall's own.
    plain = scipy.stats.kendalltau(STEPS, values, method="asymptotic").pvalue
    assert math.log(ours.p_value) == pytest.approx(math.log(plain), rel=0.25)


def random_walks(generator, draws: int, seeds: int, rho: float) -> np.ndarray:
    """AR(1) series [draws, seeds, steps] of variance 1, without a trend."""
    noise = generator.standard_normal((len(STEPS), draws, seeds))
    for index in range(1, len(STEPS)):
        noise[index] = rho * noise[index - 1] + math.sqrt(1.0 - rho**2) * noise[index]
    return np.moveaxis(noise, 0, -1)


def test_a_bend_over_seeds_has_the_paired_test_of_curvatures():
    series = random_walks(np.random.default_rng(0), 100, 5, 0.97)
    curvatures = np.polynomial.polynomial.polyfit(STEPS, series[0].T, 2)[2]
    one = estimate_inflection(STEPS, series[0].T, draws=DRAWS)
    assert (one.seeds, one.p_value) == (5, pytest.approx(tests.paired(curvatures)))
    bend = 0.01 * np.maximum(STEPS - 500.0, 0.0)  # 5 at the end, in units of the noise
    found = [estimate_inflection(STEPS, each.T + bend[:, None], draws=9) for each in series]
    assert np.mean([one.p_value < 0.05 for one in found]) > 0.8
    assert np.median([one.at for one in found]) == pytest.approx(500.0, abs=60.0)
    # The test of one series is too often positive at such an autocorrelation: about 17 %.
    each = series.reshape(-1, len(STEPS))[:300]
    alone = [by_method(one)[regression.AUTOREGRESSIVE].p_value < 0.05 for one in each]
    assert np.mean(alone) == pytest.approx(0.17, abs=0.07)


@pytest.mark.parametrize("rho", [0.0, 0.7])
def test_the_level_of_the_methods_for_one_series(rho):
    """Share of trendless series called a trend at 5 %, by method."""
    rng = np.random.default_rng(5)
    counts: Counter[str] = Counter()
    for _ in range(RUNS):
        slopes = estimate_slopes(STEPS, autoregressive(rng, len(STEPS), rho))
        counts.update(slope.method for slope in slopes if slope.p_value < 0.05)
    found = {method: counts[method] / RUNS for method in METHODS}
    # Four standard deviations of a binomial of 5 %.
    most = 0.05 + 4 * math.sqrt(0.05 * 0.95 / RUNS)
    assert found[regression.AUTOREGRESSIVE] <= most
    if rho:
        # Least squares understates the slope's variance by (1 + ρ)/(1 − ρ) = 5.7, so it rejects
        # where |z| > 1.96/2.38: 41 %; Newey–West helps, though not enough.
        assert found[regression.LEAST_SQUARES] >= 0.41 - 4 * math.sqrt(0.41 * 0.59 / RUNS)
        assert most < found[regression.NEWEY_WEST] < found[regression.LEAST_SQUARES]
    else:
        assert found[regression.LEAST_SQUARES] <= most


def test_the_tests_of_residuals_detect_autocorrelation_and_heavy_tails():
    rng = np.random.default_rng(7)
    alike = regression.residuals(STEPS, 1e-3 * STEPS + autoregressive(rng, len(STEPS), 0.8))
    assert alike.ljung_box_p < 1e-4 and alike.rho > 0.6
    assert alike.values.sum() == pytest.approx(0.0, abs=1e-9)
    independent = regression.residuals(STEPS, rng.normal(size=len(STEPS)))
    assert independent.ljung_box_p > 0.01 and abs(independent.rho) < 0.4
    heavy = regression.residuals(STEPS, rng.standard_t(1.5, size=len(STEPS)))
    assert heavy.shapiro_p < 1e-4 < independent.shapiro_p


def bent(at: float, before: float, after: float) -> np.ndarray:
    return before * np.minimum(WIDE, at) + after * np.maximum(WIDE - at, 0.0)


def test_an_exact_bend_is_found_with_its_slopes():
    wiggle = 1e-4 * np.sin(WIDE)
    found = estimate_inflection(WIDE, bent(300.0, 3e-4, -2e-4) + wiggle)
    assert (found.at, found.points) == (300.0, len(WIDE))
    assert (found.before, found.after) == pytest.approx((3e-4, -2e-4), rel=0.01)
    assert found.low <= 300.0 <= found.high and found.high - found.low <= 40.0
    assert found.p_value == pytest.approx(0.001)


def test_the_search_equals_brute_force():
    rng = np.random.default_rng(0)
    values = bent(400.0, 2e-4, -1e-4) + 0.02 * autoregressive(rng, len(WIDE), 0.4)
    found = estimate_inflection(WIDE, values, draws=9)

    def squares(kappa: float) -> float:
        design = np.column_stack([np.ones_like(WIDE), WIDE, np.maximum(WIDE - kappa, 0)])
        return float(np.linalg.lstsq(design, values, rcond=None)[1][0])

    edge = 5  # A tenth of the 48 points at each end, rounded up.
    assert found.at == min(WIDE[edge:-edge], key=squares)


def test_the_coverage_of_the_interval_and_the_level_of_the_test():
    rng = np.random.default_rng(1)
    covered = false_alarms = 0
    for _ in range(BENT_RUNS):
        noise = 0.01 * autoregressive(rng, len(WIDE), 0.5)
        found = estimate_inflection(WIDE, bent(400.0, 4e-4, -2e-4) + noise, draws=DRAWS)
        covered += found.low <= 400.0 <= found.high
        false_alarms += estimate_inflection(WIDE, 1e-4 * WIDE + noise, draws=DRAWS).p_value < 0.05
    # 0.95 less, 0.05 plus, four binomial deviations and 0.05 for the bootstrap's estimated errors.
    slack = 0.05 + 4 * math.sqrt(0.05 * 0.95 / BENT_RUNS)
    assert covered / BENT_RUNS >= 0.95 - slack
    assert false_alarms / BENT_RUNS <= 0.05 + slack


def test_the_same_seed_gives_the_same_interval():
    values = bent(300.0, 3e-4, 1e-4) + 0.02 * np.sin(WIDE**2)
    one, two = (estimate_inflection(WIDE, values, draws=49) for _ in range(2))
    other = estimate_inflection(WIDE, values, draws=49, seed=1)
    assert one == two
    assert one.at == other.at and (one.low, one.high, one.p_value) != (
        other.low,
        other.high,
        other.p_value,
    )
