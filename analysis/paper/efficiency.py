"""Statements of Section 3.2.3 with Table 3, and of Appendix C."""

from __future__ import annotations

from dataclasses import replace

from analysis.flops import step_flops, terms
from analysis.paper.budgets import (
    budget_saved,
    common_budgets,
    lead_at,
    saved_at_equal_score,
    share_of_budgets_above,
)
from analysis.paper.compared import FIGURE2_SUITES
from analysis.paper.comparisons import equivalence, non_inferiority, superiority
from analysis.paper.contrasts import Family, against, family, family_of, not_run
from analysis.paper.evidence import FULL, HALF, Cell, Evidence, Missing, stated
from analysis.paper.introduction import TWO_TAUS
from analysis.paper.statement import (
    Finding,
    Verdict,
    arithmetic,
    contradiction,
    graded,
    judges,
    rounds_to,
)
from analysis.schema.facts import SUITE_SHORT_NAMES, SUITES
from analysis.schema.quantities import SUITE_AVERAGE
from analysis.tests import add
from spactor.config import PretrainConfig

SPEED_ROUNDING = 0.05
"""Largest rounding error of Table 3's relative speed, which has one decimal."""
ABSOLUTE_FACTOR = 2.0
"""Largest factor between FLOPs counted by different conventions (backward pass, softmax,
embeddings)."""
AROUND_PERCENT = 5.0
FIGURE5_OTHERS = ("glue", "rainbow", "bbh")


def shapes_ratio(config: PretrainConfig) -> tuple[float, float]:
    """FLOPs of matrix products of a hybrid step over those of a plain one, counted from shapes.

    Returns:
      The ratio with the generator's logits at the masked positions alone, and at every position.
    """
    plain = sum(terms(config, "span_corruption").values())
    counted = terms(config, "hybrid")
    q, n = config.lengths.masked_tokens, config.lengths.input_tokens
    hybrid = sum(counted.values())
    return hybrid / plain, (hybrid + counted["generator/logits"] * (n / q - 1.0)) / plain


def _matches(evidence: Evidence, found: float, claimed: float) -> Verdict:
    """Judges a number that the paper states to one decimal."""
    return arithmetic(evidence, rounds_to(found, claimed, 1))


@judges("efficiency.step-overhead")
def step_overhead(evidence: Evidence) -> Finding:
    claimed = stated("prose/step_flops_overhead_percent", "base")
    found = 100.0 * evidence.step_overhead("base")
    text = f"a hybrid step costs {found:.1f} % more FLOPs than a plain one; stated: {claimed:g} %"
    try:
        config = evidence.config("base")
    except Missing:
        return Finding(_matches(evidence, found, claimed), text)
    masked, everywhere = shapes_ratio(config)
    return Finding(
        _matches(evidence, found, claimed),
        f"{text}. Counted from {evidence.shapes} it is {masked - 1.0:.1%}, or "
        f"{everywhere - 1.0:.1%} with the generator's logits at every position",
        "three digits from two numbers of two digits; Equation 3, as written, projects every "
        "position to the vocabulary, though the loss needs the masked ones alone",
    )


@judges("efficiency.speed-agrees")
def speed_agrees(evidence: Evidence) -> Finding:
    speed, overhead = evidence.relative_speed("base"), evidence.step_overhead("base")
    expected = 1.0 / (1.0 + overhead)
    return Finding(
        arithmetic(evidence, abs(speed - expected) <= SPEED_ROUNDING),
        f"the FLOPs let one expect 1 / {1.0 + overhead:.3f} = {expected:.2f} of the baseline's "
        f"sequences per second; found: {speed:.2f}",
    )


@judges("efficiency.flops-at-500k")
def flops_at_half(evidence: Evidence) -> Finding:
    claimed = stated("prose/flops_over_baseline", "base", "250K", HALF)
    overhead = evidence.step_overhead("base")
    found = 0.5 * (1.0 + overhead) + 0.5
    return Finding(
        _matches(evidence, found, claimed),
        f"0.5 · {1.0 + overhead:.3f} + 0.5 = {found:.3f}; stated: {claimed:g}",
    )


@judges("efficiency.flops-at-1m")
def flops_at_full(evidence: Evidence) -> Finding:
    claimed = stated("prose/flops_over_baseline", "base", "250K", FULL)
    ours, plain = (evidence.relative_flops("base", tau, FULL) for tau in ("250K", "0"))
    return Finding(
        _matches(evidence, ours / plain, claimed),
        f"{ours:.2f} / {plain:.2f} = {ours / plain:.3f}; stated: {claimed:g}",
    )


@judges("efficiency.cost-shrinks")
def cost_shrinks(evidence: Evidence) -> Finding:
    parts, passed = [], 0
    for tau in TWO_TAUS:
        extra = [
            evidence.relative_flops("base", tau, at) / evidence.relative_flops("base", "0", at) - 1
            for at in (HALF, FULL)
        ]
        passed += extra[1] < extra[0]
        parts.append(f"τ = {tau}: {extra[0]:+.1%} at 500K, {extra[1]:+.1%} at 1M")
    return Finding(graded(passed, len(parts), none=contradiction(evidence)), "; ".join(parts))


@judges("efficiency.majority-matches")
def majority_matches(evidence: Evidence) -> Finding:
    ours, plain = ("250K", HALF), ("0", FULL)
    members = family(evidence, "base", SUITES, [(ours, plain)], with_margin=True)
    finding = non_inferiority(against("base", ours, plain), members)
    outcomes = members.outcomes("higher")
    half = (len(outcomes) + len(members.absent)) / 2
    verdict = finding.verdict
    if sum(outcome.shown for outcome in outcomes) > half:
        verdict = Verdict.HOLDS
    elif verdict is Verdict.CONTRADICTED and sum(one.refuted for one in outcomes) < half:
        verdict = Verdict.NOT_DECIDED
    return replace(
        finding,
        verdict=verdict,
        sentence=f"{finding.sentence}; a majority is more than {half:g}",
    )


@judges("efficiency.at-least-forty")
def at_least_forty(evidence: Evidence) -> Finding:
    claimed = stated("prose/flops_saved_percent", "base")
    found = {
        tau: budget_saved(evidence, "base", tau, HALF)
        for tau in ("250K", "120K", "60K")
        if evidence.has_flops("base", tau, HALF)
    }
    if not found:
        raise Missing("no FLOPs of SPACTOR at 500K")
    return Finding(
        arithmetic(evidence, round(min(found.values()), 6) >= claimed),
        "FLOPs saved by 500K steps over the baseline's 1M: "
        + ", ".join(f"τ = {tau} {value:.1f} %" for tau, value in found.items())
        + f"; stated: at least {claimed:g} %",
        "of the suites on which 500K steps match the baseline's 1M; on MMLU, which Appendix C "
        f"excepts, it states around {stated('prose/mmlu_flops_saved_percent', 'base'):g} %",
    )


@judges("efficiency.same-average")
def same_average(evidence: Evidence) -> Finding:
    ours, plain = ("250K", HALF), ("0", FULL)
    members = family(evidence, "base", FIGURE2_SUITES, [(ours, plain)], with_margin=True)
    finding = non_inferiority(against("base", ours, plain), members)
    saving = budget_saved(evidence, "base", "250K", HALF)
    return replace(finding, sentence=f"with {saving:.0f} % less compute, {finding.sentence}")


@judges("efficiency.most-budgets")
def most_budgets(evidence: Evidence) -> Finding:
    shares, absent = {}, []
    for tau in TWO_TAUS:
        for suite in FIGURE2_SUITES:
            name = f"{SUITE_SHORT_NAMES[suite]} {tau}"
            try:
                shares[name] = share_of_budgets_above(evidence, "base", tau, suite)
            except Missing:
                absent.append(name)
    if not shares:
        raise Missing("not run: both curves of " + ", ".join(absent))
    text = "share of the common budgets where SPACTOR's line is higher: " + ", ".join(
        f"{name} {share:.0%}" for name, share in shares.items()
    )
    if evidence.source == "published":
        passed = sum(share > 0.5 for share in shares.values())
        verdict = graded(passed, len(shares), incomplete=bool(absent), none=Verdict.INCONSISTENT)
        return Finding(verdict, text + not_run(absent))
    # A straight line is positive on more than half of a range if it is positive in the middle.
    middles = {}
    for tau in TWO_TAUS:
        middle = sum(common_budgets(evidence, "base", tau)) / 2.0
        for suite in FIGURE2_SUITES:
            name = f"{SUITE_SHORT_NAMES[suite]} {tau}"
            middles[name] = lead_at(evidence, "base", tau, suite, middle)
    finding = superiority("lead at the middle budget", family_of(evidence, middles))
    return replace(finding, sentence=f"{text}; {finding.sentence}")


@judges("table3.step-flops")
def absolute_flops(evidence: Evidence) -> Finding:
    evidence.require(("paper",), "its steps are smaller by design")
    printed = evidence.number("cost/step_flops/span_corruption", "base")
    config = evidence.config("base")
    counted = step_flops(config, "span_corruption")
    factor = counted / printed
    return Finding(
        arithmetic(evidence, 1.0 / ABSOLUTE_FACTOR <= factor <= ABSOLUTE_FACTOR),
        f"a step of {config.batch_size} sequences is {counted:.2e} FLOPs counted from Table 5, "
        f"{factor:.0f} times the {printed:.1e} given, which would be one of "
        f"{config.batch_size / factor:.0f} sequences",
        "the numbers are those of one chip of 64, as XLA counts it (docs/flops.md)",
    )


def _saves_more(evidence: Evidence, tau: str, suite: str, percent: float) -> dict[Cell, float]:
    """Score at 500K minus the baseline's at the FLOPs of which 500K steps save a percentage.

    The difference is above 0 if the saving at the same score is more than ``percent``.
    """
    budget = evidence.relative_flops("base", tau, HALF) / (1.0 - percent / 100.0)
    return lead_at(evidence, "base", tau, suite, budget, checkpoint=HALF)


@judges("appendix-c.mmlu-saving")
def mmlu_saving(evidence: Evidence) -> Finding:
    claimed = stated("prose/mmlu_flops_saved_percent", "base")
    near, parts = [], []
    for tau in TWO_TAUS:
        value, bound = saved_at_equal_score(evidence, "base", tau, "mmlu")
        near.append(abs(value - claimed) <= AROUND_PERCENT)
        parts.append(f"τ = {tau} {'over ' if bound else ''}{value:.1f} %")
    text = (
        f"FLOPs saved at the MMLU score of 500K: {', '.join(parts)}; stated: around {claimed:g} %"
    )
    if evidence.source == "published":
        return Finding(graded(sum(near), len(near), none=Verdict.INCONSISTENT), text)
    least, most = claimed - AROUND_PERCENT, claimed + AROUND_PERCENT
    limits = {}
    for tau in TWO_TAUS:
        limits[f"τ = {tau} over {least:g} %"] = _saves_more(evidence, tau, "mmlu", least)
        over = _saves_more(evidence, tau, "mmlu", most)
        limits[f"τ = {tau} under {most:g} %"] = add(over, times=-1.0)
    members = family_of(evidence, limits)
    finding = superiority("scores at the limits", members)
    outcomes = members.outcomes("higher")
    both = zip(outcomes[::2], outcomes[1::2], strict=True)
    passed = sum(low.shown and high.shown for low, high in both)
    refuted = any(outcome.refuted for outcome in outcomes)
    none = Verdict.CONTRADICTED if refuted else Verdict.NOT_DECIDED
    verdict = graded(passed, len(TWO_TAUS), none=none)
    return replace(finding, verdict=verdict, sentence=f"{text}; {finding.sentence}")


@judges("appendix-c.mmlu-converges")
def mmlu_converges(evidence: Evidence) -> Finding:
    pairs = [((tau, FULL), ("0", FULL)) for tau in TWO_TAUS]
    members = family(evidence, "base", ("mmlu",), pairs, with_margin=True)
    finding = equivalence("SPACTOR minus the baseline", members)
    gains = {
        tau: [
            evidence.score("base", tau, at, "mmlu").mean
            - evidence.score("base", "0", at, "mmlu").mean
            for at in (HALF, FULL)
        ]
        for tau in TWO_TAUS
    }
    shrinks = all(abs(late) < abs(early) for early, late in gains.values())
    numbers = ", ".join(f"τ = {tau} {e:+.2f} to {late:+.2f}" for tau, (e, late) in gains.items())
    # Growing differences of means do not support the claim, but only a test can contradict it.
    open_ = finding.verdict is Verdict.CONTRADICTED or shrinks
    return replace(
        finding,
        verdict=finding.verdict if open_ else Verdict.NOT_DECIDED,
        sentence=f"gain from 500K to 1M: {numbers}; {finding.sentence}",
    )


@judges("appendix-c.others-gain")
def others_gain(evidence: Evidence) -> Finding:
    claimed = stated("prose/mmlu_flops_saved_percent", "base")
    parts, passed, absent, more = [], 0, [], {}
    for suite in FIGURE5_OTHERS:
        name = SUITE_SHORT_NAMES[suite]
        try:
            value, bound = saved_at_equal_score(evidence, "base", "250K", suite)
        except Missing:
            absent.append(name)
            continue
        passed += value > claimed
        parts.append(f"{name} {'over ' if bound else ''}{value:.0f} %")
        more[name] = _saves_more(evidence, "250K", suite, claimed)
    if not parts:
        raise Missing(f"not run, or no gain of the baseline to measure by: {', '.join(absent)}")
    text = (
        f"FLOPs saved at the score of SPACTOR(250K) at 500K: {', '.join(parts)}; substantial is "
        f"more than MMLU's {claimed:g} %" + (f"; no number: {', '.join(absent)}" if absent else "")
    )
    if evidence.source == "published":
        none = Verdict.INCONSISTENT
        return Finding(graded(passed, len(parts), incomplete=bool(absent), none=none), text)
    tested = family_of(evidence, more)
    finding = superiority(
        f"score at 500K minus the baseline's at the FLOPs for a saving of {claimed:g} %",
        Family(tested.contrasts, (*tested.absent, *absent)),
    )
    return replace(finding, sentence=f"{text}; {finding.sentence}")


@judges("appendix-c.task-dependent")
def task_dependent(evidence: Evidence) -> Finding:
    pairs = [(("120K", at), ("250K", at)) for at in (HALF, FULL)]
    members = family(evidence, "base", SUITES, pairs)
    members.require()
    up = [c.name for c in members.contrasts if c.difference > 0.0]
    down = [c.name for c in members.contrasts if c.difference < 0.0]
    outcomes = members.outcomes("different")
    shown = [o.contrast.difference > 0.0 for o in outcomes if o.shown]
    verdict = Verdict.HOLDS if {True, False} <= set(shown) else Verdict.NOT_DECIDED
    if len(set(shown)) == 1 and len(shown) == len(outcomes) + len(members.absent):
        verdict = Verdict.CONTRADICTED  # one τ is better on every suite
    return Finding(
        verdict,
        f"τ = 120K has the higher mean in {len(up)} and τ = 250K in {len(down)} of "
        f"{len(outcomes)} cells, significantly in {len(shown)} (two-sided, Holm; {members.how}): "
        + members.differences(),
        tested=("different", members),
    )


@judges("appendix-c.figure5-suites")
def figure5_suites(evidence: Evidence) -> Finding:
    suites = set(evidence.records.loc[evidence.records["metric"] == SUITE_AVERAGE, "suite"])
    drawn = {*FIGURE2_SUITES, *FIGURE5_OTHERS, "mmlu"}
    return Finding(
        arithmetic(evidence, drawn == suites),
        f"{len(FIGURE2_SUITES)} + {len(FIGURE5_OTHERS) + 1} = {len(drawn)} of {len(suites)} suites",
    )
