"""Statements that are judged by one test of a family of scores, one call each.

A call names the statement, the test and the pairs of models (τ and checkpoint); by default the size
is Base and the family is all suites.
"""

from __future__ import annotations

from analysis.paper.comparisons import compare, equivalence, non_inferiority, superiority
from analysis.paper.evidence import FULL, HALF
from analysis.schema.facts import FLAN_SUITES, SUITES

SAME_SUITES = ("superglue", "squad")
"""Suites on which the paper reports no difference among τ."""
OTHER_SUITES = tuple(suite for suite in SUITES if suite not in SAME_SUITES)
MATCHED_SUITES = tuple(suite for suite in SUITES if suite not in FLAN_SUITES)
"""Suites that the paper includes in its statement that Base needs half the steps."""
FIGURE2_SUITES = ("superglue", "squad", "cnndm")
"""Suites of Figure 2."""
LARGE_MATCHED = ("glue", "superglue", "cnndm")
"""Suites on which the paper states that Large at 500K is at least equal to its baseline at 1M."""
PLAIN_HALF, PLAIN_FULL = ("0", HALF), ("0", FULL)

# Abstract, introduction, conclusion
compare("abstract.half-the-steps", non_inferiority, (("250K", HALF), PLAIN_FULL))
compare("abstract.tied-to-two-stages", superiority, (("250K", FULL), ("inf", FULL)))
compare(
    "introduction.figure2-improves",
    superiority,
    *(((tau, at), ("0", at)) for at in (HALF, FULL) for tau in ("250K", "120K")),
    suites=FIGURE2_SUITES,
    what="Base SPACTOR minus the baseline at the same steps",
)
compare("conclusion.single-stage-decays", superiority, (("inf", HALF), ("inf", FULL)))

# Single-stage pre-training
compare("single-stage.ends-below", superiority, (PLAIN_FULL, ("inf", FULL)))

# Two stages, Base
compare("base.250k-beats-baseline-500k", superiority, (("250K", HALF), PLAIN_HALF))
compare("base.120k-beats-baseline-500k", superiority, (("120K", HALF), PLAIN_HALF))
compare("base.60k-beats-baseline-500k", superiority, (("60K", HALF), PLAIN_HALF))
compare("base.250k-beats-baseline-1m", superiority, (("250K", FULL), PLAIN_FULL))
compare("base.120k-beats-baseline-1m", superiority, (("120K", FULL), PLAIN_FULL))
for _tau in ("250K", "120K", "60K"):
    compare(
        f"base.{_tau.lower()}-half-the-steps",
        non_inferiority,
        ((_tau, HALF), PLAIN_FULL),
        suites=MATCHED_SUITES,
    )
compare("base.exceptions-fall-short", superiority, (PLAIN_FULL, ("250K", HALF)), suites=FLAN_SUITES)
compare(
    "base.decay-fixed",
    non_inferiority,
    (("250K", FULL), ("250K", HALF)),
    what="SPACTOR(250K) at 1M minus itself at 500K",
)
compare(
    "base.no-difference-among-tau",
    equivalence,
    (("250K", HALF), ("120K", HALF)),
    (("250K", HALF), ("60K", HALF)),
    (("120K", HALF), ("60K", HALF)),
    suites=SAME_SUITES,
    what="pairs of τ",
)
compare("base.smaller-tau-drops", superiority, (("250K", HALF), ("60K", HALF)), suites=OTHER_SUITES)

# Large
compare("large.120k-beats-baseline-500k", superiority, (("120K", HALF), PLAIN_HALF), size="large")
compare("large.120k-beats-baseline-1m", superiority, (("120K", FULL), PLAIN_FULL), size="large")
compare(
    "large.half-the-steps",
    non_inferiority,
    (("120K", HALF), PLAIN_FULL),
    size="large",
    suites=LARGE_MATCHED,
)
