"""The paper's checkable statements, each a small function over records with a verdict.

The same function judges the published numbers and measured ones of any profile; checkpoints and τ
are on the paper's scale in both. Tests, their level and their correction are those of
``analysis.statistics``; ``analysis.claims.comparisons`` says which test fits which statement.
"""

from __future__ import annotations

import functools
import operator

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

REGISTRY: tuple[Claim, ...] = (
    *introduction.CLAIMS,
    *setup.CLAIMS,
    *single_stage.CLAIMS,
    *two_stages.CLAIMS,
    *efficiency.CLAIMS,
    *large.CLAIMS,
    *appendix_a.CLAIMS,
)
"""Every claim, in the order of the paper's parts."""

READS = functools.reduce(
    operator.or_, (cells.subset for claim in REGISTRY for cells in claim.rests_on)
)
"""Every record that some claim rests on."""


def judge(records: pd.DataFrame) -> tuple[Judgement, ...]:
    """Every claim judged on records of one source and profile; of no records none is testable.

    Raises:
      UserError: the records mix profiles, or a run's scores are incomplete.

    >>> from repro import published
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


__all__ = ["REGISTRY", "Cells", "Claim", "Judgement", "Verdict", "judge"]
