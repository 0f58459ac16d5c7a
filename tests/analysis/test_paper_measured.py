"""Simulated records whose truth is known, and the verdicts that it calls for."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import synthetic_records as synthetic

from analysis import trend
from analysis.paper import CLAIMS, Evidence, Verdict
from analysis.paper.contrasts import Contrast, Family, retention
from analysis.paper.evidence import STUDY_SUITES, Cell
from analysis.schema import published, records
from analysis.schema.quantities import VOCABULARY_SIZE
from analysis.tests import Sample

HOLDS, PARTLY, OPEN = Verdict.HOLDS, Verdict.PARTLY, Verdict.NOT_DECIDED
REFUTED, UNTESTABLE = Verdict.CONTRADICTED, Verdict.NOT_TESTABLE
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
PAPER = {"source": "measured", "profile": "paper"}


def scored(means, spread=0.1, shared=1.0, runs=5, steps=(262_144,), draw=1):
    """Runs with one task a suite around a mean, or one mean per suite.

    Seeds share noise of a standard deviation ``shared``, the same in all calls; each cell has its
    own noise of ``spread``, by ``draw``.
    """
    together = shared * np.random.default_rng(0).standard_normal(runs)
    rng = np.random.default_rng(draw)
    rows = []
    for (size, tau, checkpoint), mean in means.items():
        for suite, (task, metric) in TASKS.items():
            own = rng.standard_normal(runs)
            own = spread * (own - own.mean()) / own.std(ddof=1) if runs > 1 else 0.0 * own
            centre = mean.get(suite) if isinstance(mean, dict) else mean
            for seed in range(runs if centre is not None else 0):
                for step in steps:
                    at = {"size": size, "tau": tau, "checkpoint": checkpoint, "seed": seed}
                    at |= {"suite": suite, "task": task, "metric": metric, "step": step}
                    value = centre + together[seed] + own[seed]
                    rows.append(synthetic.score(value, **at, **PAPER))
    return rows


def costs(hybrid=1.375, size="base"):
    return [row | PAPER for row in synthetic.costs(size, hybrid - 1.0)]


def curves(late_slope=0.0, noisy=0.2, turn=200, within=-1e-5, seeds=1):
    """Baseline minus ∞ is 0.05 at 0, 0.02 at ``turn`` thousand, then changes by ``late_slope``.

    ``late_slope``, ``turn``, and ``within``, the slope of X_c − X̂_c, may be one for each seed.
    """
    rows = []
    rng = np.random.default_rng(1)
    slopes, turns, drifts = (np.broadcast_to(x, seeds) for x in (late_slope, turn, within))
    for seed in range(seeds):
        for k in range(20, 1001, 20):
            at = turns[seed]
            gap = 0.05 - 0.03 * k / at if k <= at else 0.02 + slopes[seed] * (k - at)
            gap, extra = (gap, noisy - k * drifts[seed]) + 0.0005 * rng.standard_normal(2)
            plain = 2.0 + 0.001 * math.sin(k)
            values = {
                ("0", "sc_loss_clean"): plain,
                ("inf", "sc_loss_clean"): plain - gap,
                ("inf", "sc_loss_noisy"): plain - gap + extra,
                ("inf", "mlm_accuracy"): 0.1 + k / 4000 + extra - noisy,
            }
            at = {**PAPER, "size": "base", "seed": seed, "step": k * 1000, "paper_step": k * 1000}
            rows += [
                {**at, "tau": tau, "metric": f"validation/{name}", "value": value}
                for (tau, name), value in values.items()
            ]
    return rows


def evidence_of(rows):
    return Evidence.of(rows if isinstance(rows, pd.DataFrame) else records.from_rows(rows))


def judged(identity, rows):
    return BY_ID[identity].judged(evidence_of(rows))


def verdict(identity, rows):
    return judged(identity, rows).verdict


def verdicts(identities, rows):
    evidence = evidence_of(rows)
    return [BY_ID[identity].judged(evidence).verdict for identity in identities]


GOOD, BAD, EVEN = 61.0, 59.0, 60.0
BASE_EARLY, BASE_LATE = ("base", "0", 500_000), ("base", "0", 1_000_000)
OURS_EARLY, OURS_LATE = ("base", "250K", 500_000), ("base", "250K", 1_000_000)
SINGLE_EARLY, SINGLE_LATE = ("base", "inf", 500_000), ("base", "inf", 1_000_000)
SHORT = ("base", "60K", 500_000)
MARGIN_1 = {BASE_EARLY: BAD, BASE_LATE: GOOD}  # (61 − 59) / 2


BEATS, GAIN, ON_PAR, AMONG_TAU = (
    *("base.250k-beats-baseline-500k", "base.gain-at-least-one-deviation"),
    *("base.60k-on-par", "base.no-difference-among-tau"),
)
HALF, MAJORITY = "abstract.half-the-steps", "efficiency.majority-matches"
ENDS_BELOW = "single-stage.ends-below"
MIDDLE = ("base", "120K", 500_000)


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        (
            # The last has no margin to be within.
            {OURS_EARLY: GOOD, BASE_EARLY: EVEN, SHORT: EVEN},
            {BEATS: HOLDS, "base.smaller-tau-drops": HOLDS, ON_PAR: OPEN},
        ),
        (
            {OURS_EARLY: BAD, BASE_EARLY: EVEN, SHORT: GOOD},
            {BEATS: REFUTED, "base.gain-up-to-three-deviations": REFUTED, ON_PAR: REFUTED},
        ),
        ({OURS_EARLY: EVEN, BASE_EARLY: EVEN}, {BEATS: OPEN, GAIN: OPEN, "table2.runs": HOLDS}),
        ({OURS_EARLY: {"glue": GOOD}, BASE_EARLY: EVEN}, {BEATS: PARTLY}),
        # Equal within half of what twice the steps gain, everywhere: no clear gain.
        ({OURS_EARLY: BAD, **MARGIN_1}, {BEATS: REFUTED}),
        # 0.5 behind is within a margin of 1, 1.5 is not, 1 is on it.
        ({OURS_EARLY: GOOD - 0.5, **MARGIN_1}, {HALF: HOLDS, MAJORITY: HOLDS}),
        ({OURS_EARLY: GOOD - 1.5, **MARGIN_1}, {HALF: REFUTED, MAJORITY: REFUTED}),
        ({OURS_EARLY: GOOD - 1.0, **MARGIN_1}, {HALF: OPEN}),
        ({OURS_EARLY: EVEN + 1.5, BASE_EARLY: EVEN}, {GAIN: HOLDS}),
        (
            {OURS_LATE: GOOD, BASE_LATE: EVEN, SINGLE_EARLY: GOOD, SINGLE_LATE: BAD},
            {
                "base.250k-beats-baseline-1m": HOLDS,
                "abstract.tied-to-two-stages": HOLDS,
                ENDS_BELOW: HOLDS,
                "conclusion.single-stage-decays": HOLDS,
            },
        ),
        (
            {OURS_EARLY: 58.0, BASE_LATE: BAD, SINGLE_LATE: EVEN},
            {ENDS_BELOW: REFUTED, "base.exceptions-fall-short": HOLDS},
        ),
        ({OURS_EARLY: EVEN, MIDDLE: EVEN, SHORT: EVEN, **MARGIN_1}, {AMONG_TAU: HOLDS}),
        ({OURS_EARLY: 64.0, MIDDLE: 62.0, SHORT: EVEN, **MARGIN_1}, {AMONG_TAU: REFUTED}),
        ({SHORT: {**dict.fromkeys(TASKS, GOOD), "bbh": BAD}, **MARGIN_1}, {ON_PAR: HOLDS}),
        (
            {MIDDLE: {"glue": GOOD, "squad": BAD}, OURS_EARLY: {"glue": BAD, "squad": GOOD}},
            {"appendix-c.task-dependent": HOLDS},
        ),
        (
            {
                **{(size, "120K", 500_000): GOOD for size in ("base", "large")},
                **{(size, "0", 500_000): EVEN for size in ("base", "large")},
            },
            {"large.scales": HOLDS, "table4.runs": UNTESTABLE},
        ),
        (
            {("large", "120K", 500_000): EVEN, ("large", "0", 1_000_000): EVEN},
            {"large.rest-within-one-deviation": HOLDS},
        ),
    ],
)
def test_scores_decide_statements(means, expected):
    assert dict(zip(expected, verdicts(expected, scored(means)), strict=True)) == expected


def test_noise_alone_decides_nothing_and_one_run_is_no_evidence():
    means = {OURS_EARLY: GOOD, OURS_LATE: GOOD, BASE_EARLY: EVEN, BASE_LATE: GOOD}
    assert verdicts((BEATS, HALF), scored(means, spread=20.0)) == [OPEN] * 2
    assert verdicts((BEATS, HALF), scored(means, runs=1)) == [UNTESTABLE] * 2


def test_measured_runs_are_paired_by_seed():
    """A gain of 1 under noise of 3 that all runs of a seed share: Welch would not see it."""
    rows = scored({OURS_EARLY: GOOD, BASE_EARLY: EVEN}, shared=3.0)
    found = judged("base.250k-beats-baseline-500k", rows)
    assert found.verdict is HOLDS and "(paired by seed, 5 seeds)" in found.sentence
    # Runs of fine-tuning are no seeds: two of each seed leave the test as it is.
    twice = [{**row, "finetune_seed": seed} for row in rows for seed in (0, 1)]
    assert judged("base.250k-beats-baseline-500k", twice).sentence == found.sentence
    # Without a seed in common there is nothing to pair.
    apart = [row | {"seed": row["seed"] + 5 * (row["tau"] == "0")} for row in rows]
    assert verdict("base.250k-beats-baseline-500k", apart) is UNTESTABLE


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(
    ("kind", "truth", "shown", "refuted"),
    [
        # Scores of the model at 500K, and of the baseline at 500K and 1M.
        ("superiority", (60, 60, 60), False, False),
        ("superiority", (63, 60, 60), True, False),
        ("superiority", (57, 60, 60), False, True),
        ("non-inferiority", (62, 60, 64), False, False),  # behind by the margin, 2
        ("non-inferiority", (60, 60, 60), False, False),  # twice the steps gain nothing
        ("non-inferiority", (66, 60, 66), True, False),
        ("non-inferiority", (57, 60, 66), False, True),
        ("equivalence", (62, 60, 64), False, False),
        ("equivalence", (60, 60, 60), False, False),
        ("equivalence", (70, 60, 70), True, False),
        ("equivalence", (57, 60, 70), False, True),
    ],
)
def test_level_and_power_of_a_family(kind, truth, shown, refuted, paired):
    """Three suites, and five runs of every cell, with noise of 1.

    Paired runs have noise of 1 in common by seed, too; others are known by mean and spread alone.
    """
    rng = np.random.default_rng(2)
    draws = 200 if shown is refuted else 40
    found = []
    for _ in range(draws):
        together = rng.standard_normal(5) if paired else 0.0
        contrasts = []
        for suite in ("glue", "squad", "bbh"):
            models = (("250K", 500_000), ("0", 500_000), ("0", 1_000_000))
            ours, half, full = (Cell("base", *model, suite) for model in models)
            values = np.array(truth)[:, None] + together + rng.standard_normal((3, 5))
            runs = dict(zip((ours, half, full), values.tolist(), strict=True))
            samples = {cell: Sample.of(scores) for cell, scores in runs.items()}
            by_seed = {cell: dict(enumerate(scores)) for cell, scores in runs.items()}
            margin = {} if kind == "superiority" else retention("base", suite)
            weights = {ours: 1.0, half if kind == "superiority" else full: -1.0}
            known = ({}, by_seed) if paired else (samples, {})
            contrasts.append(Contrast(suite, weights, *known, margin))
        test = "within" if kind == "equivalence" else "higher"
        outcomes = Family(tuple(contrasts)).outcomes(test)
        found.append([any(one.shown for one in outcomes), any(one.refuted for one in outcomes)])
    for rate, expected in zip(np.mean(found, axis=0), (shown, refuted), strict=True):
        # 0.05 for the family, and three binomial deviations of the draws.
        assert rate > 0.8 if expected else rate <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / draws)


def test_costs_decide_a_statement():
    step, forty, half = (
        f"efficiency.{name}" for name in ("step-overhead", "at-least-forty", "flops-at-500k")
    )
    assert verdict(step, costs()) is HOLDS
    # 1 − 1.25 / 2 = 37.5 %; 1.25 is within half a tenth, and 1.3 is not.
    assert verdicts((step, forty, half), costs(1.5)) == [REFUTED, REFUTED, HOLDS]
    assert verdict(half, costs(1.6)) is REFUTED
    # 0.25 · 120 / 500 = 6 %, and 3 % of twice the steps.
    assert verdict("large.extra-flops", costs(1.25, "large")) is HOLDS
    assert verdict("large.extra-flops", costs(1.375, "large")) is REFUTED
    # 1 − 1.06 / 2 = 47 %: more than the stated 35 is as good. 1 − 1.36 / 2 = 32 % is not.
    more = judged("large.saving", costs(1.25, "large"))
    assert more.verdict is HOLDS and "a larger saving supports" in more.sentence
    assert verdict("large.saving", costs(2.5, "large")) is REFUTED


def test_sizes_are_not_judged_at_a_scaled_profile():
    for profile, step, expected in (
        ("micro", None, Verdict.NOT_AT_SCALE),
        ("mine", 2_000, Verdict.NOT_AT_SCALE),
        ("mine", 1_000_000, REFUTED),
    ):
        rows = [row | {"profile": profile} for row in costs(1.5)]
        if step:
            loss = {"tau": "0", "seed": 0, "metric": "validation/sc_loss_clean", "value": 2.0}
            at = {"size": "base", "step": step, "paper_step": 1_000_000}
            rows.append({**PAPER, "profile": profile, **at, **loss})
        assert verdict("efficiency.step-overhead", rows) is expected
        assert verdict("efficiency.at-least-forty", rows) is REFUTED  # a share of the steps
    tasks = [row | {"profile": "micro"} for row in scored({BASE_EARLY: EVEN})]
    assert verdict("table1.glue-datasets", tasks) is Verdict.NOT_AT_SCALE
    alike = {"learning_rate": 0.01, "dropout_rate": 0.0, "batch_size": 16}
    settings = [
        {**PAPER, "profile": "micro", "metric": f"finetuning/{kind}/{name}", "value": value}
        for kind in ("flan", "default")
        for name, value in alike.items()
    ]
    assert verdict("appendix-a.flan-halves", settings + tasks) is Verdict.NOT_AT_SCALE


def test_equal_budgets_decide_a_statement():
    # The baseline's line from (1, 59) to (2, 61) has 59.375 at 1.1875.
    above = scored({**MARGIN_1, OURS_EARLY: 59.8, OURS_LATE: 62.0}) + costs()
    below = scored({**MARGIN_1, OURS_EARLY: 59.0, OURS_LATE: 60.0}) + costs()
    # Without τ = 120K three of the six lines are missing. 1.1875 / 0.8 = 1.484, where the line has
    # 59.97.
    budgets = ("abstract.same-budget", "efficiency.most-budgets", "appendix-c.others-gain")
    assert verdicts(budgets, above) == [HOLDS, PARTLY, REFUTED]
    assert verdicts(budgets[:2], below) == [REFUTED, REFUTED]
    gained = scored({**MARGIN_1, OURS_EARLY: 60.5}) + costs()
    assert verdict("appendix-c.others-gain", gained) is HOLDS
    # 20 % are saved at 59.97 by τ = 250K, at 1.09 / 0.8 = 1.3625, so 59.725, by 120K.
    fifth = {**MARGIN_1, OURS_EARLY: 59.97, MIDDLE: 59.725}
    assert verdict("appendix-c.mmlu-saving", scored(fifth, spread=0.02) + costs()) is HOLDS
    assert verdict("appendix-c.mmlu-saving", scored(fifth, spread=2.0) + costs()) is OPEN
    half = fifth | {OURS_EARLY: GOOD, MIDDLE: GOOD}
    assert verdict("appendix-c.mmlu-saving", scored(half) + costs()) is REFUTED


DOWN = (-1e-4, -0.9e-4, -1.1e-4, -1.2e-4, -0.8e-4)
UP = tuple(-slope for slope in DOWN)
ONE_OF_FIVE = (0.0, 1e-6, -1e-6, -4e-4, 5e-7)


TREND, WITHIN, SLOPE, BEND, NOISY = (
    *("single-stage.trend-significant", "appendix-b.trend-within"),
    *("appendix-b.slope", "single-stage.inflection", "single-stage.noisy-worse"),
)


@pytest.mark.parametrize(
    ("changes", "seeds", "expected"),
    [
        (
            {"late_slope": -1e-4},
            3,
            {TREND: HOLDS, NOISY: HOLDS, "single-stage.generator-improves": HOLDS},
        ),
        ({"late_slope": +1e-4}, 3, {TREND: REFUTED}),
        ({"noisy": -0.2}, 3, {NOISY: REFUTED}),
        ({"late_slope": DOWN, "within": DOWN}, 5, {TREND: HOLDS, WITHIN: HOLDS}),
        ({"late_slope": ONE_OF_FIVE, "turn": 100}, 5, {TREND: OPEN}),
        ({"within": UP}, 5, {WITHIN: REFUTED}),
        ({"within": ONE_OF_FIVE}, 5, {WITHIN: OPEN}),
        ({"late_slope": [0.69 * x for x in DOWN], "turn": 100}, 5, {SLOPE: HOLDS}),
        ({"late_slope": UP, "turn": 100}, 5, {SLOPE: REFUTED}),
        ({"late_slope": +2e-4}, 3, {BEND: HOLDS, "single-stage.gap-closes": HOLDS}),
        ({"late_slope": +2e-4, "turn": 500}, 3, {BEND: PARTLY}),
        ({"late_slope": -2e-4}, 3, {BEND: REFUTED}),
        ({"late_slope": UP}, 5, {BEND: HOLDS}),
        ({"late_slope": [3e-4, -2e-4, 0.0, 1e-4, -3e-4]}, 5, {BEND: OPEN}),
    ],
)
def test_curves_decide_statements(changes, seeds, expected):
    rows = curves(**changes, seeds=seeds)
    assert dict(zip(expected, verdicts(expected, rows), strict=True)) == expected


def test_the_bend_of_the_statement_is_the_one_that_the_trend_estimates():
    rows = curves([3e-4, -2e-4, 0.0, 1e-4, -3e-4], seeds=5)
    place = trend.run(records.from_rows(rows)).readings[0].inflection.place
    assert f"bends at {place}; " in judged("single-stage.inflection", rows).sentence


def test_curves_of_one_seed_decide_nothing():
    identities = (
        *("appendix-b.slope", "appendix-b.trend-within", "single-stage.gap-closes"),
        *("single-stage.generator-improves", "single-stage.inflection"),
        *("single-stage.noisy-worse", "single-stage.trend-significant"),
    )
    assert verdicts(identities, curves(-1e-4)) == [UNTESTABLE] * 7


def test_checkpoint_0_is_no_evidence():
    """From scratch τ = ∞ and the baseline are one model: differences are exactly 0."""
    scratch = {("base", tau, 0): 40.0 for tau in ("0", "inf")}
    equal = [row | {"seed": seed} for seed in range(5) for row in scored(scratch, runs=1)]
    gain = scored({("base", "inf", 120_000): GOOD, ("base", "0", 120_000): EVEN})
    found = judged("single-stage.early-gain", equal + gain)
    assert found.verdict is HOLDS and "at 0M" not in found.sentence
    assert verdict("single-stage.early-gain", equal) is UNTESTABLE


def test_scores_and_losses_turn_at_one_step():
    identity = "single-stage.turns-coincide"
    gain = scored({("base", "inf", 120_000): GOOD, ("base", "0", 120_000): EVEN})
    turned = scored({("base", "inf", 250_000): BAD, ("base", "0", 250_000): EVEN})
    # The scores turn at 250K in every seed, more or less.
    near, far, wide = (
        curves(+2e-4, turn=turns, seeds=5)
        for turns in (
            (240, 260, 240, 260, 240),
            (580, 620, 600, 620, 580),
            (100, 600, 260, 200, 240),
        )
    )
    for loss, expected in ((near, HOLDS), (far, REFUTED), (wide, OPEN)):
        assert verdict(identity, loss + gain + turned) is expected
    # Turns in two of five seeds, which are chosen by what is tested.
    ahead = scored({("base", "inf", 250_000): GOOD, ("base", "0", 250_000): EVEN})
    some = [row for row in turned if row["seed"] < 2] + [row for row in ahead if row["seed"] >= 2]
    found = judged(identity, far + gain + some)
    assert found.verdict is OPEN and "2 of 5 seeds" in found.sentence
    # Never ahead, so never turned.
    assert verdict(identity, near + turned) is UNTESTABLE


def test_a_margin_has_an_error():
    """Equal means, and a margin of 1: shown where its own spread is small, not where it is 3."""
    for spread, expected in ((0.1, HOLDS), (3.0, OPEN)):
        full = [("base", tau, 1_000_000) for tau in ("0", "120K", "250K")]
        half = [("base", tau, 500_000) for tau in ("0", "120K", "250K")]
        rows = scored({**dict.fromkeys(full, GOOD), **dict.fromkeys(half[1:], EVEN)})
        assert (
            verdict("appendix-c.mmlu-converges", rows + scored({half[0]: BAD}, spread)) is expected
        )


def test_the_generator_and_tau_are_read_from_the_series():
    rows = [row for row in synthetic.series() if row["paper_step"] <= 120_000]
    loss = [row for row in rows if row["metric"] == "validation/rtd_loss"]
    short = [{**row, "tau": "120K"} for row in loss]
    assert verdict("introduction.tau-120k-share", short) is HOLDS
    # A stage that ran to 200K is 1/5 of a million.
    late = {**short[-1], "step": 200, "paper_step": 200_000}
    assert verdict("introduction.tau-120k-share", [*short, late]) is REFUTED


def test_a_study_flips_a_claim():
    def study(**means):
        model = ("base", "inf", 250_000)
        return [
            row | {"variant": name.replace("_", "-")}
            for draw, (name, mean) in enumerate({"": GOOD, **means}.items())
            for row in scored({model: dict.fromkeys(STUDY_SUITES, mean)}, draw=draw)
        ]

    lower = {"mlm_5": BAD, "mlm_10": EVEN, "mlm_20": EVEN, "mlm_25": BAD}
    ratio_and_weight = ("appendix-a.best-mlm-ratio", "appendix-a.best-lambda")
    assert verdicts(ratio_and_weight, study(**lower)) == [HOLDS, UNTESTABLE]
    assert verdict("appendix-a.best-mlm-ratio", study(mlm_5=BAD, mlm_20=GOOD + 1)) is PARTLY
    assert verdict("appendix-a.best-mlm-ratio", study(mlm_20=GOOD + 1)) is REFUTED
    assert verdict("appendix-a.best-mlm-ratio", study(mlm_20=GOOD)) is OPEN
    both = study(**{"architecture_encoder-decoder": EVEN})
    assert verdict("appendix-a.encoder-only", both) is HOLDS


def test_finetuning_is_judged_by_its_steps():
    steps = (100_000, 200_000, 262_144)
    level = records.from_rows(scored({BASE_EARLY: 50.0}, steps=steps, spread=0.0))
    turned = level.assign(value=level["value"] - (level["step"] == steps[-1]))
    identities = ("setup.finetuning-converges", "appendix-a.finetuning-length")
    assert verdicts(identities, turned) == [HOLDS, HOLDS]
    rising = level.assign(value=level["step"] / 10_000)
    assert verdict("setup.finetuning-converges", rising) is REFUTED
    short = level[level["step"] <= 200_000]
    assert verdicts(identities, short) == [UNTESTABLE, REFUTED]


@pytest.mark.parametrize(("recorded", "rows"), [({"base": 2_048.0}, 2_048), ({}, 32_128)])
def test_shapes_have_the_recorded_vocabulary_and_t5_s_without_one(recorded, rows):
    settings = published.load(5).assign(source="measured")
    own = [
        {**PAPER, "metric": VOCABULARY_SIZE, "size": size, "value": value}
        for size, value in recorded.items()
    ]
    evidence = Evidence.of(records.combine(settings, records.from_rows(own)))
    assert evidence.config("base").model.vocab_size == rows
    assert evidence.config("large").model.vocab_size == 32_128
