"""The paper's statements, each judged once: by arithmetic, or by a test of scores over runs.

``statements.csv`` is the registry: place, statement in our words, kind of test. ``compared`` has
those that one test of scores judges, a row each; a module per section has the others. The same
judge is applied to published numbers and to measured records of any profile, with checkpoints and
τ on the paper's scale. Numbers that the paper states are read from
``analysis/schema/published/prose.csv``. Two views list the results:

* ``judge`` and ``claims_view`` (``repro claims``): statements that runs can confirm or refute, by
  the published and by measured numbers;
* ``audit`` and ``audit_view`` (``repro audit``): the published numbers recomputed from each other,
  cell by cell, and the statements that arithmetic on them decides.
"""

from __future__ import annotations

import pandas as pd

from analysis.paper import (
    appendix_a,
    appendix_d,
    averages,
    compared,
    counts,
    efficiency,
    introduction,
    large,
    patterns,
    score_tables,
    setup,
    single_stage,
    two_stages,
)
from analysis.paper.breakdown import Breakdown
from analysis.paper.evidence import Evidence
from analysis.paper.statement import CLAIM_VERDICTS, Judgement, Statement, Verdict, registry
from analysis.schema.rows import SCORES, of_metrics
from spactor.errors import UserError

_JUDGES = (
    *(introduction, setup, single_stage, two_stages, efficiency, large, appendix_a, appendix_d),
    *(compared, score_tables),
)
"""Modules whose import binds judges to the rows of ``statements.csv``."""
REGISTRY = registry()
"""Every statement, in the order of the paper."""

CLAIMS = tuple(statement for statement in REGISTRY if statement.claimed)
"""Statements that measured records can confirm or refute."""

READS = SCORES | of_metrics(
    *("cost/", "data/", "finetuning/", "prose/", "setting/", "timing/", "trend/", "validation/")
)
"""Every record that one of ``CLAIMS`` is judged on."""


def judge(records: pd.DataFrame) -> tuple[Judgement, ...]:
    """Judges ``CLAIMS`` on records of one source and profile; of no records none is testable.

    Raises:
      UserError: the records mix profiles, or a run's scores are incomplete.

    >>> from analysis.schema import published
    >>> judged = {item.statement.id: item for item in judge(published.load_all())}
    >>> print(judged["efficiency.flops-at-500k"].sentence)
    0.5 · 1.375 + 0.5 = 1.188; stated: 1.2
    """
    evidence = Evidence.of(records)
    return tuple(statement.judged(evidence) for statement in CLAIMS)


def audit(records: pd.DataFrame) -> tuple[Judgement, ...]:
    """Recomputes the published numbers from each other.

    Args:
      records: all of them, ``analysis.schema.published.load_all()``.

    Returns:
      Judgements of suite averages and their patterns, of accuracies as counts, and of the
      statements that arithmetic decides.

    Raises:
      UserError: the records are not the paper's, or numbers that the audit needs are missing.
    """
    evidence = Evidence.of(records)
    if evidence.source != "published":
        raise UserError("the audit is of the paper's numbers: give the published records")
    printed = Breakdown(records)
    return (
        *averages.check(printed),
        *patterns.check(printed),
        *counts.check(printed),
        *(statement.judged(evidence) for statement in REGISTRY if statement.audited),
    )


__all__ = [
    "CLAIMS",
    "CLAIM_VERDICTS",
    "READS",
    "REGISTRY",
    "Evidence",
    "Statement",
    "Verdict",
    "audit",
    "judge",
]
