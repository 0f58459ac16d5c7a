"""The registered tests: values worked out by hand, size under no effect, power under one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import synthetic_records as synthetic
from statsmodels.stats.power import TTestPower

from analysis import registered
from analysis.paper.statement import Verdict
from analysis.schema import records

STEPS = np.arange(50_000, 1_000_001, 50_000)


def study(baseline, two_stages, one_stage):
    return synthetic.trained(STEPS, {"0": baseline, "250K": two_stages, "inf": one_stage})


def by_name(frame) -> dict[str, registered.RegisteredTest]:
    return {test.name: test for test in registered.run(frame).tests}


def test_values_by_hand() -> None:
    falling = 6.0 - STEPS / 250_000  # 0.2 nats for every 50K steps
    ahead, behind = falling - 0.4, falling + 0.2
    fading = falling - np.linspace(0.4, 0.0, len(STEPS))
    tests = by_name(study([falling, falling], [ahead, behind], [fading, fading]))
    # Seed 0 is at the baseline's end at 900K. Seed 1 is where its baseline was at 950K.
    assert tests["fewer steps"].values == pytest.approx((0.10, -0.05))
    # A hybrid step costs 1.2 plain ones: 0.9 + 0.2 · 0.25, and 0.95 of 1.05.
    assert tests["fewer FLOPs"].values == pytest.approx((0.05, 0.95 / 1.05 - 1.0))
    assert tests["two stages over one"].values == pytest.approx((0.4, -0.2))
    # The lead falls by 0.4 / 19 a step of 50K, from 185K on average to 950K.
    lost = 0.4 / 19 * (950_000 - np.mean([150_000, 200_000, 250_000])) / 50_000
    assert tests["lead of one stage lost"].values == pytest.approx((lost, lost))
    assert tests["GLUE"].values == ()
    assert tests["GLUE"].verdict == Verdict.NOT_TESTABLE


def test_cloze_and_suites_are_differences_to_the_baseline() -> None:
    cloze = [
        row
        for tau, level in (("0", 40.0), ("250K", 43.0))
        for seed in (0, 1)
        for row in synthetic.curve(tau, seed, STEPS, level + seed + STEPS / 1e5, "cloze/accuracy")
    ]
    tests = by_name(records.from_rows(cloze))
    assert tests["cloze at 500K"].values == pytest.approx((3.0, 3.0))
    assert tests["cloze at 1M"].values == pytest.approx((3.0, 3.0))
    # Made-up scores of one pre-training seed, whose fine-tuning runs are no further seeds.
    made_up = by_name(synthetic.study(runs=3))
    assert made_up["GLUE at 500K"].values == pytest.approx((3.0,))
    assert made_up["GLUE at 500K"].verdict == Verdict.NOT_TESTABLE


def noisy(generator: np.random.Generator, effect: float):
    """Eight seeds, whose curves share their seed's level and have errors of 0.01."""

    def curves(shift: float):
        return [
            4.0 - 0.8 * STEPS / 1e6 + level + generator.normal(0, 0.01, len(STEPS)) - shift
            for level in levels
        ]

    levels = generator.normal(0, 0.05, 8)
    return study(curves(0.0), curves(effect), curves(0.0))


def test_equal_models_are_decided_in_one_study_of_twenty_at_most() -> None:
    generator, studies = np.random.default_rng(0), 20
    decided = 0
    for _ in range(studies):
        tests = by_name(noisy(generator, 0.0))
        # Models of equal loss differ in FLOPs: the hybrid stage costs 5 % of the budget.
        assert tests.pop("fewer FLOPs").verdict == Verdict.CONTRADICTED
        decided += any(
            test.verdict in (Verdict.HOLDS, Verdict.CONTRADICTED) for test in tests.values()
        )
    # By Holm at most 1 of 20 is expected; 5 or more have a probability of 0.3 %.
    assert scipy.stats.binom.sf(4, studies, 0.05) < 0.004 and decided <= 4


def test_an_effect_is_shown_and_its_opposite_contradicted() -> None:
    generator = np.random.default_rng(1)
    for effect, verdict in ((0.05, Verdict.HOLDS), (-0.05, Verdict.CONTRADICTED)):
        tests = by_name(noisy(generator, effect))
        for name in ("fewer steps", "two stages over one"):
            assert tests[name].verdict == verdict, name
        assert not tests["two stages over one"].below_smallest
        assert tests["lead of one stage lost"].below_smallest


@pytest.mark.parametrize("effect", [0.4, 0.9, 1.7])
def test_seeds_needed_equal_statsmodels(effect: float) -> None:
    found = registered.seeds_needed(effect, 0.05 / 27)
    power = TTestPower()
    at, before = (power.power(effect, seeds, 0.05 / 27) for seeds in (found, found - 1))
    assert before < 0.8 <= at
    assert registered.seeds_needed(-effect, 0.05 / 27) == found


@pytest.mark.parametrize(
    ("first", "number", "standing"),
    [(200, 8, "confirmatory"), (200, 3, "Interim: 3 of the 8"), (0, 8, "Exploratory")],
)
def test_tests_confirm_something_for_the_registered_seeds_alone(first, number, standing) -> None:
    falling = [6.0 - STEPS / 250_000] * number
    frame = study(falling, falling, falling)
    frame["seed"] += first
    assert standing in registered.run(frame).notes[0]


def test_nothing_is_tested_without_records() -> None:
    result = registered.run(records.empty())
    assert "27 not testable" in result.text() and math.isnan(result.tests[0].p_holm)
