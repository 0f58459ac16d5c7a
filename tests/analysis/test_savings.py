from __future__ import annotations

import math

import numpy as np
import pytest
import synthetic_records as synthetic

from analysis import savings
from analysis.compiled import local_step
from analysis.schema import published, records

HALF, FULL = 500_000, 1_000_000


def score(tau: str, checkpoint: int, seed: int, value: float) -> dict:
    at = {"size": "base", "tau": tau, "seed": seed, "finetune_seed": 0, "checkpoint": checkpoint}
    task = {"suite": "cnndm", "task": "summary", "metric": "rouge1", "step": 30}
    return {**synthetic.COMMON, **at, **task, "value": value}


def study(curves: dict[str, list[tuple[float, float]]]):
    """Records of runs given as (score at 500K, score at 1M), by τ."""
    rows = [
        score(tau, checkpoint, seed, value)
        for tau, runs in curves.items()
        for seed, pair in enumerate(runs)
        for checkpoint, value in zip((HALF, FULL), pair, strict=True)
    ]
    return records.from_rows([*rows, *synthetic.costs()])


def test_a_crossing_between_checkpoints_is_worked_out_by_hand():
    # The baseline ends at 30; SPACTOR(120K) rises from 26 to 34, so it is there at 750K.
    curves = {"0": [(20.0, 30.0)] * 3, "120K": [(26.0, 34.0)] * 3}
    result = savings.run(study(curves))
    [saving] = result.savings
    assert (saving.target, saving.runs) == (30.0, (3,))
    assert saving.iterations == savings.Estimate(0.25, 0.25, 0.25, False, 1.0)
    # A hybrid step costs 1.2 plain ones: 750K + 0.2 · 120K = 774K of 1,000K.
    assert saving.flops["analytic"].value == pytest.approx(0.226)
    # By Table 3 it costs 1.375: 750K + 45K.
    assert saving.flops["paper"].value == pytest.approx(0.205)
    # As XLA compiles the paper's own Base: 1.178.
    by_xla = local_step.ratio(local_step.load(), "base", "ours")
    assert saving.flops["compiled"].value == pytest.approx(1 - (0.75 + 0.12 * (by_xla - 1)))
    assert set(saving.flops) == {"paper", "analytic", "compiled"}
    timed = records.combine(study(curves), synthetic.timing())
    # Baseline 40 sequences a second, hybrid 30: 750K + 120K / 3.
    [saving] = savings.run(timed).savings
    assert set(saving.flops) == set(savings.CONVENTIONS)
    assert saving.flops["wall clock"].value == pytest.approx(0.21)


def test_what_is_there_early_is_a_bound_and_what_never_is_says_so():
    runs = {"0": [(20.0, 30.0)] * 2, "60K": [(31.0, 32.0)] * 2, "120K": [(10.0, 29.0)] * 2}
    early, never = savings.run(study(runs)).savings
    assert early.iterations == savings.Estimate(0.5, 0.5, 0.5, True, 1.0)
    assert math.isnan(never.iterations.value) and never.iterations.reached == 0.0
    text = savings.run(study(runs)).text()
    assert "≥ 50 [50, 50]" in text and "not reached" in text


def test_the_interval_is_that_of_the_runs():
    # Two runs cross at 600K and 900K against a fixed target: the mean of a resample is one of
    # them or, half the time, their mean curve, which crosses at 720K: (30 - 23) / (35.5 - 23).
    runs = {"0": [(20.0, 30.0)] * 2, "120K": [(28.0, 38.0), (18.0, 33.0)]}
    [saving] = savings.run(study(runs)).savings
    assert saving.iterations.value == pytest.approx(1 - (0.5 + 0.5 * 7 / 12.5))
    assert (saving.iterations.low, saving.iterations.high) == pytest.approx((0.1, 0.4))


def test_the_same_seed_draws_the_same():
    frame = published.load_all()
    one, two = savings.run(frame, draws=99), savings.run(frame, draws=99)
    assert one == two and one != savings.run(frame, draws=99, seed=1)


def test_the_published_numbers():
    result = savings.run(published.load_all())
    found = {(s.size, s.tau, s.suite): s for s in result.savings}
    assert result.overheads["base"]["paper"] == pytest.approx(1.375)
    # Table 4: 1.06 at 500K with τ = 120K.
    assert result.overheads["large"]["paper"] == pytest.approx(1.25)
    glue = found["base", "250K", "glue"]
    assert glue.iterations.text() == "≥ 50 [50, 50]"
    # 500K + 0.375 · 250K of 1,000K are 0.59375, the paper's "40 % less".
    assert glue.flops["paper"].value == pytest.approx(0.40625)
    assert math.isnan(found["base", "60K", "mmlu"].iterations.value)
    # Large, SuperGLUE: 86.06 at 500K and 86.38 at 1M against 86.11, so 15.6 % of the way.
    large = found["large", "120K", "superglue"].iterations
    assert large.value == pytest.approx(0.5 - 0.5 * 5 / 32, abs=0.02) and not large.at_least


def test_the_parametric_bootstrap_has_the_spread_of_a_mean_of_n_runs():
    frame = published.load_all()
    from analysis.paper.evidence import Evidence

    curves = savings._published_curves(Evidence.of(frame), 20_000, np.random.default_rng(0))
    draws = curves["base", "0", "glue"][HALF]
    # Student's t with 4 degrees of freedom has a variance of 4 / (4 - 2) = 2; 0.17 is printed.
    assert draws[1:].std() == pytest.approx(0.17 / math.sqrt(5) * math.sqrt(2), rel=0.1)
    assert draws[0] == 85.89


def test_nothing_run_is_said():
    assert "not run: no suite has scores of τ = 0 at 1M" in savings.run(records.empty()).text()


def test_one_run_has_no_interval():
    text = savings.run(study({"0": [(20.0, 30.0)], "120K": [(26.0, 34.0)]})).text()
    assert "25 " in text and "25 [" not in text and "One run has no interval" in text
