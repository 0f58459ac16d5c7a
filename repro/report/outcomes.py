"""What follows from one set of records, each part computed once however many pages show it."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor

import pandas as pd

import figures
import tables
from analysis import learning, paper, power, registered, savings, summary, trend
from analysis.learning import ScratchResult
from analysis.paper import Judgement, claims_view
from analysis.schema import published, rows
from analysis.schema import records as record_files
from tables.cells import Table


class Outcomes:
    """Tables, figures, tests and verdicts of the records of one profile.

    Args:
      records: measured, of one profile; may be empty.
      timing: wall-clock records of the same profile, or None.
      drawer: draws the figures and tests the trend while this process does the rest; see
        ``repro.drawing_process``.
      kinds: of the figures' files, of ``figures.drawing.KINDS``.

    Raises:
      UserError: records are invalid or of several profiles.
    """

    def __init__(
        self,
        records: pd.DataFrame,
        timing: pd.DataFrame | None = None,
        drawer: Executor | None = None,
        kinds: Sequence[str] = ("svg",),
    ) -> None:
        self.records = record_files.combine(records, *([] if timing is None else [timing]))
        _, self.profile = record_files.sole_profile(self.records)
        # As commands that read a part of the records, see `analysis.schema.rows`.
        self._read = self.records[~rows.superseded(self.records)].reset_index(drop=True)
        # Drawing needs the trend, whose libraries take long to import.
        draw = functools.partial(_drawn, tuple(figures.REGISTRY), self._read, tuple(kinds))
        self._drawing = drawer.submit(draw).result if drawer else draw

    @functools.cached_property
    def tables(self) -> Mapping[int, Table]:
        """Every table by its number."""
        return {number: module.compute(self._read) for number, module in tables.REGISTRY.items()}

    @property
    def figures(self) -> Mapping[str, Mapping[str, bytes]]:
        """The files of every figure, by number and kind."""
        return self._drawn[0]

    @functools.cached_property
    def _drawn(self) -> tuple[Mapping[str, Mapping[str, bytes]], trend.TrendResult]:
        return self._drawing()

    @functools.cached_property
    def _judgements(self) -> tuple[Sequence[Judgement], Sequence[Judgement]]:
        """Every claim judged on the paper's numbers, and on ours."""
        return paper.judge(published.load_all()), paper.judge(self._read)

    @property
    def judged(self) -> Sequence[claims_view.Row]:
        """Every claim on the paper's numbers and on ours."""
        return claims_view.pair_rows(*self._judgements)

    @functools.cached_property
    def runs(self) -> Mapping[str, int]:
        """How many runs there are of each size."""
        return power.runs_of(self._read)

    @functools.cached_property
    def power(self) -> Sequence[power.PowerResult]:
        """What these runs can decide, by the paper's spreads and by ours."""
        return [power.run(judged, self.runs) for judged in self._judgements]

    @functools.cached_property
    def summary(self) -> summary.SummaryResult:
        return summary.run(self._read, self.scratch)

    @functools.cached_property
    def registered(self) -> registered.RegisteredResult:
        return registered.run(self._read)

    @property
    def trend(self) -> trend.TrendResult:
        return self._drawn[1]

    @functools.cached_property
    def savings(self) -> savings.SavingsResult:
        return savings.run(self._read)

    @functools.cached_property
    def learning(self) -> learning.LearningResult:
        return learning.run(self._read)

    @functools.cached_property
    def scratch(self) -> ScratchResult:
        return learning.compare_with_scratch(self._read)


def _drawn(
    numbers: Sequence[str], records: pd.DataFrame, kinds: Sequence[str]
) -> tuple[Mapping[str, Mapping[str, bytes]], trend.TrendResult]:
    """The files of the figures by number and kind, and the trend."""
    drawn = {number: figures.encode(number, records, kinds) for number in numbers}
    return drawn, trend.run(records)
