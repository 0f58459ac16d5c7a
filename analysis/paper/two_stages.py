"""Statements of Section 3.2.2 and Table 2: τ < ∞ for Base."""

from __future__ import annotations

from analysis.paper.compared import OTHER_SUITES
from analysis.paper.contrasts import family, not_run
from analysis.paper.evidence import FULL, HALF, Evidence, Missing, stated
from analysis.paper.statement import (
    Finding,
    Verdict,
    arithmetic,
    contradiction,
    graded,
    judges,
    rounds_to,
)
from analysis.schema.facts import CHECKPOINTS, SUITE_SHORT_NAMES, SUITES, Tau, step_label

TAUS_AT_HALF = ("250K", "120K", "60K")
TAUS_AT_FULL = ("250K", "120K")


def gains(id: str, metric: str, suites: tuple[str, ...]) -> None:
    """Registers a judge of the gains of τ = 250K at 500K, in the baseline's standard deviations.

    Args:
      id: id of the statement.
      metric: metric of ``prose.csv`` with the stated number of standard deviations.
      suites: suites of the statement.
    """

    @judges(id)
    def judge(evidence: Evidence) -> Finding:
        claimed = stated(metric, "base", "250K")
        found, absent = {}, []
        for suite in suites:
            name = SUITE_SHORT_NAMES[suite]
            if not all(evidence.scored("base", tau, HALF, suite) for tau in ("250K", "0")):
                absent.append(name)
                continue
            ours = evidence.score("base", "250K", HALF, suite)
            plain = evidence.score("base", "0", HALF, suite)
            if not plain.testable or plain.std == 0.0:
                raise Missing(
                    f"the baseline's {name} score has no standard deviation; gain "
                    f"{ours.mean - plain.mean:+.2f}"
                )
            found[name] = (ours.mean - plain.mean) / plain.std
        if not found:
            raise Missing(f"not run: {', '.join(absent)}")
        large = {name for name, gain in found.items() if round(gain, 6) >= claimed}
        none, also = Verdict.INCONSISTENT, ""
        if evidence.source == "measured":
            members = family(evidence, "base", suites, [(("250K", HALF), ("0", HALF))])
            outcomes = members.outcomes("higher")
            large &= {outcome.contrast.name for outcome in outcomes if outcome.shown}
            lower = any(outcome.refuted for outcome in outcomes)
            none = Verdict.CONTRADICTED if lower else Verdict.NOT_DECIDED
            also = f", and shown to be a gain ({members.how}),"
        passed = len(large)
        numbers = ", ".join(f"{name} {gain:.2f}" for name, gain in found.items())
        return Finding(
            graded(passed, len(found), incomplete=bool(absent), none=none),
            f"gains in the baseline's standard deviations: {numbers}; {claimed:g} or more{also} "
            f"on {passed} of {len(found)}{not_run(absent)}",
        )


gains("base.gain-at-least-one-deviation", "prose/least_gain_deviations", SUITES)
gains("base.gain-up-to-three-deviations", "prose/largest_gain_deviations", ("glue", "squad"))


@judges("base.three-quarters-plain")
def mostly_plain(evidence: Evidence) -> Finding:
    claimed = stated("prose/span_corruption_only_percent", "base")
    shares = {}
    for tau in TAUS_AT_FULL:
        try:
            shares[tau] = 100.0 * (1.0 - evidence.last_hybrid_step("base", tau) / FULL)
        except Missing:
            continue
    if not shares:
        raise Missing("no run of τ = 250K or 120K")
    return Finding(
        arithmetic(evidence, round(min(shares.values())) >= claimed),
        ", ".join(f"τ = {tau}: {share:g} %" for tau, share in shares.items())
        + f" of 1M steps are span corruption alone; stated: {claimed:g} %",
    )


@judges("base.60k-on-par")
def some_on_par(evidence: Evidence) -> Finding:
    pairs = [(("60K", HALF), ("0", HALF))]
    members = family(evidence, "base", OTHER_SUITES, pairs)
    members.require()
    level = [contrast.name for contrast in members.contrasts if contrast.difference <= 0.0]
    text = (
        f"SPACTOR(60K) minus the baseline at 500K: {members.differences()}; not above it on "
        f"{', '.join(level) or 'none'}{not_run(members.absent)}"
    )
    if evidence.source == "published":
        none = Verdict.NOT_DECIDED if members.absent else contradiction(evidence)
        return Finding(Verdict.HOLDS if level else none, text)
    higher = members.outcomes("higher")
    within = family(evidence, "base", OTHER_SUITES, pairs, with_margin=True).outcomes("within")
    shown = [o.contrast.name for o in within if o.shown]
    shown += [o.contrast.name for o in higher if o.refuted and o.contrast.name not in shown]
    everywhere = all(outcome.shown for outcome in higher) and not members.absent
    none = Verdict.CONTRADICTED if everywhere else Verdict.NOT_DECIDED
    return Finding(
        Verdict.HOLDS if shown else none,
        f"{text}; shown to be lower, or within half of the baseline's gain, on "
        f"{', '.join(shown) or 'none'} ({members.how})",
    )


@judges("table2.flops-column")
def flops_column(evidence: Evidence) -> Finding:
    overhead = evidence.step_overhead("base")
    parts, wrong = [], 0
    for checkpoint in CHECKPOINTS:
        for tau in ("0", *TAUS_AT_HALF):
            if not evidence.has_flops("base", tau, checkpoint):
                continue
            printed, decimals = evidence.printed_flops("base", tau, checkpoint)
            exact = (checkpoint + overhead * min(Tau.parse(tau).end, checkpoint)) / HALF
            wrong += not rounds_to(exact, printed, decimals)
            shown = f"{exact:.4f}".rstrip("0").rstrip(".")
            parts.append(f"{tau} {step_label(checkpoint)} {shown} ({printed:.{decimals}f})")
    if not parts:
        raise Missing("no FLOPs of Base")
    return Finding(
        arithmetic(evidence, not wrong),
        f"from a step's overhead of {overhead:.1%} and τ, in brackets as given: "
        f"{', '.join(parts)}; {len(parts) - wrong} of {len(parts)} agree",
    )


@judges("table2.flops-column-number")
def column_number(evidence: Evidence) -> Finding:
    in_text = evidence.number("prose/flops_column_in_text", "base")
    in_caption = evidence.number("prose/flops_column_in_caption", "base")
    return Finding(
        arithmetic(evidence, in_text == in_caption),
        f"Section 3.2.3 names column {in_text:g}, the table's caption column {in_caption:g}; it is "
        "the third, after τ and the checkpoint",
    )


@judges("base.60k-not-at-1m")
def no_60k_at_full(evidence: Evidence) -> Finding:
    checkpoints = evidence.checkpoints("base", "60K")
    if not checkpoints:
        raise Missing("no score of τ = 60K")
    return Finding(
        arithmetic(evidence, FULL not in checkpoints),
        f"Table 2 has τ = 60K at {', '.join(map(step_label, checkpoints))}",
    )
