"""The paper against itself: every number that follows from others, recomputed.

``run`` takes the published records and returns one ``Finding`` per check, agreeing ones included.
Kinds: suite averages from the breakdown tables, accuracies as counts, FLOPs columns from Table 3
and τ, bold cells, and what the prose says against what the tables hold.
"""

from __future__ import annotations

import pandas as pd

from analysis.audit import averages, costs, counts, patterns, prose, settings
from analysis.audit.finding import VERDICTS, Audit, Finding, Printed, Suspect, Verdict
from analysis.audit.showing import FORMATS, render
from analysis.schema.records import sole_profile
from spactor.errors import UserError


def run(records: pd.DataFrame) -> Audit:
    """Audits the published records.

    Args:
      records: all of them, ``analysis.schema.published.load_all()``.

    Raises:
      UserError: the records are not the paper's, or numbers that the audit needs are missing.
    """
    if (sole_profile(records) or ("", ""))[0] != "published":
        raise UserError("the audit is of the paper's numbers: give the published records")
    printed = Printed(records)
    return Audit(
        (
            *averages.check(printed),
            *patterns.check(printed),
            *counts.check(printed),
            *costs.check(printed),
            *averages.check_bold(printed),
            *prose.check(printed),
            *settings.check(printed),
        )
    )


__all__ = ["FORMATS", "VERDICTS", "Audit", "Finding", "Suspect", "Verdict", "render", "run"]
