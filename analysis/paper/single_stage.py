"""Statements of Section 3.2.1 and Appendix B: τ = ∞, its scores and its validation losses.

The paper prints no scores and no losses of τ = ∞ (Figures 3 and 4 are drawings), so most of this
can be judged on measured records only.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from analysis import trend
from analysis.paper.comparisons import non_inferiority, superiority
from analysis.paper.contrasts import family
from analysis.paper.evidence import (
    FULL,
    VOCABULARY_ROWS,
    Evidence,
    Missing,
    stated,
    steps,
)
from analysis.paper.statement import (
    Cells,
    Finding,
    Verdict,
    arithmetic,
    contradiction,
    graded,
    judges,
)
from analysis.schema.facts import SUITES
from analysis.tests import ALPHA, Sample, welch
from analysis.trend import format_p

SERIES = Cells(("validation/",), ("base",), ("0", "inf"))
SCORES = Cells(("average",), ("base",), ("0", "inf"))
STATED = Cells(("trend/",))
VANISH = int(stated("prose/gains_vanish_step", "base", "inf"))
TURN = int(stated("prose/inflection_step", "base", "inf"))
AROUND_STEPS = 50_000
"""The paper gives these steps in fifties of thousands."""
LEAST_POINTS = 6


def turning_point(at: np.ndarray, values: np.ndarray) -> tuple[float, float, float]:
    """Least squares of two straight lines that meet at one of the inner points.

    Args:
      at: [n] increasing steps.
      values: [n].

    Returns:
      The step of the bend, and the slopes per 1,000 steps before and after it.

    >>> steps_ = np.arange(0.0, 500_001.0, 100_000.0)
    >>> bend, before, after = turning_point(steps_, np.abs(steps_ - 200_000.0))
    >>> bend, round(before), round(after)
    (200000.0, -1000, 1000)
    """
    thousands = at / 1000.0
    best: tuple[float, float, float, float] | None = None
    for bend in thousands[2:-2]:
        late = np.maximum(thousands - bend, 0.0)
        design = np.column_stack([np.ones_like(thousands), thousands, late])
        solution = np.linalg.lstsq(design, values, rcond=None)[0]
        error = float(np.sum((values - design @ solution) ** 2))
        if best is None or error < best[0]:
            slope, change = float(solution[1]), float(solution[2])
            best = (error, float(bend) * 1000.0, slope, slope + change)
    if best is None:
        raise Missing("too few validations for a bend")
    return best[1:]


def _scores_turn(evidence: Evidence) -> float:
    """First checkpoint at which SPACTOR(∞) is no longer above the baseline on most suites."""
    for at in evidence.checkpoints("base", "inf"):
        members = family(evidence, "base", SUITES, [(("inf", at), ("0", at))])
        ahead = sum(contrast.difference > 0.0 for contrast in members.contrasts)
        if members.contrasts and 2 * ahead <= len(members.contrasts):
            return float(at)
    raise Missing("SPACTOR(∞) is above the baseline at every checkpoint, or was not scored")


def _across(evidence: Evidence) -> pd.Series:
    gaps, seeds = trend.difference(evidence.records, trend.BASELINE_CLEAN, trend.HYBRID_CLEAN)
    if not seeds:
        raise Missing("no validation losses of τ = 0 and τ = ∞: Figure 4 prints no numbers")
    return gaps


def _per_seed(evidence: Evidence, first: trend.Curve, second: trend.Curve) -> pd.DataFrame:
    minuend = trend.curve(evidence.records, first)
    subtrahend = trend.curve(evidence.records, second)
    seeds = minuend.columns.intersection(subtrahend.columns)
    return (minuend[seeds] - subtrahend[seeds]).dropna(how="any")


def _line(evidence: Evidence, name: str) -> trend.Line:
    reading = next(r for r in trend.run(evidence.records).readings if r.name == name)
    if reading.line is None:
        raise Missing(reading.reason)
    return reading.line


def _by_slope(as_stated: bool, p_value: float) -> Verdict:
    """Verdict of a slope by its sign and significance."""
    if not as_stated:
        return Verdict.FAILS
    return Verdict.HOLDS if p_value < ALPHA else Verdict.PARTLY


def _signed(line: trend.Line) -> Finding:
    return Finding(
        _by_slope(line.slope < 0.0, line.p_value),
        f"slope {line.slope:+.2e} nats per 1,000 steps, p {format_p(line.p_value)} (points of one "
        f"run taken as independent), n = {line.n}; stated: "
        f"negative, p = {stated('trend/p_value', 'base', 'inf'):g}",
    )


@judges("single-stage.early-gain", SCORES)
def early_gain(evidence: Evidence) -> Finding:
    early = [at for at in evidence.checkpoints("base", "inf") if at <= VANISH]
    if not early:
        raise Missing(f"no score of τ = ∞ at or before {steps(VANISH)}: Figure 3 prints no numbers")
    pairs = [(("inf", at), ("0", at)) for at in early]
    what = "SPACTOR(∞) minus the baseline up to 250K"
    return superiority(what, family(evidence, "base", SUITES, pairs))


@judges("single-stage.gain-vanishes", SCORES)
def gain_vanishes(evidence: Evidence) -> Finding:
    late = [at for at in evidence.checkpoints("base", "inf") if VANISH < at < FULL]
    if not late:
        raise Missing(f"no score of τ = ∞ between {steps(VANISH)} and {steps(FULL)}")
    pairs = [(("0", at), ("inf", at)) for at in late]
    members = family(evidence, "base", SUITES, pairs, with_margin=True)
    return non_inferiority(
        f"the baseline minus SPACTOR(∞) at {', '.join(map(steps, late))}", members
    )


@judges("single-stage.noisy-worse", SERIES)
def noisy_worse(evidence: Evidence) -> Finding:
    gaps = _per_seed(evidence, trend.HYBRID_NOISY, trend.HYBRID_CLEAN)
    late = gaps[gaps.index >= trend.FIRST_PAPER_STEP]
    if late.empty:
        raise Missing("no validation losses of τ = ∞ from 120K on: Figure 4 prints no numbers")
    positive = int((late > 0.0).to_numpy().sum())
    by_seed = late.mean()
    text = (
        f"the loss on X̂_c is {by_seed.mean():.3f} nats above that on X_c, from 120K on; higher at "
        f"{positive} of {late.size} validations"
    )
    if len(by_seed) < 2:
        return Finding(graded(positive, late.size), f"{text}; one seed, so no test")
    seeds = Sample(float(by_seed.mean()), float(by_seed.std()), len(by_seed))
    p_value = welch(seeds, Sample(0.0, 0.0, len(by_seed)), alternative="greater")
    shown = p_value < ALPHA
    verdict = (
        graded(positive, late.size) if shown else Verdict.PARTLY if positive else Verdict.FAILS
    )
    return Finding(verdict, f"{text}; p {format_p(p_value)} over {len(by_seed)} seeds")


@judges("single-stage.gap-closes", SERIES)
def gap_closes(evidence: Evidence) -> Finding:
    gaps = _across(evidence)
    early = gaps[gaps.index <= TURN].abs()
    if len(early) < 3:
        raise Missing(f"{len(early)} validations up to {steps(TURN)}; a line needs 3")
    line = trend.fit(early.index.to_numpy(dtype=float), early.to_numpy())
    return Finding(
        _by_slope(line.slope < 0.0, line.p_value),
        f"up to {steps(TURN)} the size of the gap changes by {line.slope:+.2e} nats per 1,000 "
        f"steps (p {format_p(line.p_value)}, n = {line.n}), from {early.iloc[0]:.3f} to "
        f"{early.iloc[-1]:.3f}",
    )


@judges("single-stage.inflection", SERIES)
def inflection(evidence: Evidence) -> Finding:
    gaps = _across(evidence)
    if len(gaps) < LEAST_POINTS:
        raise Missing(f"{len(gaps)} validations of both curves; a turn needs {LEAST_POINTS}")
    at, before, after = turning_point(gaps.index.to_numpy(dtype=float), gaps.to_numpy())
    turned = before * after < 0.0
    near = abs(at - TURN) <= AROUND_STEPS
    return Finding(
        Verdict.FAILS if not turned else Verdict.HOLDS if near else Verdict.PARTLY,
        f"two straight lines fit the difference best with a bend at {steps(int(at))}; slopes "
        f"{before:+.2e} before and {after:+.2e} after it, nats per 1,000 steps; stated: a reversal "
        f"around {steps(TURN)}",
    )


@judges("single-stage.trend-significant", SERIES, STATED)
def significant_across(evidence: Evidence) -> Finding:
    if evidence.source == "published":
        claimed = evidence.number("trend/p_value", "base")
        return Finding(
            Verdict.HOLDS if claimed < ALPHA else Verdict.FAILS,
            f"stated p = {claimed:g} is below {ALPHA:g}; Figure 4 prints no points to recompute it",
        )
    return _signed(_line(evidence, "across"))


@judges("single-stage.generator-improves", Cells(("validation/mlm_accuracy",), ("base",), ("inf",)))
def generator_improves(evidence: Evidence) -> Finding:
    rows = evidence.records[
        (evidence.records["metric"] == "validation/mlm_accuracy")
        & (evidence.records["size"] == "base")
        & (evidence.records["tau"] == "inf")
        & evidence.records["paper_step"].notna()
    ]
    means = rows.groupby("paper_step")["value"].mean().sort_index()
    if len(means) < 3:
        raise Missing("no series of the generator's accuracy in τ = ∞")
    line = trend.fit(means.index.to_numpy(dtype=float), means.to_numpy())
    return Finding(
        _by_slope(line.slope > 0.0, line.p_value),
        f"accuracy on [M] goes from {means.iloc[0]:.3f} to {means.iloc[-1]:.3f} (slope p "
        f"{format_p(line.p_value)}, n = {line.n})",
    )


@judges(
    "single-stage.turns-coincide",
    SERIES,
    SCORES,
    Cells(("prose/gains_vanish_step", "prose/inflection_step")),
)
def turns_coincide(evidence: Evidence) -> Finding:
    if evidence.source == "published":
        scores_turn = evidence.number("prose/gains_vanish_step", "base")
        loss_turns = evidence.number("prose/inflection_step", "base")
    else:
        gaps = _across(evidence)
        if len(gaps) < LEAST_POINTS:
            raise Missing("no validation losses of both curves")
        loss_turns = turning_point(gaps.index.to_numpy(dtype=float), gaps.to_numpy())[0]
        scores_turn = _scores_turn(evidence)
    apart = abs(scores_turn - loss_turns)
    return Finding(
        Verdict.HOLDS if apart <= AROUND_STEPS else Verdict.FAILS,
        f"scores turn around {scores_turn / 1000:.0f}K, the loss around {loss_turns / 1000:.0f}K, "
        f"{apart / 1000:.0f}K apart",
    )


@judges("appendix-b.trend-within", SERIES, STATED)
def significant_within(evidence: Evidence) -> Finding:
    if evidence.source == "published":
        slope = evidence.number("trend/slope", "base")
        return Finding(
            contradiction(evidence),
            f"one slope ({slope:.2e}) is given for two quantities: Figure 4b and Section 3.2.1 "
            "subtract SPACTOR(∞) from the baseline, Appendix B compares X_c and X̂_c within "
            "SPACTOR(∞)",
            "a falling line fits baseline − SPACTOR(∞) with SPACTOR getting worse; `repro trend` "
            "computes both",
        )
    return _signed(_line(evidence, "within"))


@judges("appendix-b.slope", SERIES, STATED)
def slope_size(evidence: Evidence) -> Finding:
    slope = stated("trend/slope", "base", "inf")
    if evidence.source == "published":
        evidence.number("trend/slope", "base")
        change = slope * (FULL - trend.FIRST_PAPER_STEP)
        return Finding(
            contradiction(evidence),
            f"with x in steps, {slope:.2e} · {FULL - trend.FIRST_PAPER_STEP:,} = {change:.1f} nats "
            f"from 120K to 1M, which no loss can do; per 1,000 steps it is {change / 1000:.3f}",
            f"uniform guessing over {VOCABULARY_ROWS:,} tokens costs ln {VOCABULARY_ROWS} = "
            f"{math.log(VOCABULARY_ROWS):.1f} nats",
        )
    line = _line(evidence, "across")
    apart = abs(line.slope - slope) <= 2.0 * line.stderr
    return Finding(
        Verdict.HOLDS if apart else Verdict.FAILS,
        f"{line.slope:+.2e} ± {line.stderr:.1e} nats per 1,000 steps; stated {slope:+.2e}, taken "
        "per 1,000 steps",
    )


@judges("appendix-b.fit-start", Cells(("trend/first_step", "prose/inflection_step")))
def fit_start(evidence: Evidence) -> Finding:
    first = int(evidence.number("trend/first_step", "base"))
    turn = int(evidence.number("prose/inflection_step", "base"))
    return Finding(
        arithmetic(evidence, first >= turn),
        f"the gap closes until about {steps(turn)}: {(turn - first) // 1000}K steps of the fitted "
        "range go the other way",
        "they flatten the slope",
    )
