from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import synthetic_records as synthetic

from analysis import regression, trend
from analysis.schema import records


def test_the_two_readings_on_series_with_known_slopes():
    result = trend.run(synthetic.study(seeds=2))
    across, within = result.readings
    # SPACTOR(∞) gets worse by 1e-4 a 1,000 steps, so baseline minus SPACTOR(∞) falls by that.
    assert across.line.slope == pytest.approx(-1e-4, rel=0.05)
    assert across.line.p_value < 1e-6
    assert within.line.slope == pytest.approx(0.0, abs=5e-6)
    assert within.line.p_value > 0.05
    # 120K, 160K … 1M in steps of 40K.
    assert (across.line.n, across.seeds, result.profile) == (23, 2, "micro")


@pytest.mark.parametrize(
    "values", [[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0]]
)
def test_points_without_residual_have_no_p_value(values):
    line = trend.fit(np.array([1e3, 2e3, 3e3, 4e3]), np.array(values))
    assert math.isnan(line.p_value)
    assert trend.format_p(line.p_value) == "undefined"


def test_a_line_is_that_of_scipy():
    generator = np.random.default_rng(0)
    for points in (3, 4, 89):
        steps, values = 1e3 * np.arange(points), generator.normal(size=points)
        line, other = trend.fit(steps, values), scipy.stats.linregress(steps / 1e3, values)
        ours = [line.slope, line.intercept, line.stderr, line.p_value]
        assert ours == pytest.approx([other.slope, other.intercept, other.stderr, other.pvalue])


def test_differences_are_of_seeds_that_have_both_curves_to_the_end():
    curves = trend.BASELINE_CLEAN, trend.HYBRID_CLEAN
    first, both = [200_000], [200_000, 300_000]
    others = synthetic.curve("0", 1, first, [5.0]) + synthetic.curve("inf", 1, first, [1.0])
    others += synthetic.curve("0", 2, first, [100.0])  # Seed 2 has no τ = ∞.
    rows = synthetic.curve("0", 0, first, [3.0]) + synthetic.curve("inf", 0, first, [1.0])
    gaps = trend.differences(records.from_rows(rows + others), *curves)
    assert gaps.to_dict("index") == {200_000: {0: 2.0, 1: 4.0}}
    # Seed 1 has not got there.
    rows = synthetic.curve("0", 0, both, [3.0] * 2) + synthetic.curve("inf", 0, both, [1.0] * 2)
    gaps = trend.differences(records.from_rows(rows + others), *curves)
    assert gaps.to_dict("index") == {200_000: {0: 2.0}, 300_000: {0: 2.0}}


def test_missing_curves_are_named():
    text = trend.run(records.empty()).text()
    assert text.count("not run: ") == 2
    assert "no record of baseline, input X_c or of SPACTOR(∞), input X_c" in text
    short = [row for row in synthetic.series() if row["step"] <= 160]
    text = trend.run(records.from_rows(short)).text()
    assert text.count("not run: 2 validated steps from 120K on; a line needs 3") == 2


def gaps_of(by_seed: np.ndarray) -> pd.DataFrame:
    """Records in which baseline minus SPACTOR(∞) is ``by_seed`` [steps, seeds], from 50K on."""
    steps = 50_000 + 10_000 * np.arange(len(by_seed))
    rows = []
    for seed, gaps in enumerate(by_seed.T):
        rows += synthetic.curve("0", seed, steps, 2.0 + gaps)
        rows += synthetic.curve("inf", seed, steps, np.full(len(steps), 2.0))
    return records.from_rows(rows)


def test_least_squares_that_misleads_is_called_out():
    noise = 0.02 * synthetic.autoregressive(np.random.default_rng(8), 96, 0.9)
    [across, within] = trend.run(gaps_of(noise[:, None])).readings
    p_values = {slope.method: slope.p_value for slope in across.slopes}
    assert p_values[regression.LEAST_SQUARES] < 0.05 <= p_values[regression.AUTOREGRESSIVE]
    assert regression.LEAST_SQUARES in across.misleading and (
        across.warning in " ".join(across.text().split())
    )
    # One seed has no test over seeds; the next best test is that of AR(1) errors.
    assert across.over_seeds is None and across.decisive.method == regression.AUTOREGRESSIVE
    assert across.headline.startswith("no trend within one seed")
    assert within.line is None and not within.warning


def test_the_slope_of_one_seed_in_five_is_no_trend():
    generator = np.random.default_rng(0)
    by_seed = 0.002 * np.stack([synthetic.autoregressive(generator, 96, 0.5) for _ in range(5)], 1)
    by_seed[:, 3] += 3e-4 * np.arange(96.0) * 10.0
    across = trend.run(gaps_of(by_seed)).readings[0]
    p_values = {slope.method: slope.p_value for slope in across.slopes}
    assert p_values[regression.LEAST_SQUARES] < 1e-9
    assert p_values[regression.AUTOREGRESSIVE] < 1e-9  # seen as one series, it is a trend
    assert across.over_seeds.p_value == pytest.approx(0.37, abs=0.05)  # 1 of 5: t = 1
    assert across.headline.startswith("no trend shown over 5 seeds")
    assert set(across.misleading) >= {regression.LEAST_SQUARES, regression.AUTOREGRESSIVE}
    # The same sum of slopes, shared by the seeds, is one.
    by_seed[:, 3] -= 3e-4 * np.arange(96.0) * 10.0
    by_seed += 0.6e-4 * np.arange(96.0)[:, None] * 10.0
    across = trend.run(gaps_of(by_seed)).readings[0]
    assert across.headline.startswith("a trend shown over 5 seeds") and not across.warning


def test_slopes_are_printed_by_seed_after_their_test():
    across = trend.run(synthetic.study(seeds=3)).readings[0]
    assert list(across.by_seed) == [0, 1, 2]
    each = [line.slope for line in across.by_seed.values()]
    assert across.decisive.value == pytest.approx(np.mean(each))
    assert across.decisive.p_value == pytest.approx(scipy.stats.ttest_1samp(each, 0.0).pvalue)
    _, *lines = across.text().splitlines()
    assert " ".join(" ".join(lines).split()).startswith(across.headline)
    assert "over 3 seeds: slope -9.9" in across.headline
    assert "seed by seed:  0: -9.90e-05, 1: " in across.text()
    assert "the mean of 3 seeds: slope" in " ".join(across.text().split())
    assert (across.inflection.points, across.inflection.seeds) == (24, 3)


def test_few_points_have_a_line_and_no_more():
    rows = [row for row in synthetic.series() if row["step"] <= 280]
    across = trend.run(records.from_rows(rows)).readings[0]
    assert (across.line.n, across.slopes, across.inflection) == (5, (), None)
    assert across.headline == "no test: one seed, and too few steps to estimate its autocorrelation"
    assert "too few steps for more" in across.text()
