"""Claims of Section 3.2.1 and Appendix B: τ = ∞, its scores and its validation losses.

The paper prints no scores and no losses of τ = ∞ (Figures 3 and 4 are drawings), so most of this
can be judged on measured records only.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis import trend
from analysis.claims.claim import Cells, Claim, Finding, Verdict, contradiction, graded
from analysis.claims.comparisons import (
    Family,
    against,
    family,
    non_inferiority,
    superiority,
)
from analysis.claims.evidence import FULL, Evidence, Missing, stated, steps
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


def early_gain(evidence: Evidence) -> Finding:
    early = [at for at in evidence.checkpoints("base", "inf") if at <= VANISH]
    if not early:
        raise Missing(f"no score of τ = ∞ at or before {steps(VANISH)}: Figure 3 prints no numbers")
    pairs = [(("inf", at), ("0", at)) for at in early]
    what = "SPACTOR(∞) minus the baseline up to 250K"
    return superiority(what, family(evidence, "base", SUITES, pairs))


def gain_vanishes(evidence: Evidence) -> Finding:
    late = [at for at in evidence.checkpoints("base", "inf") if VANISH < at < FULL]
    if not late:
        raise Missing(f"no score of τ = ∞ between {steps(VANISH)} and {steps(FULL)}")
    pairs = [(("0", at), ("inf", at)) for at in late]
    members = family(evidence, "base", SUITES, pairs, with_margin=True)
    return non_inferiority(
        f"the baseline minus SPACTOR(∞) at {', '.join(map(steps, late))}", members
    )


def ends_below(evidence: Evidence) -> Finding:
    plain, hybrid = ("0", FULL), ("inf", FULL)
    return superiority(
        against("base", plain, hybrid), family(evidence, "base", SUITES, [(plain, hybrid)])
    )


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


def gap_closes(evidence: Evidence) -> Finding:
    gaps = _across(evidence)
    early = gaps[gaps.index <= TURN].abs()
    if len(early) < 3:
        raise Missing(f"{len(early)} validations up to {steps(TURN)}; a line needs 3")
    line = trend.fit(early.index.to_numpy(dtype=float), early.to_numpy())
    falls = line.slope < 0.0
    return Finding(
        Verdict.FAILS if not falls else Verdict.HOLDS if line.p_value < ALPHA else Verdict.PARTLY,
        f"up to {steps(TURN)} the size of the gap changes by {line.slope:+.2e} nats per 1,000 "
        f"steps (p {format_p(line.p_value)}, n = {line.n}), from {early.iloc[0]:.3f} to "
        f"{early.iloc[-1]:.3f}",
    )


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


def significant_across(evidence: Evidence) -> Finding:
    stated_p = stated("trend/p_value", "base", "inf")
    if evidence.source == "published":
        claimed = evidence.number("trend/p_value", "base")
        return Finding(
            Verdict.HOLDS if claimed < ALPHA else Verdict.FAILS,
            f"stated p = {claimed:g} is below {ALPHA:g}; Figure 4 prints no points to recompute it",
        )
    line = _line(evidence, "across")
    return _signed(line, f"stated: negative, p = {stated_p:g}")


def significant_within(evidence: Evidence) -> Finding:
    if evidence.source == "published":
        slope = evidence.number("trend/slope", "base")
        return Finding(
            contradiction(evidence),
            f"one slope ({slope:.2e}) is given for two quantities: Figure 4b and Section 3.2.1 "
            "subtract SPACTOR(∞) from the baseline, Appendix B compares X_c and X̂_c within "
            "SPACTOR(∞)",
        )
    return _signed(_line(evidence, "within"), "stated: negative, p = 0.01")


def slope_size(evidence: Evidence) -> Finding:
    slope = stated("trend/slope", "base", "inf")
    if evidence.source == "published":
        evidence.number("trend/slope", "base")
        change = slope * (FULL - trend.FIRST_PAPER_STEP)
        return Finding(
            contradiction(evidence),
            f"with x in steps, {slope:.2e} · {FULL - trend.FIRST_PAPER_STEP:,} = {change:.1f} nats "
            f"from 120K to 1M, which no loss can do; per 1,000 steps it is {change / 1000:.3f}",
        )
    line = _line(evidence, "across")
    apart = abs(line.slope - slope) <= 2.0 * line.stderr
    return Finding(
        Verdict.HOLDS if apart else Verdict.FAILS,
        f"{line.slope:+.2e} ± {line.stderr:.1e} nats per 1,000 steps; stated {slope:+.2e}, taken "
        "per 1,000 steps",
    )


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
    rises = line.slope > 0.0
    return Finding(
        Verdict.FAILS if not rises else Verdict.HOLDS if line.p_value < ALPHA else Verdict.PARTLY,
        f"accuracy on [M] goes from {means.iloc[0]:.3f} to {means.iloc[-1]:.3f} (slope p "
        f"{format_p(line.p_value)}, n = {line.n})",
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
        members: Family = family(evidence, "base", SUITES, [(("inf", at), ("0", at))])
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


def _signed(line: trend.Line, claimed: str) -> Finding:
    negative, shown = line.slope < 0.0, line.p_value < ALPHA
    verdict = Verdict.HOLDS if negative and shown else Verdict.FAILS
    return Finding(
        Verdict.PARTLY if negative and not shown else verdict,
        f"slope {line.slope:+.2e} nats per 1,000 steps, p {format_p(line.p_value)} (points of one "
        f"run taken as independent), n = {line.n}; {claimed}",
    )


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="single-stage.early-gain",
        place="Section 3.2.1",
        says="Early in pre-training the RTD objective improves the downstream scores.",
        test="superiority of τ = ∞ at every checkpoint up to 250K, Holm",
        rests_on=(SCORES,),
        judge=early_gain,
    ),
    Claim(
        id="single-stage.gain-vanishes",
        place="Section 3.2.1",
        says="After around 250K steps nothing is left of that gain.",
        test="non-inferiority of the baseline between 250K and 1M, margin half its own gain",
        rests_on=(SCORES,),
        judge=gain_vanishes,
    ),
    Claim(
        id="single-stage.ends-below",
        place="Section 3.2.1",
        says="At the end, training on both objectives throughout is worse than plain T5.",
        test="superiority of the baseline over τ = ∞ at 1M by suite, Holm",
        rests_on=(SCORES,),
        judge=ends_below,
    ),
    Claim(
        id="single-stage.noisy-worse",
        place="Section 3.2.1",
        says="The validation loss is clearly higher on the generator's text than on clean text.",
        test="sign at every validation from 120K on; over seeds a one-sided t-test",
        rests_on=(SERIES,),
        judge=noisy_worse,
    ),
    Claim(
        id="single-stage.gap-closes",
        place="Section 3.2.1",
        says="At first the loss approaches the baseline's.",
        test="slope of the gap's size up to 200K",
        rests_on=(SERIES,),
        judge=gap_closes,
    ),
    Claim(
        id="single-stage.inflection",
        place="Section 3.2.1",
        says="Around 200K steps the difference in loss turns the other way.",
        test="bend of two straight lines, within 50K of 200K, slopes of opposite sign",
        rests_on=(SERIES,),
        judge=inflection,
    ),
    Claim(
        id="single-stage.trend-significant",
        place="Section 3.2.1, Figure 4b",
        says="From then on the loss drifts away from the baseline's, significantly.",
        test="ordinary least squares from 120K on, baseline − τ = ∞ on X_c, slope below 0",
        rests_on=(SERIES, STATED),
        judge=significant_across,
    ),
    Claim(
        id="single-stage.generator-improves",
        place="Section 3.2.1",
        says="The generator gets more tokens right as training goes on.",
        test="slope of its accuracy over steps",
        rests_on=(Cells(("validation/mlm_accuracy",), ("base",), ("inf",)),),
        judge=generator_improves,
    ),
    Claim(
        id="single-stage.turns-coincide",
        place="Section 3.2.1",
        says="Scores and validation loss turn at about the same step.",
        test="distance of the two turns, at most 50K",
        rests_on=(SERIES, SCORES, Cells(("prose/gains_vanish_step", "prose/inflection_step"))),
        judge=turns_coincide,
    ),
    Claim(
        id="appendix-b.trend-within",
        place="Appendix B",
        says="The loss on clean minus that on noisy text, in one model, drifts significantly.",
        test="ordinary least squares from 120K on, X_c − X̂_c within τ = ∞, slope below 0",
        rests_on=(SERIES, STATED),
        judge=significant_within,
    ),
    Claim(
        id="appendix-b.slope",
        place="Appendix B",
        says="The slope is −6.90e-5 per step.",
        test="arithmetic on the published numbers; measured: within two standard errors",
        rests_on=(SERIES, STATED),
        judge=slope_size,
    ),
)
