"""Figures 2 and 5: score against pre-training FLOPs, one panel per suite.

By default a figure has the paper's panels and curves, Base with τ = 0, 120K and 250K, as measured.
The extended figure has every τ; below each row of panels the paper's points from Tables 2 and 4, in
panels of their own, since they may not be comparable; Large, which the paper's figures leave out,
if it was run; and a last panel with Base's accuracy on the zero-shot cloze at every validation.
Bars are standard deviations over runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd
import pyarrow.compute as pc

from analysis import leads
from analysis.required import RequiredRun
from analysis.savings import spent
from analysis.schema import published
from analysis.schema.facts import (
    CHECKPOINTS,
    FROM_SCRATCH,
    SUITE_NAMES,
    TAUS,
    Tau,
    model_label,
    origin_label,
    size_label,
)
from analysis.schema.quantities import CLOZE, CLOZE_ACCURACY
from analysis.schema.records import sole_profile
from analysis.schema.rows import of_metrics
from analysis.scores import FLOPS_UNIT_CHECKPOINT, SUMMARY_READS, relative_flops, summary
from analysis.trend import Curve, curve
from figures import drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = "base"
"""Size of the models in the paper's figures."""
TABLES = {SIZE: 2, "large": 4}
"""Number of the table with a size's published points."""
_PAPER_TAUS = ("0", "120K", "250K")


@dataclass(frozen=True)
class Point:
    """Relative FLOPs and score of a checkpoint; ``std`` is None for a single run."""

    flops: float
    mean: float
    std: float | None


Line = tuple[str, tuple[Point, ...]]
"""A τ and its points, by FLOPs."""


@dataclass(frozen=True)
class Panel:
    """Lines of one suite at one size.

    Attributes:
      size, suite: names of the size and the suite.
      lines: lines of the given records; empty if they lack the suite.
      published: the paper's lines, in an extended figure of measured records; else empty.
    """

    size: str
    suite: str
    lines: tuple[Line, ...]
    published: tuple[Line, ...]


@dataclass(frozen=True)
class Result:
    """A figure's numbers.

    Attributes:
      source, profile: source and profile of the records.
      panels: one per suite, in print order, Base before Large; the zero-shot cloze is last.
      runs: numbers of runs in the means.
    """

    source: str
    profile: str
    panels: tuple[Panel, ...]
    runs: tuple[int, ...]


@dataclass(frozen=True)
class CostFigure:
    """A figure of suite scores against pre-training FLOPs.

    Attributes:
      NUMBER: number of the figure in the paper.
      suites: suites of the panels, in print order.
      DOC: description of the figure, and the paper's claim about it.
      extended: whether the figure has the additional panels and curves.
      adds: description of what ``extended`` adds.
    """

    NUMBER: str
    suites: tuple[str, ...]
    DOC: str
    extended: bool = False
    adds: ClassVar[str] = "every τ, Large, the paper's points and the zero-shot cloze"

    @property
    def requires(self) -> tuple[RequiredRun, ...]:
        """Runs that the figure needs."""
        return tuple(
            RequiredRun(SIZE, tau, checkpoint) for tau in _PAPER_TAUS for checkpoint in CHECKPOINTS
        )

    @property
    def reads(self) -> pc.Expression:
        """Filter of the records that the figure reads."""
        return SUMMARY_READS | of_metrics(CLOZE, "cost/step_flops/")

    def compute(self, records: pd.DataFrame) -> Result:
        """Computes the points from records of one source and profile.

        Raises:
          UserError: the records mix profiles, or a run's scores are incomplete.
        """
        source, profile = sole_profile(records)
        panels: list[Panel] = []
        runs: set[int] = set()
        for size, table in TABLES.items():
            points = _points(records, size)
            if not self.extended:
                points = points[points["tau"].isin(_PAPER_TAUS)]
            own = points[points["suite"].isin(self.suites)]
            if size != SIZE and (own.empty or not self.extended):
                continue
            runs |= {int(n) for n in own["runs"].dropna()}
            paper = points.iloc[:0]
            if source != "published" and self.extended:
                paper = _points(published.load(table), size)
            panels += [
                Panel(size, suite, _lines(points, suite), _lines(paper, suite))
                for suite in self.suites
            ]
        if self.extended and (lines := _cloze_lines(records)):
            panels.append(Panel(SIZE, CLOZE, lines, ()))
        return Result(source, profile, tuple(panels), tuple(sorted(runs)))

    def draw(self, result: Result) -> Figure:
        """Draws the panels; a panel without points is marked "not run"."""
        drawn: list[tuple[str, tuple[Line, ...], bool]] = []
        sizes = dict.fromkeys(panel.size for panel in result.panels)
        several = len(sizes) > 1
        for size in sizes:
            own = [panel for panel in result.panels if panel.size == size and panel.suite != CLOZE]
            of = f", {size_label(size)}" if several else ""
            drawn += [(SUITE_NAMES[panel.suite] + of, panel.lines, False) for panel in own]
            if any(panel.published for panel in own):
                of += " · published"
                drawn += [(SUITE_NAMES[panel.suite] + of, panel.published, False) for panel in own]
        of = f", {size_label(SIZE)}" if several else ""
        cloze = [panel.lines for panel in result.panels if panel.suite == CLOZE]
        drawn += [(drawing.CLOZE_TITLE + of, lines, True) for lines in cloze]
        title = (
            f"Figure {self.NUMBER} · score against pre-training FLOPs\n"
            f"{' and '.join(map(size_label, sizes))} · "
            f"{origin_label(result.source, result.profile)}"
            f"{drawing.count_label('n = ', result.runs)}"
        )
        columns = len(self.suites)
        with drawing.settings():
            figure, axes = drawing.new_figure(len(drawn), title, columns)
            handles: dict[str, Any] = {}
            for (name, lines, is_cloze), at in zip(drawn, axes, strict=True):
                at.set_title(name)
                _draw_lines(at, lines, handles, is_cloze=is_cloze)
            order = [tau for tau in TAUS if tau in handles]
            figure.legend(
                [handles[tau] for tau in order],
                list(map(model_label, order)),
                loc="outside lower center",
                ncols=len(order) or 1,
            )
        return figure


def _points(records: pd.DataFrame, size: str) -> pd.DataFrame:
    records = records[records["size"] == size]
    flops = relative_flops(records)[["tau", "checkpoint", "value"]]
    points = summary(records).merge(flops, on=["tau", "checkpoint"])
    return points[points["checkpoint"] != FROM_SCRATCH].sort_values("value")


def _lines(points: pd.DataFrame, suite: str) -> tuple[Line, ...]:
    own = points[points["suite"] == suite]
    return tuple(
        (tau, tuple(_point(row) for row in own[own["tau"] == tau].to_dict("records")))
        for tau in TAUS
        if (own["tau"] == tau).any()
    )


def _point(row: Mapping[Any, Any]) -> Point:
    std = row["std"]
    return Point(float(row["value"]), float(row["mean"]), None if pd.isna(std) else float(std))


def _cloze_lines(records: pd.DataFrame) -> tuple[Line, ...]:
    """Computes Base's mean accuracy on the zero-shot cloze over seeds, against FLOPs."""
    overhead = leads.hybrid_cost(records)
    if overhead is None:
        return ()
    lines = []
    for tau in TAUS:
        means = curve(records, Curve(tau, CLOZE_ACCURACY, "")).mean(axis="columns")
        flops = spent(means.index.to_numpy(), Tau.parse(tau).end, overhead) / FLOPS_UNIT_CHECKPOINT
        points = zip(flops.tolist(), means.tolist(), strict=True)
        lines.append((tau, tuple(Point(cost, mean, None) for cost, mean in points)))
    return tuple(line for line in lines if line[1])


def _draw_lines(
    at: Axes, lines: tuple[Line, ...], handles: dict[str, Any], *, is_cloze: bool
) -> None:
    if not lines:
        drawing.mark_not_run(at, "no scores with costs in the records")
        return
    for tau, points in lines:
        # A single run has no bar: a bar of length zero would state a standard deviation of 0.
        bars = [point.std if point.std is not None else float("nan") for point in points]
        drawn = at.errorbar(
            [point.flops for point in points],
            [point.mean for point in points],
            yerr=None if all(point.std is None for point in points) else bars,
            capsize=2.5,
            linewidth=1.3,
            elinewidth=0.8,
            markersize=5,
            **{**drawing.TAU_STYLES[tau].options(), **({"marker": ""} if is_cloze else {})},
        )
        handles.setdefault(tau, drawn)
    at.set_xlabel("pre-training FLOPs (baseline at 500K = 1)")
    at.set_ylabel("accuracy (%)" if is_cloze else "suite score (0–100)")
    at.margins(x=0.08, y=0.14)


FIGURES = (
    CostFigure(
        NUMBER="2",
        suites=("superglue", "squad", "cnndm"),
        DOC="""Figure 2: score against pre-training FLOPs on SuperGLUE, SQuAD and
CNN/DailyMail, Base.

Claims: SPACTOR(τ) reaches the baseline's final score at about 40 % fewer FLOPs, and scores above it
over most of the range of budgets.
""",
    ),
    CostFigure(
        NUMBER="5",
        suites=("glue", "rainbow", "bbh", "mmlu"),
        DOC="""Figure 5: score against pre-training FLOPs on GLUE, Rainbow, BBH and
MMLU, Base (Appendix C).

Claims: substantial savings here too, but for MMLU about 20 %, where SPACTOR(τ) converges to the
baseline; whether τ = 120K or 250K is better depends on the task.
""",
    ),
)
