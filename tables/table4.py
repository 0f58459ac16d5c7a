"""Table 4: suite averages of SPACTOR-Large(τ) at 500K and 1M pre-training steps.

Claims: the gain over the baseline (τ = 0) persists at the larger size, on every suite, for 6 % and
3 % more FLOPs.
"""

from __future__ import annotations

import pandas as pd

from analysis.required import RequiredRun
from analysis.scores import SUMMARY_READS
from tables import score_table
from tables.cells import Table
from tables.rendering import render

NUMBER = 4
DOC = __doc__
SIZE = "large"

requires: tuple[RequiredRun, ...] = (
    RequiredRun("large", "0", 500_000),
    RequiredRun("large", "120K", 500_000),
    RequiredRun("large", "0", 1_000_000),
    RequiredRun("large", "120K", 1_000_000),
)
reads = SUMMARY_READS


def compute(records: pd.DataFrame) -> Table:
    """The table from records of one source and profile.

    Raises:
      UserError: the records mix profiles, or a run's scores are incomplete.
    """
    return score_table.compute(records, number=NUMBER, size=SIZE, rows=requires)


__all__ = ["DOC", "NUMBER", "SIZE", "compute", "reads", "render", "requires"]
