"""Table 2: suite averages of SPACTOR-Base(τ) at 500K and 1M pre-training steps.

Claims: at the same number of steps SPACTOR(τ) scores above the baseline (τ = 0) on nearly every
suite, and its 500K checkpoint about matches the baseline's 1M one at 40 % fewer FLOPs.
A measured table has a further row for each τ that was run beyond the paper's, such as ∞.
"""

from __future__ import annotations

import pandas as pd

from analysis.required import RequiredRun
from analysis.scores import SUMMARY_READS
from tables import score_table
from tables.cells import Table
from tables.rendering import render

NUMBER = 2
DOC = __doc__
SIZE = "base"

requires: tuple[RequiredRun, ...] = (
    RequiredRun("base", "0", 500_000),
    RequiredRun("base", "250K", 500_000),
    RequiredRun("base", "120K", 500_000),
    RequiredRun("base", "60K", 500_000),
    RequiredRun("base", "0", 1_000_000),
    RequiredRun("base", "250K", 1_000_000),
    RequiredRun("base", "120K", 1_000_000),
)
reads = SUMMARY_READS


def compute(records: pd.DataFrame) -> Table:
    """The table from records of one source and profile.

    Raises:
      UserError: the records mix profiles, or a run's scores are incomplete.
    """
    return score_table.compute(records, number=NUMBER, size=SIZE, rows=requires)


__all__ = ["DOC", "NUMBER", "SIZE", "compute", "reads", "render", "requires"]
