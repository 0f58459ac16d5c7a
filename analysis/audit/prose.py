"""What the sections say of scores, savings and steps, against Tables 2 and 4."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from analysis.audit.costs import relative, step_ratio
from analysis.audit.finding import SUITE_NAMES, Finding, Printed, Row, Verdict, shown, verdict_of
from analysis.schema.facts import PAPER_STEPS, SUITES
from analysis.scores import BASELINE_TAU

K500, M1 = 500_000, 1_000_000
SAID_SAVING = Fraction("0.40")
"""Abstract, Sections 1 and 3.2.3: FLOPs saved."""
SAID_LARGE_SAVING = Fraction("0.35")
"""Section 3.2.4."""
SAID_MMLU_SAVING = Fraction("0.20")
"""Appendix C, on Figure 5."""
SAID_EQUAL_OR_BETTER_LARGE = ("glue", "superglue", "cnndm")
"""Section 3.2.4: suites on which Large(120K) at 500K is said to reach the baseline at 1M."""


def check(printed: Printed) -> list[Finding]:
    """One finding per statement; two where the two sizes or sides of it differ."""
    return [function(printed) for function in _CHECKS]


def _finding(
    slug: str, where: str, said: str, arithmetic: str, verdict: Verdict, remark: str = ""
) -> Finding:
    return Finding(f"prose/{slug}", "prose", where, said, arithmetic, verdict, remark)


def _eighth(printed: Printed) -> Finding:
    share = Fraction(120_000, PAPER_STEPS)
    return _finding(
        "one-eighth",
        "Section 1",
        "τ = 120K is 1/8 of all steps",
        f"120K / 1M = {float(share):.1%}; 1/8 = 12.5 % would be 125K",
        verdict_of(share == Fraction(1, 8)),
        "a rounded fraction",
    )


def _quarter(printed: Printed) -> Finding:
    share = Fraction(250_000, PAPER_STEPS)
    return _finding(
        "one-quarter",
        "Sections 1 and 3.2.2",
        "τ = 250K is a quarter of all steps, so at 1M three quarters were span corruption",
        f"250K / 1M = {float(share):.0%}",
        verdict_of(share == Fraction(1, 4)),
        "of τ = 120K it is 88 %",
    )


def _halves_steps(printed: Printed) -> Finding:
    return _finding(
        "half-the-steps",
        "Abstract and Section 1",
        "half the iterations",
        "1 − 500K / 1M = 50 %",
        verdict_of(Fraction(K500, M1) == Fraction(1, 2)),
    )


def _saving(printed: Printed, row: Row) -> Fraction:
    ours, baseline = printed.flops(row), printed.flops(Row(row.size, BASELINE_TAU, M1))
    return 1 - Fraction(str(ours.value)) / Fraction(str(baseline.value))


def _saving_base(printed: Printed) -> Finding:
    slow, quick = (_saving(printed, Row("base", tau, K500)) for tau in ("250K", "120K"))
    unrounded = 1 - relative(250_000, K500, step_ratio(printed)) / 2
    return _finding(
        "saving/base",
        "Abstract, Sections 1 and 3.2.3",
        "40 % fewer FLOPs, at least",
        f"τ = 250K: 1 − 1.2/2.0 = {float(slow):.0%} (unrounded {float(unrounded):.1%}); "
        f"τ = 120K: 1 − 1.1/2.0 = {float(quick):.0%}",
        verdict_of(min(slow, quick) >= SAID_SAVING),
        "provided that the 500K checkpoint is as good as the baseline's at 1M",
    )


def _saving_large(printed: Printed) -> Finding:
    saving = _saving(printed, Row("large", "120K", K500))
    return _finding(
        "saving/large",
        "Section 3.2.4 and Table 4",
        "35 % of compute saved by Large",
        f"500K against the baseline's 1M: 1 − 1.06/2.0 = {float(saving):.0%}; 35 % would be "
        "1 − 1.3/2.0, and Table 4 has no checkpoint at 1.3",
        verdict_of(saving == SAID_LARGE_SAVING),
    )


def _saving_scales(printed: Printed) -> Finding:
    return _finding(
        "saving/scales",
        "Section 1 (contribution 3) against Section 3.2.4",
        "it scales with model size and saves around 40 %",
        f"the only larger model is said to save {float(SAID_LARGE_SAVING):.0%}: "
        f"{float(SAID_SAVING - SAID_LARGE_SAVING):.0%} of the baseline's FLOPs less than Base",
        verdict_of(SAID_LARGE_SAVING >= SAID_SAVING),
        "Table 4's own FLOPs would give 47 %",
    )


def _saving_mmlu(printed: Printed) -> Finding:
    return _finding(
        "saving/at-least",
        "Section 3.2.3 against Appendix C",
        "an overall gain in efficiency of at least 40 %",
        f"MMLU: around {float(SAID_MMLU_SAVING):.0%}, by Appendix C",
        verdict_of(SAID_MMLU_SAVING >= SAID_SAVING),
        "a least value that one suite in seven falls short of by half",
    )


def _mmlu_interpolated(printed: Printed) -> Finding:
    parts = []
    early, late = (printed.mean(Row("base", BASELINE_TAU, at), "mmlu") for at in (K500, M1))
    for tau in ("250K", "120K"):
        row = Row("base", tau, K500)
        score = printed.mean(row, "mmlu")
        cost = Fraction(str(printed.flops(row).value))
        needed = 1 + (score - early) / (late - early)
        parts.append(
            f"τ = {tau}: the baseline reaches {shown(score, 2)} at 1 + ({shown(score, 2)} − "
            f"{shown(early, 2)})/({shown(late, 2)} − {shown(early, 2)}) = {shown(needed, 2)}, "
            f"1 − {shown(cost, 2)}/{shown(needed, 2)} = {float(1 - cost / needed):.0%}"
        )
    return _finding(
        "saving/mmlu",
        "Appendix C and Table 2",
        "around 20 % of FLOPs saved on MMLU",
        "straight line between the baseline's two cells: " + "; ".join(parts),
        "open",
        "Figure 5 has more checkpoints than Table 2 prints",
    )


def _worked_example(printed: Printed) -> Finding:
    value = relative(250_000, K500, step_ratio(printed))
    return _finding(
        "worked-example",
        "Section 3.2.3",
        "τ = 250K at 500K costs about 1.2",
        f"0.5 × 1.375 + 0.5 × 1.0 = {shown(value, 4)}",
        verdict_of(abs(value - Fraction("1.2")) <= Fraction(1, 20)),
    )


def _flops_column(printed: Printed) -> Finding:
    return _finding(
        "flops-column",
        "Section 3.2.3 against Table 2",
        "FLOPs stand in the second column of Table 2",
        "columns: 1 τ, 2 checkpoint, 3 FLOPs; the caption says third",
        "disagrees",
    )


def _consistent_gain(printed: Printed) -> Finding:
    below = []
    for tau in ("250K", "120K", "60K"):
        for suite in SUITES:
            ours = printed.mean(Row("base", tau, K500), suite)
            baseline = printed.mean(Row("base", BASELINE_TAU, K500), suite)
            if ours <= baseline:
                sign = "=" if ours == baseline else "<"
                below.append(
                    f"{SUITE_NAMES[suite]} τ = {tau}: {shown(ours, 2)} {sign} {shown(baseline, 2)}"
                )
    return _finding(
        "gain/consistent",
        "Section 3.2.2 and Table 2",
        "at 500K SPACTOR is consistently above the baseline, by a large margin",
        f"{21 - len(below)} of 21 cells are above" + "".join(f"; {one}" for one in below),
        verdict_of(not below),
        "both exceptions are of τ = 60K" if len(below) == 2 else "",
    )


def _one_deviation(printed: Printed) -> Finding:
    parts, short = [], []
    for suite in SUITES:
        ours, baseline = Row("base", "250K", K500), Row("base", BASELINE_TAU, K500)
        gain = printed.mean(ours, suite) - printed.mean(baseline, suite)
        in_own, in_baselines = (gain / printed.std(row, suite) for row in (ours, baseline))
        parts.append(f"{SUITE_NAMES[suite]} {float(in_own):.1f} or {float(in_baselines):.1f}")
        if max(in_own, in_baselines) < 1:
            short.append(SUITE_NAMES[suite])
    return _finding(
        "gain/one-deviation",
        "Section 3.2.2 and Table 2",
        "for τ = 250K at 500K the gain is at least one standard deviation, and up to 3",
        "gain in its own or in the baseline's standard deviations: " + ", ".join(parts),
        verdict_of(not short),
        f"short of one by either: {', '.join(short)}; Rainbow exceeds 3 by far" if short else "",
    )


def _ahead_at_1m(printed: Printed) -> Finding:
    pairs = [(tau, suite) for tau in ("250K", "120K") for suite in SUITES]
    gains = {
        pair: printed.mean(Row("base", pair[0], M1), pair[1])
        - printed.mean(Row("base", BASELINE_TAU, M1), pair[1])
        for pair in pairs
    }
    tau, suite = min(gains, key=lambda pair: gains[pair])
    return _finding(
        "gain/at-1M",
        "Section 3.2.2 and Table 2",
        "at 1M SPACTOR is still above the baseline",
        f"{sum(gain > 0 for gain in gains.values())} of {len(gains)} cells are above; least "
        f"{SUITE_NAMES[suite]} τ = {tau} by {shown(gains[tau, suite], 2)}",
        verdict_of(all(gain > 0 for gain in gains.values())),
    )


def _half_matches_base(printed: Printed) -> Finding:
    parts, below = [], []
    for suite in ("glue", "superglue", "squad", "cnndm", "rainbow"):
        baseline = printed.mean(Row("base", BASELINE_TAU, M1), suite)
        for tau in ("250K", "120K"):
            ours = printed.mean(Row("base", tau, K500), suite)
            parts.append(f"{SUITE_NAMES[suite]} {tau} {float(ours - baseline):+.2f}")
            if ours < baseline:
                below.append(parts[-1])
    return _finding(
        "half-the-steps/base",
        "Section 3.2.2 and Table 2",
        "but for MMLU and BBH, SPACTOR at 500K is as good as the baseline at 1M",
        ", ".join(parts),
        verdict_of(not below),
    )


def _majority(printed: Printed) -> Finding:
    count = sum(
        printed.mean(Row("base", "250K", K500), suite)
        >= printed.mean(Row("base", BASELINE_TAU, M1), suite)
        for suite in SUITES
    )
    return _finding(
        "half-the-steps/majority",
        "Section 3.2.3 and Table 2",
        "on most suites the 500K checkpoint matches or beats the baseline's 1M",
        f"τ = 250K: {count} of {len(SUITES)} suites",
        verdict_of(2 * count > len(SUITES)),
    )


def _large_reaches(printed: Printed) -> Finding:
    ours, baseline = Row("large", "120K", K500), Row("large", BASELINE_TAU, M1)
    parts, below = [], []
    for suite in SAID_EQUAL_OR_BETTER_LARGE:
        first, second = printed.mean(ours, suite), printed.mean(baseline, suite)
        sign = ">" if first > second else "=" if first == second else "<"
        parts.append(f"{SUITE_NAMES[suite]} {shown(first, 2)} {sign} {shown(second, 2)}")
        if first < second:
            below.append(SUITE_NAMES[suite])
    return _finding(
        "half-the-steps/large",
        "Section 3.2.4 and Table 4",
        "on GLUE, SuperGLUE and CNN/DailyMail, Large at 500K is better than or equal to the "
        "baseline at 1M",
        "; ".join(parts),
        verdict_of(not below),
        f"{' and '.join(below)} fall short, if within a standard deviation" if below else "",
    )


def _large_within(printed: Printed) -> Finding:
    ours, baseline = Row("large", "120K", K500), Row("large", BASELINE_TAU, M1)
    parts, beyond = [], []
    for suite in SUITES:
        if suite in SAID_EQUAL_OR_BETTER_LARGE:
            continue
        behind = printed.mean(baseline, suite) - printed.mean(ours, suite)
        widest = max(printed.std(ours, suite), printed.std(baseline, suite))
        parts.append(f"{SUITE_NAMES[suite]} {shown(behind, 2)} against {shown(widest, 2)}")
        if behind > widest:
            beyond.append(SUITE_NAMES[suite])
    return _finding(
        "within-one-deviation/large",
        "Section 3.2.4 and Table 4",
        "on the other suites it is behind by no more than one standard deviation",
        "behind by, against the greater of the two deviations: " + ", ".join(parts),
        verdict_of(not beyond),
        f"{' and '.join(beyond)} are further behind" if beyond else "",
    )


def _large_margin(printed: Printed) -> Finding:
    small = []
    for checkpoint, label in ((K500, "500K"), (M1, "1M")):
        for suite in SUITES:
            ours, baseline = (
                Row("large", "120K", checkpoint),
                Row("large", BASELINE_TAU, checkpoint),
            )
            gain = printed.mean(ours, suite) - printed.mean(baseline, suite)
            least = min(printed.std(ours, suite), printed.std(baseline, suite))
            if gain < least:
                small.append(
                    f"{SUITE_NAMES[suite]} {label} {float(gain):+.2f} against {shown(least, 2)}"
                )
    return _finding(
        "gain/large-margin",
        "Section 3.2.4 and Table 4",
        "Large is ahead of the baseline by a margin that is significant in standard deviations",
        f"below the smaller of the two deviations: {'; '.join(small) or 'none of 14'}",
        verdict_of(not small),
        f"{len(small)} of 14 cells" if small else "",
    )


def _no_60k_at_1m(printed: Printed) -> Finding:
    rows = {row for row, _, _ in printed.averages()}
    return _finding(
        "no-60K-at-1M",
        "Section 3.2.2 and Table 2",
        "τ = 60K is not scored at 1M",
        f"{len(rows)} rows in Tables 2 and 4, none of them τ = 60K at 1M",
        verdict_of(Row("base", "60K", M1) not in rows),
    )


def _no_60k_breakdown(printed: Printed) -> Finding:
    scored = {row for row, _, _ in printed.averages()}
    missing = sorted(scored - {row for row, _, _ in printed.breakdown()}, key=lambda row: row.id)
    return _finding(
        "breakdown-of-every-row",
        "Section 3.2.2 and Appendix D",
        "the appendix breaks the scores of Table 2 down",
        f"rows without a breakdown: {'; '.join(row.text for row in missing) or 'none'}",
        verdict_of(not missing),
    )


_CHECKS: tuple[Callable[[Printed], Finding], ...] = (
    _eighth,
    _quarter,
    _halves_steps,
    _saving_base,
    _saving_large,
    _saving_scales,
    _saving_mmlu,
    _mmlu_interpolated,
    _worked_example,
    _flops_column,
    _consistent_gain,
    _one_deviation,
    _ahead_at_1m,
    _half_matches_base,
    _majority,
    _large_reaches,
    _large_within,
    _large_margin,
    _no_60k_at_1m,
    _no_60k_breakdown,
)
