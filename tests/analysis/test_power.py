from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import synthetic_records as synthetic
from statsmodels.stats.power import TTestIndPower, TTestPower

from analysis import power
from analysis.paper import judge
from analysis.paper.contrasts import Contrast, Family
from analysis.paper.evidence import Cell
from analysis.schema import published, records
from analysis.tests import Sample


def contrast(first, second, allowed=0.0):
    """Two published cells and a known margin."""
    ours, plain = Cell("base", "250K", 500_000, "glue"), Cell("base", "0", 500_000, "glue")
    samples = {ours: first, plain: second}
    return Contrast("", {ours: 1.0, plain: -1.0}, samples, allowed=allowed)


EQUAL = contrast(Sample(51.0, 2.0, 5), Sample(50.0, 2.0, 5))


def test_power_and_runs_equal_statsmodels_for_equal_spreads():
    theirs = TTestIndPower()
    for runs in (3, 10, 60):
        for test, alternative in (("higher", "larger"), ("different", "two-sided")):
            expected = theirs.power(0.5, runs, 0.05, alternative=alternative)
            assert power.power(test, EQUAL, 0.05, runs) == pytest.approx(expected, rel=1e-6)
    needed = theirs.solve_power(0.5, power=0.8, alpha=0.05, alternative="larger")
    assert power.runs_needed("higher", EQUAL, 0.05) == math.ceil(needed)


def test_power_of_unequal_spreads_is_what_a_simulation_finds():
    unequal = contrast(Sample(52.0, 1.0, 5), Sample(50.0, 3.0, 5), 0.5)
    rng = np.random.default_rng(0)
    draws, runs = 4000, 8
    first = rng.normal(52.0, 1.0, (draws, runs)) + unequal.margin
    second = rng.normal(50.0, 3.0, (draws, runs))
    tested = scipy.stats.ttest_ind(first, second, axis=1, equal_var=False, alternative="greater")
    found = (tested.pvalue < 0.05).mean()
    expected = power.power("higher", unequal, 0.05, runs)
    # Four binomial deviations, and 0.01 because Welch's degrees of freedom are estimated.
    assert found == pytest.approx(expected, abs=0.01 + 4 * math.sqrt(0.25 / draws))


def test_equivalence_needs_both_sides():
    level = contrast(Sample(50.0, 1.0, 5), Sample(50.0, 1.0, 5), 1.0)
    rng = np.random.default_rng(1)
    draws, runs = 4000, 20
    first, second = rng.normal(50.0, 1.0, (2, draws, runs))
    sides = [
        scipy.stats.ttest_ind(first + sign, second, axis=1, equal_var=False, alternative=way).pvalue
        for sign, way in ((1.0, "greater"), (-1.0, "less"))
    ]
    found = (np.maximum(*sides) < 0.05).mean()
    assert power.power("within", level, 0.05, runs) == pytest.approx(
        found, abs=4 * math.sqrt(0.25 / draws)
    )


def measured(ours, plain, names=("250K", "0")):
    """Two measured cells by seed."""
    cells = [Cell("base", tau, 500_000, "glue") for tau in names]
    by_seed = {c: dict(enumerate(v)) for c, v in zip(cells, (ours, plain), strict=True)}
    return Contrast("", {cells[0]: 1.0, cells[1]: -1.0}, {}, by_seed)


def test_power_and_runs_of_a_paired_test_equal_statsmodels():
    # Runs share noise of 3 by seed and have 1 of their own; the difference is 1.5.
    rng = np.random.default_rng(2)
    shared, (own, other) = 3.0 * rng.standard_normal(200), rng.standard_normal((2, 200))
    pair, gaps = measured(1.5 + shared + own, shared + other), 1.5 + own - other
    effect, theirs = gaps.mean() / gaps.std(ddof=1), TTestPower()
    for runs in (3, 6, 20):
        expected = theirs.power(effect, runs, 0.05, alternative="larger")
        assert power.power("higher", pair, 0.05, runs) == pytest.approx(expected, rel=1e-6)
    # Unpaired the same means and spreads need more than four times as many runs.
    alone = contrast(Sample(1.5, math.sqrt(10.0), 5), Sample(0.0, math.sqrt(10.0), 5))
    assert power.runs_needed("higher", alone, 0.05) > 4 * power.runs_needed("higher", pair, 0.05)


def test_differences_without_enough_runs_or_without_a_spread():
    lower = contrast(Sample(49.0, 1.0, 5), Sample(50.0, 1.0, 5))
    assert power.runs_needed("higher", lower, 0.05) == math.inf
    single = contrast(Sample(51.0, math.nan, 1), Sample(50.0, 1.0, 5))
    assert math.isnan(power.runs_needed("higher", single, 0.05))
    exact = contrast(Sample(51.0, 0.0, 5), Sample(50.0, 0.0, 5))
    assert power.runs_needed("higher", exact, 0.05) == 2
    # Equal differences of all seeds, by the sign test: 2^-5 is the first below 0.05.
    assert power.runs_needed("higher", measured([2.0, 3.0], [1.0, 2.0]), 0.05) == 5


def test_every_claim_with_a_test_has_its_numbers_of_runs():
    result = power.run(judge(published.load_all()), {"base": 5, "large": 3})
    needs = {need.claim.id: need for need in result.needs}
    beats = needs["base.250k-beats-baseline-500k"]
    # Its strongest cell is Rainbow, 71.60 ± 0.18 against 70.14 ± 0.25, tested at 0.05 / 7.
    assert beats.cells == 7
    assert beats.some == power.runs_needed(
        "higher", contrast(Sample(71.60, 0.18, 5), Sample(70.14, 0.25, 5)), 0.05 / 7
    )
    assert beats.some <= beats.half <= beats.every and not beats.decides
    assert "audit" not in result.text() and result.without + len(needs) == 88
    many = power.run(judge(published.load_all()), {"base": 1000, "large": 1000})
    decided = {need.claim.id for need in many.needs if need.decides}
    assert decided == {id_ for id_, need in needs.items() if not math.isinf(need.every)}


@pytest.mark.parametrize(("difference", "runs"), [(13.5, 2), (-22.3, 1000), (0.4, 7), (-60.0, 9)])
def test_far_tails_are_those_of_the_noncentral_t(difference, runs):
    scale = math.sqrt(2 / runs)
    far = contrast(Sample(difference * scale, 1.0, 5), Sample(0.0, 1.0, 5))
    degrees = 2 * (runs - 1)
    bound = scipy.stats.t.isf(0.025, degrees)
    expected = scipy.stats.nct.sf(bound, degrees, difference)
    assert power.power("higher", far, 0.025, runs) == pytest.approx(expected, abs=1e-12)


def test_runs_of_records_are_pre_training_seeds_in_the_cell_that_has_the_most():
    several = ((3, "base", ("0",)), (4, "base", ("inf",)), (2, "large", ("0",)))
    rows = [row for each in several for row in synthetic.scores(*each)]
    by_seed = records.from_rows([seeded(row) for row in rows])
    assert power.runs_of(by_seed) == {"base": 4, "large": 2}
    # Several fine-tunings of one pre-training, and runs from scratch.
    assert power.runs_of(records.from_rows(rows)) == {"base": 1, "large": 1}
    scratch = by_seed[by_seed["size"] == "base"].assign(checkpoint=0)
    assert power.runs_of(scratch) == {}


def seeded(row):
    return row | {"seed": row["finetune_seed"], "finetune_seed": 0}


def test_a_claim_is_decided_by_the_seeds_of_its_own_cells():
    statement = judge(records.empty())[0].statement

    def need(*differences):
        cells = measured([1.0 + one for one in differences], [1.0] * len(differences))
        return power._need(statement, "higher", Family((cells,)), {"base": 8})

    four, two = need(1.0, 1.9, 1.5, 1.6), need(1.0, 0.5)
    assert four.every <= 4 and four.decides
    assert 2 < two.every <= 8 and not two.decides
