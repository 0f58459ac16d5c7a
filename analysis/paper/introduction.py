"""Statements of the abstract, Section 1, Section 4 and Section 5."""

from __future__ import annotations

from analysis import learning
from analysis.flops import terms
from analysis.paper.budgets import budget_saved, lead_at
from analysis.paper.comparisons import superiority
from analysis.paper.contrasts import family_of
from analysis.paper.evidence import FULL, HALF, Evidence, Missing, stated
from analysis.paper.statement import Finding, Verdict, arithmetic, contradiction, graded, judges
from analysis.parameters import discriminator_weights, generator_weights
from analysis.schema.facts import SIZES, SUITE_SHORT_NAMES, SUITES, size_label

TWO_TAUS = ("250K", "120K")
AROUND_PERCENT = 2.5
"""Tolerance of percentages that the paper rounds to multiples of five."""
SMALL = 0.1
"""Largest share that counts as "typically much smaller" or "light"."""


@judges("abstract.flops-saved")
def flops_saved(evidence: Evidence) -> Finding:
    claimed = stated("prose/flops_saved_percent")
    found = budget_saved(evidence, "base", "250K", HALF)
    ours = evidence.relative_flops("base", "250K", HALF)
    unit = evidence.relative_flops("base", "0", FULL)
    return Finding(
        arithmetic(evidence, round(found, 6) >= claimed - AROUND_PERCENT),
        f"1 − {ours:.2f} / {unit:.2f} = {found:.1f} % of the baseline's FLOPs at 1M are saved; "
        f"stated: {claimed:g} %",
    )


@judges("abstract.same-budget")
def same_budget(evidence: Evidence) -> Finding:
    budget = evidence.relative_flops("base", "250K", HALF)
    what = f"SPACTOR(250K) at 500K minus the baseline's line at the same budget, {budget:.2f}"
    leads = {
        SUITE_SHORT_NAMES[suite]: lead_at(evidence, "base", "250K", suite, budget, HALF)
        for suite in SUITES
    }
    return superiority(what, family_of(evidence, leads))


def tau_share(tau: str) -> None:
    """Registers the judge of the statement that τ is 1/n of all steps.

    The stated fraction is taken as rounded to a whole n: 120K of 1M steps are 1/8.33, which rounds
    to the stated 1/8.
    """
    claimed = stated("prose/tau_fraction", tau=tau)

    @judges(f"introduction.tau-{tau.lower()}-share")
    def judge(evidence: Evidence) -> Finding:
        last = evidence.last_hybrid_step("base", tau)
        share = last / FULL
        nearest = 1.0 / round(1.0 / share)
        return Finding(
            arithmetic(evidence, nearest == claimed),
            f"{last // 1000}K of {FULL // 1000}K steps are {share:.3f}; the nearest unit fraction "
            f"is 1/{round(1.0 / share)}, stated 1/{round(1.0 / claimed)}",
            ""
            if share == claimed
            else f"rounded: 1/{round(1.0 / claimed)} of 1M steps is {claimed * FULL / 1000:g}K",
        )


tau_share("120K")
tau_share("250K")


@judges("introduction.decoder-length")
def decoder_length(evidence: Evidence) -> Finding:
    lengths = evidence.config("base").lengths
    ratio = lengths.target_tokens / lengths.chunk_tokens
    return Finding(
        arithmetic(evidence, lengths.target_tokens < lengths.chunk_tokens),
        f"{lengths.chunk_tokens} raw tokens become {lengths.target_tokens} decoder targets, "
        f"which depend on r and μ alone and so are the same in both stages; decoding the whole "
        f"text would take {lengths.chunk_tokens}, so {ratio:.0%} of that is used",
    )


def _small(evidence: Evidence, what: str, shares: list[float]) -> Finding:
    """Judges whether a share is below ``SMALL`` in every size."""
    passed = sum(share < SMALL for share in shares)
    numbers = zip(SIZES, shares, strict=True)
    return Finding(
        graded(passed, len(shares), none=contradiction(evidence)),
        f"{what}: " + ", ".join(f"{size_label(size)} {share:.1%}" for size, share in numbers),
    )


@judges("introduction.generator-small")
def generator_small(evidence: Evidence) -> Finding:
    ratios = [
        generator_weights(model) / (discriminator_weights(model) - model.vocab_size * model.emb_dim)
        for model in (evidence.config(size).model for size in SIZES)
    ]
    return _small(evidence, "parameters of G over those of D, embeddings left out", ratios)


@judges("introduction.head-light")
def head_light(evidence: Evidence) -> Finding:
    counted = [terms(evidence.config(size), "hybrid") for size in SIZES]
    shares = [flops["rtd_head/mlp"] / sum(flops.values()) for flops in counted]
    what = f"share of the RTD head in a hybrid step's FLOPs, counted from {evidence.shapes}"
    return _small(evidence, what, shares)


@judges("introduction.around-forty")
def around_forty(evidence: Evidence) -> Finding:
    claimed = stated("prose/flops_saved_percent")
    found = {
        "Base, τ = 250K,": budget_saved(evidence, "base", "250K", HALF),
        "Large, τ = 120K,": budget_saved(evidence, "large", "120K", HALF),
    }
    if evidence.source == "published":
        # For Large, Section 3.2.4 and Table 4 give different numbers.
        found["Large, by Section 3.2.4,"] = stated("prose/flops_saved_percent", "large")
    enough = sum(value >= claimed - AROUND_PERCENT for value in found.values())
    numbers = "; ".join(f"{name} {value:.0f} %" for name, value in found.items())
    return Finding(
        graded(enough, len(found), none=contradiction(evidence)),
        f"saved over the baseline at 1M: {numbers}; stated: around {claimed:g} %",
    )


@judges("related.generator-partly-right")
def generator_partly_right(evidence: Evidence) -> Finding:
    checks = learning.run(evidence.records).checks
    check = next(c for c in checks if c.size == "base" and c.name == "generator")
    if check.verdict == learning.UNKNOWN:
        raise Missing(check.sentence)
    verdicts = {learning.CLEARLY: Verdict.HOLDS, learning.BARELY: Verdict.PARTLY}
    return Finding(verdicts.get(check.verdict, Verdict.NOT_DECIDED), check.sentence)
