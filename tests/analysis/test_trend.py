from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import synthetic_records as synthetic

from analysis import regression, trend
from analysis.schema import records
from spactor.errors import UserError


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


def test_the_line_equals_scipys():
    rng = np.random.default_rng(0)
    steps = np.arange(120_000, 1_000_001, 20_000).astype(float)
    values = 0.3 - 2e-7 * steps + rng.normal(0, 0.01, len(steps))
    line = trend.fit(steps, values)
    other = scipy.stats.linregress(steps / 1000, values)
    assert line.slope == pytest.approx(other.slope)
    assert line.intercept == pytest.approx(other.intercept)
    assert line.stderr == pytest.approx(other.stderr)
    assert line.p_value == pytest.approx(other.pvalue)
    assert line.at(500_000) == pytest.approx(other.intercept + 500 * other.slope)


@pytest.mark.parametrize(
    "values", [[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0]]
)
def test_points_without_residual_have_no_p_value(values):
    line = trend.fit(np.array([1e3, 2e3, 3e3, 4e3]), np.array(values))
    assert math.isnan(line.p_value)
    assert trend.format_p(line.p_value) == "undefined"


def test_seeds_are_averaged_where_all_have_both_curves():
    def point(tau, seed, step, value):
        at = {"size": "base", "tau": tau, "seed": seed, "step": step, "paper_step": step * 1000}
        return {**synthetic.COMMON, **at, "metric": trend.CLEAN, "value": value}

    rows = [point("0", 0, 200, 3.0), point("inf", 0, 200, 1.0)]
    rows += [point("0", 1, 200, 5.0), point("inf", 1, 200, 1.0)]
    rows += [point("0", 0, 300, 3.0), point("inf", 0, 300, 1.0)]  # seed 1 has no 300
    rows += [point("0", 2, 200, 100.0)]  # seed 2 has no τ = ∞
    gaps, seeds = trend.difference(
        records.from_rows(rows), trend.BASELINE_CLEAN, trend.HYBRID_CLEAN
    )
    assert (gaps.to_dict(), seeds) == ({200_000: 3.0}, 2)


def test_what_is_missing_is_said():
    text = trend.run(records.empty()).text()
    assert text.count("not run: ") == 2
    assert "no record of baseline, input X_c or of SPACTOR(∞), input X_c" in text
    short = [row for row in synthetic.series() if row["step"] <= 160]
    text = trend.run(records.from_rows(short)).text()
    assert text.count("not run: 2 validated steps from 120K on; a line needs 3") == 2


def test_the_published_line_stands_beside_with_its_unit_in_doubt():
    text = trend.run(synthetic.study()).text()
    assert "published: slope -6.90e-05, p = 0.01" in text
    assert pytest.approx(-61, abs=0.5) == trend.PUBLISHED_SLOPE * 880_000
    assert pytest.approx(-0.061, abs=5e-4) == trend.PUBLISHED_SLOPE * 880


def test_profiles_are_not_mixed():
    rows = synthetic.series()
    both = records.from_rows([*rows, {**rows[0], "profile": "smoke"}])
    with pytest.raises(UserError, match="several profiles"):
        trend.run(both)


def test_least_squares_that_misleads_is_called_out():
    rng = np.random.default_rng(8)
    rows = []
    noise = 0.02 * synthetic.autoregressive(rng, 96, 0.9)
    for index, step in enumerate(range(50, 1001, 10)):
        at = {**synthetic.COMMON, "size": "base", "seed": 0, "step": step}
        for tau, value in (("0", 2.0 + noise[index]), ("inf", 2.0)):
            point = {"tau": tau, "paper_step": step * 1000, "metric": trend.CLEAN, "value": value}
            rows.append({**at, **point})
    [across, within] = trend.run(records.from_rows(rows)).readings
    p_values = {slope.method: slope.p_value for slope in across.slopes}
    assert p_values[regression.LEAST_SQUARES] < 0.05 <= p_values[regression.AUTOREGRESSIVE]
    assert across.misleads and "alone would mislead" in across.text()
    assert within.line is None and not within.misleads


def test_seeds_stand_apart_and_pooled():
    across = trend.run(synthetic.study(seeds=3)).readings[0]
    assert list(across.by_seed) == [0, 1, 2]
    pooled = {slope.method: slope for slope in across.slopes}[regression.OVER_SEEDS]
    each = [line.slope for line in across.by_seed.values()]
    assert pooled.value == pytest.approx(np.mean(each))
    assert pooled.p_value == pytest.approx(scipy.stats.ttest_1samp(each, 0.0).pvalue)
    text = across.text()
    assert "seed by seed            0: -9.90e-05, 1: " in text and "over seeds" in text
    assert across.inflection.points == 24 and "inflection              at " in text


def test_few_points_have_a_line_and_no_more():
    rows = [row for row in synthetic.series() if row["step"] <= 280]
    across = trend.run(records.from_rows(rows)).readings[0]
    assert (across.line.n, across.slopes, across.inflection) == (5, (), None)
    assert "too few steps for more" in across.text()
