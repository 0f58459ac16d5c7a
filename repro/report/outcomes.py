"""What follows from one set of records, each part computed once however many pages show it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import pandas as pd

import figures
import tables
from analysis import learning, paper, registered, savings, summary, trend
from analysis.learning import ScratchResult
from analysis.paper import claims_view
from analysis.schema import published
from analysis.schema import records as record_files
from figures import drawing
from tables.cells import Table


class Outcomes:
    """Tables, figures, tests and verdicts of the records of one profile.

    Args:
      records: measured, of one profile; may be empty.
      timing: wall-clock records of the same profile, or None.
      drawn: returns the figures' SVG by number where another process draws them; called once.

    Raises:
      UserError: records are invalid or of several profiles.
    """

    def __init__(
        self,
        records: pd.DataFrame,
        timing: pd.DataFrame | None = None,
        drawn: Callable[[], Mapping[str, bytes]] | None = None,
    ) -> None:
        self.records = record_files.combine(records, *([] if timing is None else [timing]))
        _, self.profile = record_files.sole_profile(self.records)
        self._drawn = drawn or self._draw

    @functools.cached_property
    def tables(self) -> Mapping[int, Table]:
        """Every table by its number."""
        return {number: module.compute(self.records) for number, module in tables.REGISTRY.items()}

    @functools.cached_property
    def svgs(self) -> Mapping[str, bytes]:
        """Every figure by its number."""
        return self._drawn()

    def _draw(self) -> Mapping[str, bytes]:
        return {
            number: drawing.encode(module.draw(module.compute(self.records)), "svg")
            for number, module in figures.REGISTRY.items()
        }

    @functools.cached_property
    def judged(self) -> Sequence[claims_view.Row]:
        """Every claim on the paper's numbers and on ours."""
        return claims_view.beside(paper.judge(published.load_all()), paper.judge(self.records))

    @functools.cached_property
    def summary(self) -> summary.SummaryResult:
        return summary.run(self.records, self.scratch)

    @functools.cached_property
    def registered(self) -> registered.RegisteredResult:
        return registered.run(self.records)

    @functools.cached_property
    def trend(self) -> trend.TrendResult:
        return trend.run(self.records)

    @functools.cached_property
    def savings(self) -> savings.SavingsResult:
        return savings.run(self.records)

    @functools.cached_property
    def learning(self) -> learning.LearningResult:
        return learning.run(self.records)

    @functools.cached_property
    def scratch(self) -> ScratchResult:
        return learning.compare_with_scratch(self.records)
