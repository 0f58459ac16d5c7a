"""The paper's checkable statements, each a small function over records with a verdict.

The same function judges the published numbers and measured ones of any profile; checkpoints and τ
are on the paper's scale in both. Tests, their level and their correction are those of
``analysis.tests``; ``analysis.claims.comparisons`` says which test fits which statement.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping

import pandas as pd

from analysis.claims import (
    appendix_a,
    efficiency,
    introduction,
    large,
    setup,
    single_stage,
    two_stages,
)
from analysis.claims.claim import Cells, Claim, Finding, Judgement, Verdict
from analysis.claims.evidence import Evidence, Missing

PARTS: Mapping[str, tuple[Claim, ...]] = {
    "Abstract, introduction, conclusion": introduction.CLAIMS,
    "Method and set-up": setup.CLAIMS,
    "Single-stage pre-training": single_stage.CLAIMS,
    "Two stages, Base": two_stages.CLAIMS,
    "Efficiency": efficiency.CLAIMS,
    "Large": large.CLAIMS,
    "Appendix A": appendix_a.CLAIMS,
}
"""The claims of the paper's parts."""

REGISTRY: tuple[Claim, ...] = tuple(claim for part in PARTS.values() for claim in part)
"""Every claim, in the order of the paper's parts."""

READS = functools.reduce(
    operator.or_, (cells.row_filter for claim in REGISTRY for cells in claim.rests_on)
)
"""Every record that some claim rests on."""


def judge(records: pd.DataFrame) -> tuple[Judgement, ...]:
    """Every claim judged on records of one source and profile; of no records none is testable.

    Raises:
      UserError: the records mix profiles, or a run's scores are incomplete.

    >>> from analysis.schema import published
    >>> judged = {item.claim.id: item for item in judge(published.load_all())}
    >>> print(judged["efficiency.flops-at-500k"].sentence)
    0.5 · 1.375 + 0.5 = 1.188; stated: 1.2
    """
    evidence = Evidence.of(records)
    return tuple(_judged(claim, evidence) for claim in REGISTRY)


def _judged(claim: Claim, evidence: Evidence) -> Judgement:
    try:
        finding = claim.judge(evidence)
    except Missing as missing:
        finding = Finding(Verdict.NOT_TESTABLE, str(missing))
    scaled = evidence.source == "measured" and evidence.profile != "paper"
    prefix = f"at {evidence.profile} scale: " if scaled else ""
    return Judgement(
        claim, evidence.source, evidence.profile, finding.verdict, prefix + finding.sentence
    )


__all__ = ["PARTS", "REGISTRY", "Cells", "Claim", "Judgement", "Verdict", "judge"]
