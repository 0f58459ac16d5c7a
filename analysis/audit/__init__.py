"""The paper against itself: every number that follows from others, recomputed.

``run`` takes the published records and returns one ``Finding`` per check, agreeing ones included.
Kinds: suite averages from the breakdown tables, accuracies as counts, FLOPs columns from Table 3
and τ, bold cells, and what the prose says against what the tables hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.audit import averages, costs, counts, prose, settings
from analysis.audit.finding import VERDICTS, Finding, Printed, Suspect, Verdict
from repro.records import sole_profile
from spactor.errors import UserError


@dataclass(frozen=True)
class Audit:
    """All findings, in the order of the checks."""

    findings: tuple[Finding, ...]

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """How many findings have each verdict."""
        found = Counter(finding.verdict for finding in self.findings)
        return {verdict: found[verdict] for verdict in VERDICTS}

    @property
    def disagreements(self) -> tuple[Finding, ...]:
        """Every finding that does not simply agree."""
        return tuple(finding for finding in self.findings if finding.verdict != "agrees")

    def summary(self) -> str:
        """One line of counts."""
        found = self.counts
        return (
            f"checked {len(self.findings):,}: {found['agrees']:,} agree, "
            f"{found['disagrees']} disagree, {found['explained']} differ no more than medians "
            f"from means, {found['open']} can't be decided"
        )


def run(records: pd.DataFrame) -> Audit:
    """Audits the published records.

    Args:
      records: all of them, ``repro.published.load_all()``.

    Raises:
      UserError: the records are not the paper's, or numbers that the audit needs are missing.
    """
    if (sole_profile(records) or ("", ""))[0] != "published":
        raise UserError("the audit is of the paper's numbers: give the published records")
    printed = Printed(records)
    return Audit(
        (
            *averages.check(printed),
            *counts.check(printed),
            *costs.check(printed),
            *averages.check_bold(printed),
            *prose.check(printed),
            *settings.check(printed),
        )
    )


__all__ = ["VERDICTS", "Audit", "Finding", "Suspect", "Verdict", "run"]
