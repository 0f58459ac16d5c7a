"""Made-up measured records that make a statement hold, and others that make it fail."""

from __future__ import annotations

import math

import pandas as pd
import pytest
import synthetic_records as synthetic

from analysis.paper import CLAIMS, Evidence, Verdict
from analysis.schema import records

HOLDS, PARTLY, FAILS = Verdict.HOLDS, Verdict.PARTLY, Verdict.FAILS
UNTESTABLE = Verdict.NOT_TESTABLE
BY_ID = {statement.id: statement for statement in CLAIMS}

TASKS = {
    "glue": ("rte", "accuracy"),
    "superglue": ("boolq", "accuracy"),
    "squad": ("squad", "f1"),
    "cnndm": ("cnn_dailymail", "rouge1"),
    "rainbow": ("piqa", "accuracy"),
    "mmlu": ("anatomy", "accuracy"),
    "bbh": ("navigate", "accuracy"),
}
# Five runs with a standard deviation of exactly 1: √((4 + 1 + 0 + 1 + 4) · 0.4 / 4).
PATTERN = [rank * math.sqrt(0.4) for rank in (-2, -1, 0, 1, 2)]


def scored(means, spread=0.1, runs=5, steps=(262_144,)):
    """Runs with one task a suite, whose mean is a number or one per suite."""
    rows = []
    for (size, tau, checkpoint), mean in means.items():
        for suite, (task, metric) in TASKS.items():
            centre = mean.get(suite) if isinstance(mean, dict) else mean
            if centre is None:
                continue
            for seed in range(runs):
                for step in steps:
                    value = centre + spread * PATTERN[seed]
                    at = {"size": size, "tau": tau, "checkpoint": checkpoint, "seed": seed}
                    at |= {"suite": suite, "task": task, "metric": metric, "step": step}
                    at |= {"source": "measured", "profile": "paper", "finetune_seed": 0}
                    rows.append(at | {"value": value})
    return rows


def costs(hybrid=1.375, size="base"):
    rows = []
    common = {"source": "measured", "profile": "paper", "size": size}
    for tau, end in (("0", 0), ("60K", 60), ("120K", 120), ("250K", 250), ("inf", 1000)):
        for checkpoint in (500_000, 1_000_000):
            steps = checkpoint // 1000
            value = 1e10 * (steps + (hybrid - 1) * min(end, steps))
            metric = {"metric": "cost/pretraining_flops", "value": value}
            rows.append({**common, "tau": tau, "checkpoint": checkpoint, **metric})
    for stage, value in (("span_corruption", 1e10), ("hybrid", hybrid * 1e10)):
        rows.append({**common, "metric": f"cost/step_flops/{stage}", "value": value})
    return rows


def curves(late_slope, noisy=0.2, turn=200):
    """Baseline minus ∞ is 0.05 at 0, 0.02 at ``turn`` thousand, then changes by ``late_slope``."""
    rows = []
    for k in range(20, 1001, 20):
        gap = 0.05 - 0.03 * k / turn if k <= turn else 0.02 + late_slope * (k - turn)
        wobble = 0.0005 * math.cos(3 * k)
        plain = 2.0 + 0.001 * math.sin(k)
        hybrid = plain - gap + wobble
        values = {
            ("0", "sc_loss_clean"): plain,
            ("inf", "sc_loss_clean"): hybrid,
            ("inf", "sc_loss_noisy"): hybrid + noisy + wobble + k * 1e-5 * math.copysign(1, noisy),
            ("inf", "mlm_accuracy"): 0.1 + k / 4000 + wobble,
        }
        at = {"source": "measured", "profile": "paper", "size": "base", "seed": 0}
        for (tau, name), value in values.items():
            metric = {"metric": f"validation/{name}", "value": value}
            rows.append({**at, "tau": tau, "step": k * 1000, "paper_step": k * 1000, **metric})
    return rows


def verdict(identity, rows):
    frame = rows if isinstance(rows, pd.DataFrame) else records.from_rows(rows)
    return BY_ID[identity].judged(Evidence.of(frame)).verdict


GOOD, BAD, EVEN = 61.0, 59.0, 60.0
BASE_EARLY, BASE_LATE = ("base", "0", 500_000), ("base", "0", 1_000_000)
OURS_EARLY, OURS_LATE = ("base", "250K", 500_000), ("base", "250K", 1_000_000)


@pytest.mark.parametrize(
    ("identity", "means", "expected"),
    [
        ("base.250k-beats-baseline-500k", {OURS_EARLY: GOOD, BASE_EARLY: EVEN}, HOLDS),
        ("base.250k-beats-baseline-500k", {OURS_EARLY: BAD, BASE_EARLY: EVEN}, FAILS),
        ("base.250k-beats-baseline-500k", {OURS_EARLY: {"glue": GOOD}, BASE_EARLY: EVEN}, PARTLY),
        ("base.250k-beats-baseline-1m", {OURS_LATE: GOOD, BASE_LATE: EVEN}, HOLDS),
        (
            # Margin (61 − 59) / 2 = 1: 0.5 behind is within, 1.5 is not.
            "abstract.half-the-steps",
            {OURS_EARLY: GOOD - 0.5, BASE_EARLY: BAD, BASE_LATE: GOOD},
            HOLDS,
        ),
        (
            "abstract.half-the-steps",
            {OURS_EARLY: GOOD - 1.5, BASE_EARLY: BAD, BASE_LATE: GOOD},
            FAILS,
        ),
        ("base.gain-at-least-one-deviation", {OURS_EARLY: 60.2, BASE_EARLY: EVEN}, HOLDS),
        ("base.gain-at-least-one-deviation", {OURS_EARLY: 60.05, BASE_EARLY: EVEN}, FAILS),
        ("base.gain-up-to-three-deviations", {OURS_EARLY: 60.2, BASE_EARLY: EVEN}, FAILS),
        (
            "abstract.tied-to-two-stages",
            {OURS_LATE: GOOD, ("base", "inf", 1_000_000): EVEN},
            HOLDS,
        ),
        ("single-stage.ends-below", {BASE_LATE: GOOD, ("base", "inf", 1_000_000): EVEN}, HOLDS),
        ("single-stage.ends-below", {BASE_LATE: BAD, ("base", "inf", 1_000_000): EVEN}, FAILS),
        (
            "single-stage.early-gain",
            {("base", "inf", 120_000): GOOD, ("base", "0", 120_000): EVEN},
            HOLDS,
        ),
        (
            "conclusion.single-stage-decays",
            {("base", "inf", 500_000): GOOD, ("base", "inf", 1_000_000): EVEN},
            HOLDS,
        ),
        (
            "base.no-difference-among-tau",
            {
                **{("base", tau, 500_000): EVEN for tau in ("250K", "120K", "60K")},
                BASE_EARLY: BAD,
                BASE_LATE: GOOD,
            },
            HOLDS,
        ),
        (
            "base.no-difference-among-tau",
            {
                OURS_EARLY: 64.0,
                ("base", "120K", 500_000): 62.0,
                ("base", "60K", 500_000): EVEN,
                BASE_EARLY: BAD,
                BASE_LATE: GOOD,
            },
            FAILS,
        ),
        ("base.smaller-tau-drops", {OURS_EARLY: GOOD, ("base", "60K", 500_000): EVEN}, HOLDS),
        ("base.60k-on-par", {("base", "60K", 500_000): GOOD, BASE_EARLY: EVEN}, FAILS),
        ("base.exceptions-fall-short", {OURS_EARLY: BAD, BASE_LATE: EVEN}, HOLDS),
        (
            "appendix-c.task-dependent",
            {
                ("base", "120K", 500_000): {"glue": GOOD, "squad": BAD},
                OURS_EARLY: {"glue": BAD, "squad": GOOD},
            },
            HOLDS,
        ),
        (
            "large.scales",
            {
                ("large", "120K", 500_000): GOOD,
                ("large", "0", 500_000): EVEN,
                ("base", "120K", 500_000): GOOD,
                ("base", "0", 500_000): EVEN,
            },
            HOLDS,
        ),
        ("table2.runs", {BASE_EARLY: EVEN}, HOLDS),
        ("table4.runs", {("large", "0", 500_000): EVEN}, FAILS),
    ],
)
def test_scores_decide_a_statement(identity, means, expected):
    assert verdict(identity, scored(means)) is expected


def test_one_run_a_cell_is_no_evidence():
    means = {OURS_EARLY: GOOD, BASE_EARLY: EVEN, BASE_LATE: EVEN}
    for identity in ("base.250k-beats-baseline-500k", "abstract.half-the-steps"):
        assert verdict(identity, scored(means, runs=1)) is UNTESTABLE


def test_costs_decide_a_statement():
    assert verdict("efficiency.step-overhead", costs()) is HOLDS
    assert verdict("efficiency.step-overhead", costs(1.5)) is FAILS
    assert verdict("efficiency.at-least-forty", costs(1.5)) is FAILS  # 1 − 1.25 / 2 = 37.5 %
    assert verdict("efficiency.flops-at-500k", costs(1.5)) is HOLDS  # 1.25, within half a tenth
    assert verdict("efficiency.flops-at-500k", costs(1.6)) is FAILS  # 1.3
    # 0.25 · 120 / 500 = 6 %, and 3 % of twice the steps.
    assert verdict("large.extra-flops", costs(1.25, "large")) is HOLDS
    assert verdict("large.extra-flops", costs(1.375, "large")) is FAILS


def test_equal_budgets_decide_a_statement():
    # The baseline's line from (1, 59) to (2, 61) has 59.375 at 1.1875.
    base = {BASE_EARLY: BAD, BASE_LATE: GOOD}
    above = scored({**base, OURS_EARLY: 59.8, OURS_LATE: 62.0}) + costs()
    below = scored({**base, OURS_EARLY: 59.2, OURS_LATE: 60.0}) + costs()
    assert verdict("abstract.same-budget", above) is HOLDS
    assert verdict("abstract.same-budget", below) is FAILS
    # Without τ = 120K three of the six lines are missing.
    assert verdict("efficiency.most-budgets", above) is PARTLY
    assert verdict("efficiency.most-budgets", below) is FAILS


@pytest.mark.parametrize(
    ("identity", "rows", "expected"),
    [
        ("single-stage.trend-significant", curves(-1e-4), HOLDS),
        ("single-stage.trend-significant", curves(+1e-4), FAILS),
        ("single-stage.inflection", curves(+2e-4), HOLDS),
        ("single-stage.inflection", curves(+2e-4, turn=500), PARTLY),
        ("single-stage.inflection", curves(-2e-4), FAILS),
        ("single-stage.gap-closes", curves(+2e-4), HOLDS),
        ("single-stage.noisy-worse", curves(0.0, noisy=0.2), HOLDS),
        ("single-stage.noisy-worse", curves(0.0, noisy=-0.2), FAILS),
        ("single-stage.generator-improves", curves(0.0), HOLDS),
        ("appendix-b.trend-within", curves(0.0), HOLDS),
        ("appendix-b.slope", curves(-6.9e-2), FAILS),
    ],
)
def test_curves_decide_a_statement(identity, rows, expected):
    assert verdict(identity, rows) is expected


def test_the_generator_and_tau_are_read_from_the_series():
    rows = [row for row in synthetic.series() if row["paper_step"] <= 120_000]
    loss = [row for row in rows if row["metric"] == "validation/rtd_loss"]
    short = [{**row, "tau": "120K"} for row in loss]
    assert verdict("introduction.tau-120k-share", short) is HOLDS
    # A stage that ran to 200K is 1/5 of a million.
    late = {**short[-1], "step": 200, "paper_step": 200_000}
    assert verdict("introduction.tau-120k-share", [*short, late]) is FAILS


def test_a_study_flips_a_claim():
    model = ("base", "inf", 250_000)
    chosen = records.from_rows(scored({model: GOOD})).assign(variant="")
    others = [
        records.from_rows(scored({model: mean})).assign(variant=f"mlm-{ratio}")
        for ratio, mean in ((5, BAD), (10, EVEN), (20, EVEN), (25, BAD))
    ]
    study = pd.concat([chosen, *others], ignore_index=True)
    assert verdict("appendix-a.best-mlm-ratio", study) is HOLDS
    better = records.from_rows(scored({model: GOOD + 1})).assign(variant="mlm-20")
    study = pd.concat([chosen, *others[:2], better], ignore_index=True)
    assert verdict("appendix-a.best-mlm-ratio", study) is PARTLY
    assert verdict("appendix-a.best-lambda", study) is UNTESTABLE
    plain = records.from_rows(scored({model: EVEN})).assign(variant="architecture-encoder-decoder")
    study = pd.concat([chosen, plain], ignore_index=True)
    assert verdict("appendix-a.encoder-only", study) is HOLDS


def test_finetuning_is_judged_by_its_steps():
    steps = (100_000, 200_000, 262_144)
    level = records.from_rows(scored({BASE_EARLY: 50.0}, steps=steps, spread=0.0))
    turned = level.assign(value=level["value"] - (level["step"] == steps[-1]))
    assert verdict("setup.finetuning-converges", turned) is HOLDS
    assert verdict("appendix-a.finetuning-length", turned) is HOLDS
    rising = level.assign(value=level["step"] / 10_000)
    assert verdict("setup.finetuning-converges", rising) is FAILS
    short = level[level["step"] <= 200_000]
    assert verdict("setup.finetuning-converges", short) is UNTESTABLE
    assert verdict("appendix-a.finetuning-length", short) is FAILS
