"""Claims of Section 3.2.2 and Table 2: τ < ∞ for Base."""

from __future__ import annotations

from analysis.claims.claim import Cells, Claim, Finding, Verdict, contradiction, graded
from analysis.claims.comparisons import (
    against,
    equivalence,
    family,
    non_inferiority,
    superiority,
)
from analysis.claims.evidence import (
    FULL,
    HALF,
    SUITE_NAMES,
    Evidence,
    Missing,
    describe,
    stated,
    steps,
)
from analysis.schema.facts import CHECKPOINTS, SUITES, TAUS
from analysis.scores import strictly_higher
from analysis.tests import Sample

TAUS_AT_HALF = ("250K", "120K", "60K")
TAUS_AT_FULL = ("250K", "120K")
HARD_SUITES = ("mmlu", "bbh")
"""The two that the paper excepts from "half the steps"."""
MATCHED_SUITES = tuple(suite for suite in SUITES if suite not in HARD_SUITES)
SAME_SUITES = ("superglue", "squad")
"""The two on which the paper sees no difference among τ."""
OTHER_SUITES = tuple(suite for suite in SUITES if suite not in SAME_SUITES)


def beats_baseline(tau: str, checkpoint: int, size: str = "base") -> Claim:
    """One τ against the baseline at equal steps, over all suites."""
    ours, plain = (tau, checkpoint), ("0", checkpoint)

    def judge(evidence: Evidence) -> Finding:
        members = family(evidence, size, SUITES, [(ours, plain)])
        return superiority(against(size, ours, plain), members)

    at = steps(checkpoint)
    verb = "is still" if checkpoint == FULL and size == "base" else "is"
    return Claim(
        id=f"{size}.{tau.lower()}-beats-baseline-{at.lower()}",
        place="Section 3.2.2" if size == "base" else "Section 3.2.4",
        says=f"At {at}, {describe(size, tau)} {verb} clearly better than the baseline throughout.",
        test="superiority at equal steps by suite, Holm",
        rests_on=(Cells(("average",), (size,), ("0", tau), (checkpoint,)),),
        judge=judge,
    )


def half_the_steps(tau: str) -> Claim:
    """One τ at 500K against the baseline at 1M, without the excepted suites."""
    ours, plain = (tau, HALF), ("0", FULL)

    def judge(evidence: Evidence) -> Finding:
        members = family(evidence, "base", MATCHED_SUITES, [(ours, plain)], with_margin=True)
        return non_inferiority(against("base", ours, plain), members)

    return Claim(
        id=f"base.{tau.lower()}-half-the-steps",
        place="Section 3.2.2",
        says=f"SPACTOR({tau}) at 500K is as good as the baseline at 1M, but for MMLU and BBH.",
        test="non-inferiority by suite, margin half the baseline's gain from 500K to 1M, Holm",
        rests_on=(Cells(("average",), ("base",), ("0", tau), (), MATCHED_SUITES),),
        judge=judge,
    )


def _gains(evidence: Evidence, suites: tuple[str, ...]) -> tuple[dict[str, float], list[str]]:
    """Gain of τ = 250K at 500K in the baseline's standard deviations, and what was not run."""
    found, absent = {}, []
    for suite in suites:
        name = SUITE_NAMES[suite]
        if not all(evidence.scored("base", tau, HALF, suite) for tau in ("250K", "0")):
            absent.append(name)
            continue
        ours = evidence.score("base", "250K", HALF, suite)
        plain = evidence.score("base", "0", HALF, suite)
        if not plain.testable or plain.std == 0.0:
            raise Missing(
                f"the baseline's {name} score has no spread; gain {ours.mean - plain.mean:+.2f}"
            )
        found[name] = (ours.mean - plain.mean) / plain.std
    if not found:
        raise Missing(f"not run: {', '.join(absent)}")
    return found, absent


def gain_at_least(evidence: Evidence) -> Finding:
    return _gain_in_deviations(evidence, SUITES, "prose/least_gain_deviations")


def gain_up_to(evidence: Evidence) -> Finding:
    return _gain_in_deviations(evidence, ("glue", "squad"), "prose/largest_gain_deviations")


def _gain_in_deviations(evidence: Evidence, suites: tuple[str, ...], metric: str) -> Finding:
    claimed = stated(metric, "base", "250K")
    gains, absent = _gains(evidence, suites)
    passed = sum(round(gain, 6) >= claimed for gain in gains.values())
    numbers = ", ".join(f"{name} {gain:.2f}" for name, gain in gains.items())
    return Finding(
        graded(passed, len(gains), incomplete=bool(absent)),
        f"gains in the baseline's standard deviations: {numbers}; {claimed:g} or more on {passed} "
        f"of {len(gains)}" + (f"; not run: {', '.join(absent)}" if absent else ""),
    )


def exceptions_fall_short(evidence: Evidence) -> Finding:
    plain, ours = ("0", FULL), ("250K", HALF)
    members = family(evidence, "base", HARD_SUITES, [(plain, ours)])
    return superiority(against("base", plain, ours), members)


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
    least = min(shares.values())
    return Finding(
        Verdict.HOLDS if round(least) >= claimed else contradiction(evidence),
        ", ".join(f"τ = {tau}: {share:g} %" for tau, share in shares.items())
        + f" of 1M steps are span corruption alone; stated: {claimed:g} %",
    )


def decay_fixed(evidence: Evidence) -> Finding:
    pairs = [((tau, FULL), (tau, HALF)) for tau in ("250K",)]
    members = family(evidence, "base", SUITES, pairs, with_margin=True)
    return non_inferiority("SPACTOR(250K) at 1M minus itself at 500K", members)


def no_difference(evidence: Evidence) -> Finding:
    pairs = [
        ((first, HALF), (second, HALF))
        for first, second in (("250K", "120K"), ("250K", "60K"), ("120K", "60K"))
    ]
    members = family(evidence, "base", SAME_SUITES, pairs, with_margin=True)
    return equivalence("pairs of τ", members)


def smaller_tau_drops(evidence: Evidence) -> Finding:
    long, short = ("250K", HALF), ("60K", HALF)
    members = family(evidence, "base", OTHER_SUITES, [(long, short)])
    return superiority(against("base", long, short), members)


def some_on_par(evidence: Evidence) -> Finding:
    members = family(evidence, "base", OTHER_SUITES, [(("60K", HALF), ("0", HALF))])
    members.require()
    level = [contrast.name for contrast in members.contrasts if contrast.difference <= 0.0]
    verdict = Verdict.HOLDS if level else Verdict.PARTLY if members.absent else Verdict.FAILS
    return Finding(
        verdict,
        f"SPACTOR(60K) minus the baseline at 500K: {members.shown()}; not above it on "
        f"{', '.join(level) or 'none'}{members.rest()}",
    )


def runs_per_cell(size: str, number: int, claimed: int) -> Claim:
    """How many runs stand behind a cell."""

    def judge(evidence: Evidence) -> Finding:
        cells = [
            evidence.score(size, tau, at, suite)
            for tau in TAUS
            for at in CHECKPOINTS
            for suite in SUITES
            if evidence.scored(size, tau, at, suite)
        ]
        if not cells:
            raise Missing(f"no score of {size.capitalize()}")
        counts = sorted({cell.runs for cell in cells})
        records = evidence.records
        printed = records[
            (records["size"] == size) & (records["task"] != "") & records["seed"].isna()
        ]
        wrong = printed[printed["runs"] != claimed]
        found = " or ".join(map(str, counts))
        text = f"runs per cell: {found} ({len(cells)} cells); stated: {claimed}"
        if len(wrong):
            places = ", ".join(sorted(set(wrong["place"])))
            other = ", ".join(map(str, sorted(set(wrong["runs"].dropna()))))
            text += f"; but {places} says medians of {other} runs"
        fits = counts == [claimed] and wrong.empty
        return Finding(Verdict.HOLDS if fits else contradiction(evidence), text)

    return Claim(
        id=f"table{number}.runs",
        place=f"Table {number}",
        says=f"Every {size.capitalize()} score is over {claimed} runs.",
        test="count of the runs, here and in the breakdown tables of the appendix",
        rests_on=(Cells(("average", "task"), (size,)),),
        judge=judge,
    )


def bold_rule(size: str, number: int) -> Claim:
    """Bold against the means."""

    def judge(evidence: Evidence) -> Finding:
        records = evidence.records
        printed = records[
            (records["size"] == size) & (records["metric"] == "average") & records["bold"].notna()
        ]
        if printed.empty or evidence.source != "published":
            raise Missing("measured cells have no printed bold: it is set by this very rule")
        wrong = 0
        for row in printed.to_dict("records"):
            plain: Sample = evidence.score(size, "0", int(row["checkpoint"]), row["suite"])
            wrong += bool(row["bold"]) != strictly_higher(row["value"], plain.mean)
        return Finding(
            contradiction(evidence) if wrong else Verdict.HOLDS,
            f"{len(printed) - wrong} of {len(printed)} cells are bold as the rule says",
        )

    return Claim(
        id=f"table{number}.bold",
        place=f"Table {number}",
        says="Bold marks a higher mean than the baseline's at the same steps.",
        test="the rule applied to every printed mean",
        rests_on=(Cells(("average",), (size,)),),
        judge=judge,
    )


def flops_column(evidence: Evidence) -> Finding:
    overhead = evidence.step_overhead("base")
    parts, wrong = [], 0
    for checkpoint in CHECKPOINTS:
        for tau in ("0", *TAUS_AT_HALF):
            if not evidence.has_flops("base", tau, checkpoint):
                continue
            printed, decimals = evidence.printed_flops("base", tau, checkpoint)
            tau_steps = 0 if tau == "0" else int(tau.removesuffix("K")) * 1000
            exact = (checkpoint + overhead * min(tau_steps, checkpoint)) / HALF
            # Half a unit of the last digit printed, and a breath for binary fractions.
            fits = abs(exact - printed) <= 0.5 * 10.0**-decimals + 1e-9
            wrong += not fits
            shown = f"{exact:.4f}".rstrip("0").rstrip(".")
            parts.append(f"{tau} {steps(checkpoint)} {shown} ({printed:.{decimals}f})")
    if not parts:
        raise Missing("no FLOPs of Base")
    return Finding(
        contradiction(evidence) if wrong else Verdict.HOLDS,
        f"from a step's overhead of {overhead:.1%} and τ, in brackets as given: "
        f"{', '.join(parts)}; {len(parts) - wrong} of {len(parts)} agree",
    )


def column_number(evidence: Evidence) -> Finding:
    in_text = evidence.number("prose/flops_column_in_text", "base")
    in_caption = evidence.number("prose/flops_column_in_caption", "base")
    return Finding(
        Verdict.HOLDS if in_text == in_caption else contradiction(evidence),
        f"Section 3.2.3 says column {in_text:g}, the table's caption column {in_caption:g}; it "
        "stands third, after τ and the checkpoint",
    )


CLAIMS: tuple[Claim, ...] = (
    *(beats_baseline(tau, HALF) for tau in TAUS_AT_HALF),
    Claim(
        id="base.gain-at-least-one-deviation",
        place="Section 3.2.2",
        says="At 500K, τ = 250K gains at least one standard deviation on every suite.",
        test="gain over the baseline's standard deviation, as printed",
        rests_on=(Cells(("average",), ("base",), ("0", "250K"), (HALF,)),),
        judge=gain_at_least,
    ),
    Claim(
        id="base.gain-up-to-three-deviations",
        place="Section 3.2.2",
        says="On GLUE and SQuAD that gain reaches three standard deviations.",
        test="gain over the baseline's standard deviation, as printed",
        rests_on=(Cells(("average",), ("base",), ("0", "250K"), (HALF,), ("glue", "squad")),),
        judge=gain_up_to,
    ),
    *(half_the_steps(tau) for tau in TAUS_AT_HALF),
    Claim(
        id="base.exceptions-fall-short",
        place="Section 3.2.2",
        says="On MMLU and BBH the baseline at 1M stays ahead of τ = 250K at 500K.",
        test="superiority of the baseline by suite, Holm",
        rests_on=(Cells(("average",), ("base",), ("0", "250K"), (), HARD_SUITES),),
        judge=exceptions_fall_short,
    ),
    *(beats_baseline(tau, FULL) for tau in TAUS_AT_FULL),
    Claim(
        id="base.three-quarters-plain",
        place="Section 3.2.2",
        says="In a run of 1M steps, 75 % of them are span corruption alone.",
        test="arithmetic on τ; measured: where the RTD loss ends",
        rests_on=(
            Cells(("average",), ("base",), TAUS_AT_FULL),
            Cells(("validation/rtd_loss",), ("base",), TAUS_AT_FULL),
        ),
        judge=mostly_plain,
    ),
    Claim(
        id="base.decay-fixed",
        place="Section 3.2.2",
        says="With a second stage, the scores do not decay from 500K to 1M.",
        test="non-inferiority of 1M to 500K by suite, margin half the baseline's gain, Holm",
        rests_on=(Cells(("average",), ("base",), ("0", "250K")),),
        judge=decay_fixed,
    ),
    Claim(
        id="base.no-difference-among-tau",
        place="Section 3.2.2",
        says="On SuperGLUE and SQuAD it does not matter which τ it is, at 500K.",
        test="equivalence of every pair of τ, margin half the baseline's gain, Holm",
        rests_on=(Cells(("average",), ("base",), ("0", *TAUS_AT_HALF), (), SAME_SUITES),),
        judge=no_difference,
    ),
    Claim(
        id="base.smaller-tau-drops",
        place="Section 3.2.2",
        says="On the other suites, τ = 60K is significantly worse than τ = 250K at 500K.",
        test="superiority of τ = 250K by suite, Holm",
        rests_on=(Cells(("average",), ("base",), ("250K", "60K"), (HALF,), OTHER_SUITES),),
        judge=smaller_tau_drops,
    ),
    Claim(
        id="base.60k-on-par",
        place="Section 3.2.2",
        says="With τ = 60K some of these are no better than the baseline.",
        test="means at 500K, as printed: not above the baseline's on one suite or more",
        rests_on=(Cells(("average",), ("base",), ("0", "60K"), (HALF,), OTHER_SUITES),),
        judge=some_on_par,
    ),
    bold_rule("base", 2),
    runs_per_cell("base", 2, 5),
    Claim(
        id="table2.flops-column",
        place="Table 2",
        says="The FLOPs column follows from the first stage's overhead and τ.",
        test="arithmetic: (steps + overhead · τ) / 500K, to the digits printed",
        rests_on=(
            Cells(
                (
                    "cost/relative_pretraining_flops",
                    "cost/pretraining_flops",
                    "cost/step_flops/",
                ),
                ("base",),
            ),
        ),
        judge=flops_column,
    ),
    Claim(
        id="table2.flops-column-number",
        place="Section 3.2.3",
        says="The relative FLOPs are the second column of Table 2.",
        test="the text against the table's caption",
        rests_on=(Cells(("prose/flops_column_in_text", "prose/flops_column_in_caption")),),
        judge=column_number,
    ),
)
