"""Statements of Section 3.2.1 and Appendix B on the scores and validation losses of τ = ∞.

The paper prints no scores and no losses of τ = ∞ (Figures 3 and 4 are drawings), so most of these
statements can be judged on measured records only.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from analysis import regression, trend
from analysis.paper.comparisons import non_inferiority, superiority
from analysis.paper.contrasts import family
from analysis.paper.evidence import FULL, VOCABULARY_ROWS, Cell, Evidence, Missing, stated
from analysis.paper.statement import (
    Finding,
    Verdict,
    arithmetic,
    contradiction,
    decided,
    graded,
    judges,
)
from analysis.schema.facts import SUITES, step_label
from analysis.tests import ALPHA, SeedDifferences, format_p, paired

MASKED_ACCURACY = trend.Curve("inf", "validation/mlm_accuracy", "the generator's accuracy")
VANISH = int(stated("prose/gains_vanish_step", "base", "inf"))
TURN = int(stated("prose/inflection_step", "base", "inf"))
AROUND_STEPS = 50_000
"""Tolerance of steps that the paper rounds to multiples of 50K."""
LEAST_OF_LINE = 3


def _scores_turn(evidence: Evidence, seed: int) -> float | None:
    """Returns the first checkpoint at which a seed's SPACTOR(∞) has lost its lead.

    It leads where it scores above the baseline on most suites. None if it never leads, or never
    loses its lead.
    """
    ahead = False
    for at in evidence.checkpoints("base", "inf"):
        leads = [
            evidence.by_seed[ours][seed] - evidence.by_seed[plain][seed]
            for suite in SUITES
            for ours, plain in [(Cell("base", "inf", at, suite), Cell("base", "0", at, suite))]
            if seed in evidence.by_seed.get(ours, {}) and seed in evidence.by_seed.get(plain, {})
        ]
        most = 2 * sum(lead > 0.0 for lead in leads) > len(leads)
        if ahead and not most:
            return float(at)
        ahead = ahead or most
    return None


def _bend(gaps: pd.DataFrame) -> regression.Inflection:
    """Estimates the bend as ``repro evidence trend`` does.

    Args:
      gaps: differences of losses by paper step, with a column for each seed.

    Raises:
      Missing: there are too few validations to estimate a bend.
    """
    found = trend.bend(gaps)
    if found is None:
        raise Missing(
            f"both curves have {len(gaps)} validations; a bend needs "
            f"{regression.FEWEST_POINTS_OF_BEND} from {step_label(trend.FIRST_PAPER_STEP_OF_BEND)} "
            "on, not all on one line"
        )
    return found


def drift(series: pd.DataFrame, unit: str = "nats ") -> tuple[SeedDifferences, str]:
    """Fits a line to each seed's series, and tests the slopes over seeds.

    Args:
      series: values by paper step, with a column for each seed.
      unit: unit of the values and a space, for the sentence.

    Returns:
      Each seed's least-squares slope, per 1,000 paper-scale steps, and a sentence with their mean
      and test. There is no test for a single seed.

    Raises:
      Missing: the series has fewer than ``LEAST_OF_LINE`` points.
    """
    if len(series) < LEAST_OF_LINE:
        raise Missing(f"{len(series)} validations; a line needs {LEAST_OF_LINE}")
    at = series.index.to_numpy(dtype=float)
    mean = trend.fit(at, series.mean(axis="columns").to_numpy())
    slopes = tuple(trend.fit(at, series[seed].to_numpy()).slope for seed in series)
    found = SeedDifferences(slopes)
    head = f"slope {mean.slope:+.2e} {unit}per 1,000 steps"
    if len(slopes) < 2:
        return found, f"{head}; one seed, so no test"
    each = f"{min(slopes):+.1e} to {max(slopes):+.1e}"
    return found, (
        f"{head}, p {format_p(found.p_value)} over {len(slopes)} seeds ({each}); least squares on "
        f"the seeds' mean, with points taken as independent: p {format_p(mean.p_value)}"
    )


def _moves(series: pd.DataFrame, sign: float, what: str, unit: str = "nats ") -> Finding:
    """Judges whether a series has a drift of a sign, and adds its means at both ends."""
    (slopes, text), means = drift(series, unit), series.mean(axis="columns")
    ends = f"goes from {means.iloc[0]:.3f} to {means.iloc[-1]:.3f}"
    return Finding(decided(sign * slopes.mean, slopes.p_value), f"{what} {ends}; {text}")


def _gaps(evidence: Evidence, first: trend.Curve, second: trend.Curve) -> pd.DataFrame:
    gaps = trend.differences(evidence.records, first, second)
    if gaps.empty:
        raise Missing(
            f"no validation losses of {first.label} and {second.label}: Figure 4 has no numbers"
        )
    return gaps


def _across(evidence: Evidence) -> pd.DataFrame:
    return _gaps(evidence, trend.BASELINE_CLEAN, trend.HYBRID_CLEAN)


def _late(series: pd.DataFrame) -> pd.DataFrame:
    return series[series.index >= trend.FIRST_PAPER_STEP]


def _falls(gaps: pd.DataFrame) -> Finding:
    slopes, text = drift(_late(gaps))
    p_value = stated("trend/p_value", "base", "inf")
    verdict = decided(-slopes.mean, slopes.p_value)
    return Finding(verdict, f"{text}; stated: negative, p = {p_value:g}")


@judges("single-stage.early-gain")
def early_gain(evidence: Evidence) -> Finding:
    early = [at for at in evidence.checkpoints("base", "inf") if at <= VANISH]
    if not early:
        raise Missing(
            f"no score of τ = ∞ at or before {step_label(VANISH)}: Figure 3 has no numbers"
        )
    pairs = [(("inf", at), ("0", at)) for at in early]
    what = "SPACTOR(∞) minus the baseline up to 250K"
    return superiority(what, family(evidence, "base", SUITES, pairs))


@judges("single-stage.gain-vanishes")
def gain_vanishes(evidence: Evidence) -> Finding:
    late = [at for at in evidence.checkpoints("base", "inf") if VANISH < at < FULL]
    if not late:
        raise Missing(f"no score of τ = ∞ between {step_label(VANISH)} and {step_label(FULL)}")
    pairs = [(("0", at), ("inf", at)) for at in late]
    members = family(evidence, "base", SUITES, pairs, with_margin=True)
    return non_inferiority(
        f"the baseline minus SPACTOR(∞) at {', '.join(map(step_label, late))}", members
    )


@judges("single-stage.noisy-worse")
def noisy_worse(evidence: Evidence) -> Finding:
    late = _late(_gaps(evidence, trend.HYBRID_NOISY, trend.HYBRID_CLEAN))
    if late.empty:
        raise Missing("no validation losses of τ = ∞ from 120K on")
    positive = int((late > 0.0).to_numpy().sum())
    found = SeedDifferences(tuple(late.mean()))
    text = (
        f"the loss on X̂_c is {found.mean:.3f} nats above that on X_c, from 120K on; higher at "
        f"{positive} of {late.size} validations"
    )
    verdict = decided(found.mean, found.p_value)
    if verdict is Verdict.NOT_TESTABLE:
        return Finding(verdict, f"{text}; one seed, so no test")
    if verdict is Verdict.HOLDS:
        verdict = graded(positive, late.size)
    return Finding(verdict, f"{text}; p {format_p(found.p_value)} over {len(found.by_seed)} seeds")


@judges("single-stage.gap-closes")
def gap_closes(evidence: Evidence) -> Finding:
    gaps = _across(evidence)
    early = gaps[gaps.index <= TURN].abs()
    return _moves(early, -1.0, f"up to {step_label(TURN)} the gap's size")


@judges("single-stage.inflection")
def inflection(evidence: Evidence) -> Finding:
    gaps = _across(evidence)
    bend = _bend(gaps)
    at = 1000.0 * bend.at
    (before, text_before), (after, text_after) = (
        drift(part) for part in (gaps[gaps.index <= at], gaps[gaps.index >= at])
    )
    if len(before.by_seed) < 2:
        verdict = Verdict.NOT_TESTABLE
    elif max(bend.p_value, before.p_value, after.p_value) >= ALPHA:
        verdict = Verdict.NOT_DECIDED
    elif before.mean * after.mean > 0.0:
        verdict = Verdict.CONTRADICTED
    else:
        verdict = Verdict.HOLDS if abs(at - TURN) <= AROUND_STEPS else Verdict.PARTLY
    return Finding(
        verdict,
        f"the difference bends at {bend.place}; no bend: p {format_p(bend.p_value)}; before it "
        f"{text_before}; after it {text_after}; stated: a reversal around {step_label(TURN)}",
    )


@judges("single-stage.trend-significant")
def significant_across(evidence: Evidence) -> Finding:
    if evidence.source == "published":
        claimed = evidence.number("trend/p_value", "base")
        return Finding(
            arithmetic(evidence, claimed < ALPHA),
            f"stated p = {claimed:g} is below {ALPHA:g}; Figure 4 has no numbers to recompute it",
        )
    return _falls(_across(evidence))


@judges("single-stage.generator-improves")
def generator_improves(evidence: Evidence) -> Finding:
    accuracy = trend.curve(evidence.records, MASKED_ACCURACY)
    if len(accuracy) < LEAST_OF_LINE:
        raise Missing("no series of the generator's accuracy in τ = ∞")
    return _moves(accuracy, 1.0, "accuracy on [M]", unit="")


@judges("single-stage.turns-coincide")
def turns_coincide(evidence: Evidence) -> Finding:
    if evidence.source == "published":
        scores_turn = evidence.number("prose/gains_vanish_step", "base")
        loss_turns = evidence.number("prose/inflection_step", "base")
        apart = abs(scores_turn - loss_turns)
        return Finding(
            arithmetic(evidence, apart <= AROUND_STEPS),
            f"scores turn around {scores_turn / 1000:.0f}K, the loss around "
            f"{loss_turns / 1000:.0f}K, {apart / 1000:.0f}K apart",
        )
    gaps = _across(evidence)
    after = []
    for seed in gaps:
        scores_turn_at = _scores_turn(evidence, int(str(seed)))
        if scores_turn_at is not None:
            after.append(scores_turn_at - 1000.0 * _bend(gaps[[seed]]).at)
    if len(after) < 2:
        raise Missing(
            f"{len(after)} of {gaps.shape[1]} seeds have a checkpoint at which SPACTOR(∞) is no "
            "longer above the baseline on most suites; a test over seeds needs 2"
        )
    distances = np.array(after)
    sides = [paired(sign * distances, AROUND_STEPS, "greater") for sign in (1.0, -1.0)]
    beyond = [paired(sign * distances, -AROUND_STEPS, "greater") for sign in (1.0, -1.0)]
    verdict = Verdict.HOLDS if max(sides) < ALPHA else Verdict.NOT_DECIDED
    if 2.0 * min(beyond) < ALPHA:
        verdict = Verdict.CONTRADICTED
    if len(after) < gaps.shape[1]:  # The outcome decides which seeds have a turn: a biased sample.
        verdict = Verdict.NOT_DECIDED
    distances_text = ", ".join(f"{one / 1000:+.0f}K" for one in after)
    return Finding(
        verdict,
        f"in {len(after)} of {gaps.shape[1]} seeds the scores turn, {distances_text} after the "
        f"loss; within {step_label(AROUND_STEPS)}: p {format_p(max(sides))}, beyond: p "
        f"{format_p(min(1.0, 2.0 * min(beyond)))}",
    )


@judges("appendix-b.trend-within")
def significant_within(evidence: Evidence) -> Finding:
    if evidence.source == "published":
        slope = evidence.number("trend/slope", "base")
        return Finding(
            contradiction(evidence),
            f"one slope ({slope:.2e}) is given for two quantities: Figure 4b and Section 3.2.1 "
            "subtract SPACTOR(∞) from the baseline, Appendix B compares X_c and X̂_c within "
            "SPACTOR(∞)",
            "a falling line fits baseline − SPACTOR(∞) with SPACTOR getting worse; "
            "`repro evidence trend` computes both",
        )
    return _falls(_gaps(evidence, trend.HYBRID_CLEAN, trend.HYBRID_NOISY))


@judges("appendix-b.slope")
def slope_size(evidence: Evidence) -> Finding:
    slope = stated("trend/slope", "base", "inf")
    if evidence.source == "published":
        evidence.number("trend/slope", "base")
        change = slope * (FULL - trend.FIRST_PAPER_STEP)
        return Finding(
            contradiction(evidence),
            f"with x in steps, {slope:.2e} · {FULL - trend.FIRST_PAPER_STEP:,} = {change:.1f} nats "
            f"from 120K to 1M, which is impossible; per 1,000 steps it is {change / 1000:.3f}",
            f"uniform guessing over {VOCABULARY_ROWS:,} tokens costs ln {VOCABULARY_ROWS} = "
            f"{math.log(VOCABULARY_ROWS):.1f} nats",
        )
    found, text = drift(_late(_across(evidence)))
    if len(found.by_seed) < 2:
        raise Missing(
            f"a test needs two seeds; the slope of one is {found.mean:+.2e} per 1,000 steps"
        )
    other = paired(found.by_seed, -slope)
    verdict = Verdict.HOLDS if found.p_value < ALPHA else Verdict.NOT_DECIDED
    return Finding(
        Verdict.CONTRADICTED if other < ALPHA else verdict,
        f"{text}; difference from the stated {slope:+.2e} per 1,000 steps: p {format_p(other)}",
    )


@judges("appendix-b.fit-start")
def fit_start(evidence: Evidence) -> Finding:
    first = int(evidence.number("trend/first_step", "base"))
    turn = int(evidence.number("prose/inflection_step", "base"))
    return Finding(
        arithmetic(evidence, first >= turn),
        f"the gap closes until about {step_label(turn)}: {(turn - first) // 1000}K steps of the "
        "fitted range go the other way",
        "they flatten the slope",
    )
