"""Claims of Section 3.2.3 with Table 3, and of Appendix C."""

from __future__ import annotations

from analysis.claims.budgets import saved, saved_at_equal_score, share_of_budgets_above
from analysis.claims.claim import Cells, Claim, Finding, Verdict, contradiction, graded
from analysis.claims.comparisons import (
    against,
    different,
    equivalence,
    family,
    greater,
    non_inferiority,
)
from analysis.claims.evidence import FULL, HALF, SUITE_NAMES, Evidence, Missing, stated
from analysis.claims.introduction import FIGURE2_SUITES, FLOPS, TWO_TAUS
from analysis.flops import step_flops, terms
from analysis.schema.facts import SUITES
from analysis.tests import ALPHA

COSTS = Cells((*FLOPS, "cost/step_flops/"), ("base",))
SETTINGS = Cells(("setting/",), ("base",))
SPEED_ROUNDING = 0.05
"""Table 3 gives the relative speed to one decimal."""
ABSOLUTE_FACTOR = 2.0
"""Conventions of counting (backward pass, softmax, embeddings) differ by less than this."""
AROUND_PERCENT = 5.0
FIGURE5_OTHERS = ("glue", "rainbow", "bbh")


def step_overhead(evidence: Evidence) -> Finding:
    claimed = stated("prose/step_flops_overhead_percent", "base")
    found = 100.0 * evidence.step_overhead("base")
    text = f"a hybrid step costs {found:.1f} % more FLOPs than a plain one; stated: {claimed:g} %"
    try:
        config = evidence.config("base")
    except Missing:
        return Finding(_matches(evidence, found, claimed, 0.05), text)
    plain, hybrid = (sum(terms(config, s).values()) for s in ("span_corruption", "hybrid"))
    everywhere = terms(config, "hybrid")["generator/logits"] * (
        config.lengths.input_tokens / config.lengths.masked_tokens - 1.0
    )
    return Finding(
        _matches(evidence, found, claimed, 0.05),
        f"{text}. Counted from Table 5 it is {hybrid / plain - 1.0:.1%}, or "
        f"{(hybrid + everywhere) / plain - 1.0:.1%} with the generator's logits at every position",
    )


def speed_agrees(evidence: Evidence) -> Finding:
    speed, overhead = evidence.relative_speed("base"), evidence.step_overhead("base")
    expected = 1.0 / (1.0 + overhead)
    return Finding(
        Verdict.HOLDS if abs(speed - expected) <= SPEED_ROUNDING else contradiction(evidence),
        f"the FLOPs let one expect 1 / {1.0 + overhead:.3f} = {expected:.2f} of the baseline's "
        f"sequences per second; found: {speed:.2f}",
    )


def flops_at_half(evidence: Evidence) -> Finding:
    claimed = stated("prose/flops_over_baseline", "base", "250K", HALF)
    overhead = evidence.step_overhead("base")
    found = 0.5 * (1.0 + overhead) + 0.5
    return Finding(
        _matches(evidence, found, claimed, 0.05),
        f"0.5 · {1.0 + overhead:.3f} + 0.5 = {found:.3f}; stated: {claimed:g}",
    )


def flops_at_full(evidence: Evidence) -> Finding:
    claimed = stated("prose/flops_over_baseline", "base", "250K", FULL)
    ours, plain = (evidence.relative_flops("base", tau, FULL) for tau in ("250K", "0"))
    return Finding(
        _matches(evidence, ours / plain, claimed, 0.05),
        f"{ours:.2f} / {plain:.2f} = {ours / plain:.3f}; stated: {claimed:g}",
    )


def _matches(evidence: Evidence, found: float, claimed: float, half_unit: float) -> Verdict:
    fits = abs(found - claimed) <= half_unit + 1e-9
    return Verdict.HOLDS if fits else contradiction(evidence)


def cost_shrinks(evidence: Evidence) -> Finding:
    parts, passed = [], 0
    for tau in TWO_TAUS:
        extra = [
            evidence.relative_flops("base", tau, at) / evidence.relative_flops("base", "0", at) - 1
            for at in (HALF, FULL)
        ]
        passed += extra[1] < extra[0]
        parts.append(f"τ = {tau}: {extra[0]:+.1%} at 500K, {extra[1]:+.1%} at 1M")
    return Finding(
        graded(passed, len(parts)) if passed else contradiction(evidence), "; ".join(parts)
    )


def at_least_forty(evidence: Evidence) -> Finding:
    claimed = stated("prose/flops_saved_percent", "base")
    found = {
        tau: saved(evidence, "base", tau, HALF)
        for tau in ("250K", "120K", "60K")
        if evidence.has_flops("base", tau, HALF)
    }
    if not found:
        raise Missing("no FLOPs of SPACTOR at 500K")
    least = min(found.values())
    return Finding(
        Verdict.HOLDS if round(least, 6) >= claimed else contradiction(evidence),
        "FLOPs saved by 500K steps over the baseline's 1M: "
        + ", ".join(f"τ = {tau} {value:.1f} %" for tau, value in found.items())
        + f"; stated: at least {claimed:g} %",
    )


def majority_matches(evidence: Evidence) -> Finding:
    ours, plain = ("250K", HALF), ("0", FULL)
    members = family(evidence, "base", SUITES, [(ours, plain)], with_margin=True)
    finding = non_inferiority(against("base", ours, plain), members)
    shown = sum(outcome.shown for outcome in greater(members.contrasts))
    level = sum(contrast.difference >= 0.0 for contrast in members.contrasts)
    half = len(members.contrasts) / 2
    majority = shown > half and not members.absent
    verdict = Verdict.HOLDS if majority else Verdict.PARTLY if level > half else Verdict.FAILS
    return Finding(verdict, f"{finding.sentence}; a majority is more than {half:g}")


def same_average(evidence: Evidence) -> Finding:
    ours, plain = ("250K", HALF), ("0", FULL)
    members = family(evidence, "base", FIGURE2_SUITES, [(ours, plain)], with_margin=True)
    finding = non_inferiority(against("base", ours, plain), members)
    saving = saved(evidence, "base", "250K", HALF)
    return Finding(finding.verdict, f"with {saving:.0f} % less compute, {finding.sentence}")


def most_budgets(evidence: Evidence) -> Finding:
    shares, absent = {}, []
    for tau in TWO_TAUS:
        for suite in FIGURE2_SUITES:
            name = f"{SUITE_NAMES[suite]} {tau}"
            try:
                shares[name] = share_of_budgets_above(evidence, "base", tau, suite)
            except Missing:
                absent.append(name)
    if not shares:
        raise Missing("not run: both curves of " + ", ".join(absent))
    passed = sum(share > 0.5 for share in shares.values())
    return Finding(
        graded(passed, len(shares), incomplete=bool(absent)),
        "share of the common budgets where SPACTOR's line is higher: "
        + ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
        + (f"; not run: {', '.join(absent)}" if absent else ""),
    )


def absolute_flops(evidence: Evidence) -> Finding:
    evidence.require(("paper",), "its steps are smaller by design")
    printed = evidence.number("cost/step_flops/span_corruption", "base")
    config = evidence.config("base")
    counted = step_flops(config, "span_corruption")
    factor = counted / printed
    fits = 1.0 / ABSOLUTE_FACTOR <= factor <= ABSOLUTE_FACTOR
    return Finding(
        Verdict.HOLDS if fits else contradiction(evidence),
        f"a step of {config.batch_size} sequences is {counted:.2e} FLOPs counted from Table 5, "
        f"{factor:.0f} times the {printed:.1e} given, which would be one of "
        f"{config.batch_size / factor:.0f} sequences",
    )


def mmlu_saving(evidence: Evidence) -> Finding:
    claimed = stated("prose/mmlu_flops_saved_percent", "base")
    parts, passed = [], 0
    for tau in TWO_TAUS:
        value, bound = saved_at_equal_score(evidence, "base", tau, "mmlu")
        passed += abs(value - claimed) <= AROUND_PERCENT
        parts.append(f"τ = {tau} {'over ' if bound else ''}{value:.1f} %")
    return Finding(
        graded(passed, len(parts)),
        f"FLOPs saved at the MMLU score of 500K: {', '.join(parts)}; stated: around {claimed:g} %",
    )


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
    return Finding(
        finding.verdict if shrinks else Verdict.FAILS,
        f"gain from 500K to 1M: {numbers}; {finding.sentence}",
    )


def others_gain(evidence: Evidence) -> Finding:
    claimed = stated("prose/mmlu_flops_saved_percent", "base")
    parts, passed, absent = [], 0, []
    for suite in FIGURE5_OTHERS:
        name = SUITE_NAMES[suite]
        try:
            value, bound = saved_at_equal_score(evidence, "base", "250K", suite)
        except Missing:
            absent.append(name)
            continue
        passed += value > claimed
        parts.append(f"{name} {'over ' if bound else ''}{value:.0f} %")
    if not parts:
        raise Missing(f"not run, or no gain of the baseline to measure by: {', '.join(absent)}")
    return Finding(
        graded(passed, len(parts), incomplete=bool(absent)),
        f"FLOPs saved at the score of SPACTOR(250K) at 500K: {', '.join(parts)}; substantial is "
        f"more than MMLU's {claimed:g} %" + (f"; no number: {', '.join(absent)}" if absent else ""),
    )


def task_dependent(evidence: Evidence) -> Finding:
    pairs = [(("120K", at), ("250K", at)) for at in (HALF, FULL)]
    members = family(evidence, "base", SUITES, pairs)
    members.require()
    up = [c.name for c in members.contrasts if c.difference > 0.0]
    down = [c.name for c in members.contrasts if c.difference < 0.0]
    outcomes = different(members.contrasts)
    shown = sum(outcome.p_value < ALPHA for outcome in outcomes)
    both = any(o.shown and o.contrast.difference > 0 for o in outcomes) and any(
        o.shown and o.contrast.difference < 0 for o in outcomes
    )
    verdict = Verdict.HOLDS if both else Verdict.PARTLY if up and down else Verdict.FAILS
    return Finding(
        verdict,
        f"τ = 120K has the higher mean in {len(up)} and τ = 250K in {len(down)} of "
        f"{len(outcomes)} cells, significantly in {shown} (two-sided, Holm): {members.shown()}",
    )


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="efficiency.step-overhead",
        place="Section 3.2.3, Table 3",
        says="A step of the first stage costs 37.5 % more FLOPs.",
        test="arithmetic on Table 3, to the digit stated; Table 5's own count beside it",
        rests_on=(COSTS, SETTINGS),
        judge=step_overhead,
    ),
    Claim(
        id="efficiency.speed-agrees",
        place="Section 3.2.3, Table 3",
        says="The drop in sequences per second is about what the FLOPs let one expect.",
        test="relative speed against the inverse FLOPs ratio, to 0.05, Table 3's rounding",
        rests_on=(COSTS, Cells(("timing/",), ("base",))),
        judge=speed_agrees,
    ),
    Claim(
        id="efficiency.flops-at-500k",
        place="Section 3.2.3",
        says="τ = 250K has used about 1.2 times the baseline's FLOPs at 500K.",
        test="arithmetic: half the steps at the overhead, to the digit stated",
        rests_on=(COSTS,),
        judge=flops_at_half,
    ),
    Claim(
        id="efficiency.flops-at-1m",
        place="Section 3.2.3",
        says="At 1M that ratio has come down to 1.1.",
        test="arithmetic on relative FLOPs, to the digit stated",
        rests_on=(COSTS,),
        judge=flops_at_full,
    ),
    Claim(
        id="efficiency.cost-shrinks",
        place="Section 3.2.3",
        says="The longer the second stage, the smaller the extra cost.",
        test="arithmetic on relative FLOPs of two τ at two checkpoints",
        rests_on=(COSTS,),
        judge=cost_shrinks,
    ),
    Claim(
        id="efficiency.majority-matches",
        place="Section 3.2.3",
        says="On most suites SPACTOR at 500K matches or beats the baseline at 1M.",
        test="non-inferiority by suite, margin half the baseline's gain, Holm; more than half",
        rests_on=(Cells(("average",), ("base",), ("0", "250K")),),
        judge=majority_matches,
    ),
    Claim(
        id="efficiency.at-least-forty",
        place="Section 3.2.3",
        says="The saving for Base is at least 40 %.",
        test="arithmetic on relative FLOPs of every τ",
        rests_on=(COSTS,),
        judge=at_least_forty,
    ),
    Claim(
        id="efficiency.same-average",
        place="Section 3.2.3, Figure 2",
        says="SuperGLUE, SQuAD and CNN/DailyMail reach the 1M score with 40 % less compute.",
        test="non-inferiority by suite, margin half the baseline's gain, Holm",
        rests_on=(COSTS, Cells(("average",), ("base",), ("0", "250K"), (), FIGURE2_SUITES)),
        judge=same_average,
    ),
    Claim(
        id="efficiency.most-budgets",
        place="Section 3.2.3, Figure 2",
        says="On these suites SPACTOR is ahead at most compute budgets.",
        test="lines of mean score over FLOPs; ahead at more than half of the common budgets",
        rests_on=(COSTS, Cells(("average",), ("base",), ("0", *TWO_TAUS), (), FIGURE2_SUITES)),
        judge=most_budgets,
    ),
    Claim(
        id="table3.step-flops",
        place="Table 3",
        says="A baseline step of Base costs 1.6e4 GFLOPs.",
        test="against a count from Table 5's shapes and batch, to a factor of two",
        rests_on=(COSTS, SETTINGS),
        judge=absolute_flops,
    ),
    Claim(
        id="appendix-c.mmlu-saving",
        place="Appendix C",
        says="On MMLU the saving is smaller, around 20 %.",
        test="FLOPs at which the baseline's line has the same score, to five per cent",
        rests_on=(COSTS, Cells(("average",), ("base",), ("0", *TWO_TAUS), (), ("mmlu",))),
        judge=mmlu_saving,
    ),
    Claim(
        id="appendix-c.mmlu-converges",
        place="Appendix C",
        says="On MMLU SPACTOR and the baseline converge.",
        test="equivalence at 1M, margin half the baseline's gain, Holm; and a shrinking gain",
        rests_on=(Cells(("average",), ("base",), ("0", *TWO_TAUS), (), ("mmlu",)),),
        judge=mmlu_converges,
    ),
    Claim(
        id="appendix-c.others-gain",
        place="Appendix C",
        says="On GLUE, Rainbow and BBH the gains are substantial.",
        test="FLOPs at which the baseline's line has the same score, against MMLU's 20 %",
        rests_on=(COSTS, Cells(("average",), ("base",), ("0", "250K"), (), FIGURE5_OTHERS)),
        judge=others_gain,
    ),
    Claim(
        id="appendix-c.task-dependent",
        place="Appendix C",
        says="Whether τ = 120K or 250K is better depends on the suite.",
        test="two-sided Welch by suite and checkpoint, Holm: significant in both directions",
        rests_on=(Cells(("average",), ("base",), TWO_TAUS),),
        judge=task_dependent,
    ),
)
