"""Figure 3: score along pre-training for τ = 0 and τ = ∞, Base, fine-tuned at every checkpoint.

Claims: RTD helps early; the gain vanishes around 250K steps, and SPACTOR(∞) ends below the
baseline. Lines are means over runs, bands the range from the lowest to the highest run; there is no
point for fine-tuning from scratch, which does not depend on τ. Of the figure's numbers the paper
prints only the baseline's, in Table 2. They are drawn for the paper's profile; a scaled profile,
which is not comparable, has them in the axis label. The extended figure has a further panel:
accuracy on the zero-shot cloze, recorded at every validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd
import pyarrow.compute as pc

from analysis.required import RequiredRun
from analysis.schema import published
from analysis.schema.facts import (
    CHECKPOINTS,
    FROM_SCRATCH,
    SUITE_NAMES,
    SUITES,
    model_label,
    step_label,
)
from analysis.schema.quantities import CLOZE, CLOZE_ACCURACY
from analysis.schema.records import sole_profile
from analysis.schema.rows import SCORES, of_metrics
from analysis.scores import suite_scores, summary
from analysis.trend import Curve, curve
from figures import drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DOC = __doc__
SIZE = "base"
CURVES = ("0", "inf")
NUMBER_OF_TABLE = 2
"""Number of the table with the baseline's scores."""
_OVER_RUNS: list[Any] = ["mean", "min", "max", "count"]
PUBLISHED = "baseline, published (bars: ± its standard deviation)"


@dataclass(frozen=True)
class Point:
    """Scores of the runs of one checkpoint, in per cent; ``paper_steps`` on the paper's scale."""

    paper_steps: int
    mean: float
    lowest: float
    highest: float
    runs: int


@dataclass(frozen=True)
class Panel:
    """A suite's points by τ, and Table 2's scores of the baseline.

    ``suite`` is ``CLOZE`` for the zero-shot cloze.
    """

    suite: str
    lines: Mapping[str, tuple[Point, ...]]
    published: Mapping[int, tuple[float, float]]
    """Mean and standard deviation by pre-training steps."""


@dataclass(frozen=True)
class Result:
    """The figure's numbers; no panels if nothing was run."""

    source: str
    profile: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class StepFigure:
    """Figure 3.

    Attributes:
      extended: whether the figure has a panel of the zero-shot cloze.
      adds: description of the panel that ``extended`` adds.
    """

    extended: bool = False
    adds: ClassVar[str] = "the zero-shot cloze"
    NUMBER: ClassVar[str] = "3"
    DOC: ClassVar[str | None] = _DOC
    requires: ClassVar[tuple[RequiredRun, ...]] = tuple(
        RequiredRun(SIZE, tau, checkpoint) for tau in CURVES for checkpoint in CHECKPOINTS
    )
    reads: ClassVar[pc.Expression] = SCORES | of_metrics(CLOZE)

    def compute(self, records: pd.DataFrame) -> Result:
        """Computes the points from records of one source and profile.

        Raises:
          UserError: the records mix profiles, or a run's scores are incomplete.
        """
        source, profile = sole_profile(records)
        scores = suite_scores(records[(records["size"] == SIZE) & records["tau"].isin(CURVES)])
        scores = scores[scores["checkpoint"] != FROM_SCRATCH]
        printed = _printed_baseline() if source == "measured" else {}
        panels = []
        for suite in SUITES:
            own = scores[scores["suite"] == suite].set_index("checkpoint")
            of_tau = {tau: own[own["tau"] == tau]["score"].groupby("checkpoint") for tau in CURVES}
            lines = {tau: _points(each.agg(_OVER_RUNS)) for tau, each in of_tau.items()}
            if any(lines.values()):
                panels.append(Panel(suite, lines, printed.get(suite, {})))
        if self.extended:
            curves = {tau: curve(records, Curve(tau, CLOZE_ACCURACY, "")) for tau in CURVES}
            cloze = {tau: _points(c.agg(_OVER_RUNS, axis="columns")) for tau, c in curves.items()}
            panels += [Panel(CLOZE, cloze, {})] if any(cloze.values()) else []
        return Result(source=source, profile=profile, panels=tuple(panels))

    def draw(self, result: Result) -> Figure:
        """Draws the panels; "not run" if there are none."""
        suites = [panel for panel in result.panels if panel.suite != CLOZE] or result.panels
        counts = {p.runs for panel in suites for line in panel.lines.values() for p in line}
        runs = drawing.count_label("n = ", counts)
        title = (
            "Figure 3 · score along pre-training (bands: lowest to highest run)\n"
            f"Base · {result.profile or 'no'} profile{runs}"
        )
        with drawing.settings():
            figure, axes = drawing.new_figure(max(len(result.panels), 1), title)
            if not result.panels:
                drawing.mark_not_run(axes[0], "no scores of τ = 0 or τ = ∞ in the records")
                return figure
            handles: dict[str, Any] = {}
            for panel, at in zip(result.panels, axes, strict=True):
                _draw_panel(at, panel, result.profile, handles)
            figure.legend(
                list(handles.values()),
                [PUBLISHED if name == "published" else model_label(name) for name in handles],
                loc="outside lower center",
                ncols=len(handles),
            )
        return figure


FIGURE = StepFigure()


def _printed_baseline() -> dict[str, dict[int, tuple[float, float]]]:
    """Returns mean and standard deviation of the paper's baseline, by suite and steps."""
    table = summary(published.load(NUMBER_OF_TABLE)).sort_values("checkpoint")
    found: dict[str, dict[int, tuple[float, float]]] = {}
    for row in table[table["tau"] == CURVES[0]].to_dict("records"):
        scores = (float(row["mean"]), float(row["std"]))
        found.setdefault(row["suite"], {})[int(row["checkpoint"])] = scores
    return found


def _points(found: pd.DataFrame) -> tuple[Point, ...]:
    """Converts a table to the points of a line.

    Args:
      found: table with the index paper_step and the columns ``_OVER_RUNS``.
    """
    return tuple(
        Point(int(step), float(mean), float(low), float(high), int(count))
        for step, mean, low, high, count in found.sort_index().itertuples(name=None)
    )


def _draw_panel(at: Axes, panel: Panel, profile: str, handles: dict[str, Any]) -> None:
    dense = {"marker": ""} if panel.suite == CLOZE else {}
    for tau, points in panel.lines.items():
        if not points:
            continue
        style = drawing.TAU_STYLES[tau]
        steps = [point.paper_steps / drawing.THOUSAND for point in points]
        lows, highs = [p.lowest for p in points], [p.highest for p in points]
        at.fill_between(steps, lows, highs, color=style.color, alpha=0.18, linewidth=0)
        [line] = at.plot(
            steps,
            [point.mean for point in points],
            linewidth=1.3,
            markersize=4.5,
            **{**style.options(), **dense},
        )
        handles.setdefault(tau, line)
    if profile == "paper" and panel.published:
        handles["published"] = at.errorbar(
            [step / drawing.THOUSAND for step in panel.published],
            [mean for mean, _ in panel.published.values()],
            yerr=[std for _, std in panel.published.values()],
            capsize=2.5,
            linestyle="none",
            marker="o",
            markerfacecolor="white",
            color=drawing.TAU_STYLES["0"].color,
        )
    at.set_title(drawing.CLOZE_TITLE if dense else SUITE_NAMES[panel.suite])
    scaled = "" if profile == "paper" else ", on the paper's scale"
    label = f"steps (thousands{scaled})"
    if scaled and panel.published:
        at_steps = ", ".join(map(step_label, panel.published))
        scores = ", ".join(f"{mean:.2f}" for mean, _ in panel.published.values())
        label += f"\npaper at {at_steps}: {scores}"
    at.set_xlabel(label)
    at.set_ylabel("accuracy (%)" if dense else "suite score (0–100)")
    at.set_xlim(left=0)
