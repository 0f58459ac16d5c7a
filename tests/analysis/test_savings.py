from __future__ import annotations

import math

import numpy as np
import pytest
import synthetic_records as synthetic

from analysis import savings
from analysis.compiled import local_step
from analysis.paper.evidence import Evidence
from analysis.schema import published, records

HALF, FULL = 500_000, 1_000_000


def score(tau: str, checkpoint: int, seed: int, value: float) -> dict:
    task = {"suite": "cnndm", "task": "summary", "metric": "rouge1"}
    return synthetic.score(value, tau=tau, checkpoint=checkpoint, seed=seed, **task)


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
    assert saving.iterations == savings.Estimate(0.25, 0.25, 0.25, unknown="unknown after 1M")
    assert (saving.reached, saving.by_chance) == (1.0, 0.0)  # no spread, no chance
    # A hybrid step costs 1.2 plain ones: 750K + 0.2 · 120K = 774K of 1,000K.
    assert saving.flops["analytic"].value == pytest.approx(0.226)
    # By Table 3 it costs 1.375: 750K + 45K.
    assert saving.flops["paper"].value == pytest.approx(0.205)
    # As XLA compiles the paper's own Base: 1.178.
    by_xla = local_step.ratio(local_step.ARTIFACT.load(), "base", "ours")
    assert saving.flops["compiled"].value == pytest.approx(1 - (0.75 + 0.12 * (by_xla - 1)))
    assert set(saving.flops) == {"paper", "analytic", "compiled"}
    timed = records.combine(study(curves), synthetic.timing())
    # Baseline 40 sequences a second, hybrid 30: 750K + 120K / 3.
    [saving] = savings.run(timed).savings
    assert set(saving.flops) == set(savings.CONVENTIONS)
    assert saving.flops["wall clock"].value == pytest.approx(0.21)


def test_what_is_there_early_is_a_bound_and_slower_models_save_less_than_nothing():
    runs = {"0": [(20.0, 30.0)] * 2, "60K": [(31.0, 32.0)] * 2, "120K": [(10.0, 28.0)] * 2}
    runs["250K"] = [(10.0, 19.0)] * 2
    early, slower, worst = savings.run(study(runs)).savings
    assert early.iterations.text() == "≥ 50 [50, 50]"
    # Its 28 at 1M is the baseline's at 900K: 1M is a ninth more.
    assert slower.iterations.value == pytest.approx(1 - 10 / 9) and slower.reached == 0.0
    assert slower.flops["analytic"].value == pytest.approx(1 - (1.0 + 0.2 * 0.12) / 0.9)
    assert worst.iterations.text() == "≤ -100 [-100, -100]"


def test_a_model_that_was_not_scored_late_is_unknown_there():
    frame = study({"0": [(20.0, 30.0)] * 2, "60K": [(29.0, 0.0)] * 2, "120K": [(0.0, 31.0)] * 2})
    at = frame["checkpoint"]
    frame = frame[
        ~((frame["tau"] == "60K") & (at == FULL) | (frame["tau"] == "120K") & (at == HALF))
    ]
    short, late = savings.run(frame).savings
    assert short.iterations.text() == "unknown after 500K"
    assert late.iterations.text() == "unknown, scored at 1M alone" and late.reached == 1.0
    assert math.isnan(late.by_chance)


def test_fine_tuning_from_scratch_is_no_checkpoint():
    curves = {"0": [(20.0, 30.0)] * 2, "120K": [(26.0, 34.0)] * 2}
    scratch = [score(tau, 0, seed, 99.0) for tau in curves for seed in (0, 1)]
    frame = records.combine(study(curves), records.from_rows(scratch))
    assert savings.run(frame).savings == savings.run(study(curves)).savings


def noisy(generator, tau: float = 0.0, *, runs: int = 5, shared: float = 2.0):
    """Scores of a baseline that gains 10 points, and of a model ``tau`` above it: 2 points of
    noise that both models share by seed, 0.5 of their own."""
    level = np.array([20.0, 30.0])
    seed = shared * generator.standard_normal((runs, 1))
    own = 0.5 * generator.standard_normal((2, runs, 2))
    return {"0": level + seed + own[0], "120K": level + tau + seed + own[1]}


def quick(runs: dict[str, np.ndarray]) -> savings.Saving:
    """The saving of τ = 120K from scores by τ [seed, (500K, 1M)], without records."""
    table = {
        ("base", which, at, "cnndm"): dict(enumerate(values[:, column]))
        for which, values in runs.items()
        for column, at in enumerate((HALF, FULL))
    }
    [pair] = savings._measured_pairs(table, 499, np.random.default_rng(0))
    return savings._saving(pair, {})


def test_the_interval_is_paired_by_seed():
    generator = np.random.default_rng(0)
    covered, widths = 0, []
    for _ in range(150):
        one = quick(noisy(generator, 3.0))
        covered += one.iterations.low <= 0.15 <= one.iterations.high
        widths.append(one.iterations.high - one.iterations.low)
    # 3 of 10 points above the baseline: there at 850K. Five runs drawn again make an interval too
    # short by √(4/5) and Student's t, so about 85 % cover.
    assert covered / 150 > 0.75
    # The difference of means has an error of 0.5 · √2 / √5 = 0.32 points of 10, so ± 0.62 points
    # are ± 3 % of the steps. Unpaired, the shared noise would make them ± 13 %.
    assert 0.03 < np.median(widths) < 0.08


def test_how_often_identical_models_show_a_saving():
    """The simulated share against the share of simulated studies that show one."""
    generator = np.random.default_rng(1)
    level, error = np.array([29.0, 30.0]), 0.5
    curves = level + error * generator.standard_normal((2, 2000, 2))
    at = savings.crossing({HALF: curves[0, :, 0], FULL: curves[0, :, 1]}, curves[1, :, 1])
    truth = float((1 - at / FULL >= savings.NOTABLE).mean())
    found = []
    for _ in range(150):
        runs = level + math.sqrt(5) * error * generator.standard_normal((2, 5, 2))
        found.append(quick({"0": runs[0], "120K": runs[1]}).by_chance)
    assert 0.2 < truth < 0.5
    assert np.mean(found) == pytest.approx(truth, abs=0.06)


def test_the_interval_is_that_of_the_runs():
    # Two runs cross at 600K and 900K against a fixed target: the mean of a resample is one of
    # them or, half the time, their mean curve, which crosses at 720K: (30 - 23) / (35.5 - 23).
    runs = {"0": [(20.0, 30.0)] * 2, "120K": [(28.0, 38.0), (18.0, 33.0)]}
    [saving] = savings.run(study(runs)).savings
    assert saving.iterations.value == pytest.approx(1 - (0.5 + 0.5 * 7 / 12.5))
    assert (saving.iterations.low, saving.iterations.high) == pytest.approx((0.1, 0.4))


def test_the_same_seed_draws_the_same():
    frame = published.load_all()
    # As text, since NaN is not equal to itself.
    one, two, other = (repr(savings.run(frame, draws=99, seed=seed)) for seed in (0, 0, 1))
    assert one == two != other


def test_the_published_numbers():
    result = savings.run(published.load_all())
    found = {(s.size, s.tau, s.suite): s for s in result.savings}
    assert "Two identical models would show a saving of 10% or more in " in result.text()
    assert result.overheads["base"]["paper"] == pytest.approx(1.375)
    # Table 4: 1.06 at 500K with τ = 120K.
    assert result.overheads["large"]["paper"] == pytest.approx(1.25)
    glue = found["base", "250K", "glue"]
    assert glue.iterations.text() == "≥ 50 [50, 50]"
    # 500K + 0.375 · 250K of 1,000K are 0.59375, the paper's "40 % less".
    assert glue.flops["paper"].value == pytest.approx(0.40625)
    assert found["base", "60K", "mmlu"].iterations.text() == "unknown after 500K"
    # Large, SuperGLUE: 86.06 at 500K and 86.38 at 1M against 86.11, so 15.6 % of the way.
    large = found["large", "120K", "superglue"].iterations
    assert large.value == pytest.approx(0.5 - 0.5 * 5 / 32, abs=0.02) and not large.bound


def test_the_parametric_bootstrap_has_the_spread_of_a_mean_of_n_runs():
    evidence = Evidence.of(published.load_all())
    pair = next(savings._published_pairs(evidence, 20_000, np.random.default_rng(0)))
    # Student's t with 4 degrees of freedom has a variance of 4 / (4 - 2) = 2; 0.17 is printed.
    draws, twins = pair.baseline[HALF], pair.twin_of[HALF]
    assert (pair.suite, draws[0], twins[0]) == ("glue", 85.89, 85.89)
    assert draws[1:].std() == pytest.approx(0.17 / math.sqrt(5) * math.sqrt(2), rel=0.1)
    assert twins[1:].std() == pytest.approx(0.17 / math.sqrt(5), rel=0.05)


def test_no_records_are_not_run_and_one_run_has_no_interval():
    assert "not run: no suite has scores of τ = 0 at 1M" in savings.run(records.empty()).text()
    text = savings.run(study({"0": [(20.0, 30.0)], "120K": [(26.0, 34.0)]})).text()
    assert "25 " in text and "25 [" not in text and "(none for one run)" in " ".join(text.split())


def test_the_brief_text_has_one_count_of_flops():
    result = savings.run(published.load_all())
    brief, whole = result.text(details=False), result.text()
    columns = [max(line.count("FLOPs,") for line in text.splitlines()) for text in (brief, whole)]
    assert columns == [1, len(result.conventions)] and columns[1] > 1
    assert "FLOPs, paper" in brief and "--details" in brief and "--details" not in whole
