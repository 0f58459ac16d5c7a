"""Figure 4: span-corruption validation loss of the baseline and of SPACTOR(∞), Base.

Claims: (a) on noisy input X̂_c the loss is clearly worse than on X_c; (b) the gap between baseline
and SPACTOR(∞) on X_c narrows first and widens after about 200K steps, a trend that is significant
(Appendix B).

Panel b has the difference of the figure's caption, baseline(X_c) − SPACTOR(∞)(X_c); faint lines are
single seeds. The dashed line is the regression of ``analysis.trend``; the label has the p-value of
the test over the seeds' slopes, or with one seed that of least squares. Curves are means over the
pre-training seeds. The paper prints no numbers of its curves, so no published ones are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from analysis import trend
from analysis.required import RequiredRun
from analysis.schema.facts import origin_label
from analysis.schema.records import sole_profile
from analysis.tests import ALPHA
from figures import drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUMBER = "4"
DOC = __doc__
STYLES = (
    drawing.TAU_STYLES["0"],
    drawing.Style("#0072B2", "^"),
    drawing.Style("#D55E00", "v", "--"),
)

requires: tuple[RequiredRun, ...] = tuple(
    RequiredRun(trend.SIZE, tau, 1_000_000) for tau in ("0", "inf")
)
reads = trend.READS


@dataclass(frozen=True)
class Result:
    """The figure's numbers.

    Attributes:
      source, profile: source and profile of the records.
      curves: each curve's mean over seeds by paper step, in nats per target token.
      seeds: number of pre-training seeds of each curve.
      gaps: baseline minus SPACTOR(∞) on X_c by paper step, with a column for each seed.
      reading: slope and bend of the gaps.
    """

    source: str
    profile: str
    curves: tuple[tuple[trend.Curve, pd.Series], ...]
    seeds: tuple[int, ...]
    gaps: pd.DataFrame
    reading: trend.Reading


def compute(records: pd.DataFrame) -> Result:
    """Computes the curves from records of one source and profile.

    Raises:
      UserError: the records mix profiles.
    """
    source, profile = sole_profile(records)
    tables = [(which, trend.curve(records, which)) for which in trend.CURVES]
    return Result(
        source=source,
        profile=profile,
        curves=tuple((which, table.mean(axis="columns")) for which, table in tables),
        seeds=tuple(table.shape[1] for _, table in tables),
        gaps=trend.differences(records, trend.BASELINE_CLEAN, trend.HYBRID_CLEAN),
        reading=trend.across(records),
    )


def draw(result: Result) -> Figure:
    """Draws panels a and b; a panel without records is marked "not run"."""
    counts = {count for count in result.seeds if count}
    seeds = drawing.count_label("", counts, " seed" if counts == {1} else " seeds")
    whose = origin_label(result.source, result.profile)
    title = f"Figure 4 · span-corruption validation loss\nBase · {whose}{seeds}"
    with drawing.settings():
        figure, (left, right) = drawing.new_figure(2, title)
        figure.set_size_inches(8.4, 4.2)
        _draw_curves(left, result)
        _draw_gaps(right, result)
    return figure


def _draw_curves(axes: Axes, result: Result) -> None:
    axes.set_title("(a) validation loss")
    if all(series.empty for _, series in result.curves):
        drawing.mark_not_run(axes, "no validation series in the records")
        return
    for (which, series), style in zip(result.curves, STYLES, strict=True):
        absent = " – not run" if series.empty else ""
        drawing.plot_curve(axes, series, style, which.label + absent)
    axes.set_ylabel("loss (nats per target token)")
    for text in axes.legend(loc="upper right").get_texts():
        drawing.set_symbols(text)
    drawing.label_steps(axes, result.profile)


def _draw_gaps(axes: Axes, result: Result) -> None:
    drawing.set_symbols(axes.set_title("(b) baseline minus SPACTOR(∞), input X_c"))
    if result.gaps.empty:
        drawing.mark_not_run(axes, "it needs τ = 0 and τ = ∞ of one seed")
        return
    steps = result.gaps.index.to_numpy()
    thousands = steps / drawing.THOUSAND
    late = steps >= trend.FIRST_PAPER_STEP
    by_seed, values = result.gaps.to_numpy(), result.gaps.mean(axis="columns").to_numpy()
    line, bend = result.reading.line, result.reading.inflection
    axes.axhline(0.0, color="#999999", linewidth=0.8)
    if by_seed.shape[1] > 1:
        axes.plot(thousands, by_seed, color="#0072B2", alpha=0.25, linewidth=0.7)
    axes.plot(thousands, values, color="#0072B2", marker="^", markersize=4, linewidth=1.0, zorder=3)
    if line is not None:
        ends = [float(trend.FIRST_PAPER_STEP), float(steps.max())]
        axes.plot(
            [end / drawing.THOUSAND for end in ends],
            [line.at(end) for end in ends],
            color="#D55E00",
            linestyle="--",
            linewidth=1.6,
            zorder=4,
            label=_slope_label(result.reading, line),
        )
    if bend is not None and bend.p_value < ALPHA:
        axes.axvspan(bend.low, bend.high, color="#009E73", alpha=0.12, linewidth=0)
        axes.axvline(
            bend.at,
            color="#009E73",
            linestyle=":",
            linewidth=1.6,
            label=f"inflection at {bend.place}, 95 %: {bend.low:.0f}K–{bend.high:.0f}K",
        )
    elif bend is not None:
        axes.plot([], [], " ", label=f"no inflection is shown, {bend.basis}")
    if line is not None or bend is not None:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), fontsize=7.5, frameon=False)
    if late.sum() > 1:
        low, high = min(by_seed[late].min(), 0.0), max(by_seed[late].max(), 0.0)
        drawing.cut_early(axes, values, low, high, "120K")
    axes.set_ylabel("difference (nats per target token)")
    drawing.label_steps(axes, result.profile)


def _slope_label(reading: trend.Reading, line: trend.Line) -> str:
    """Formats the slope with the p-value over seeds, or with one seed that of least squares."""
    slope = f"slope from 120K: {line.slope:+.2e} per 1,000 steps"
    if reading.over_seeds is None:
        p_value = trend.format_p(line.p_value)
        return f"{slope},\np = {p_value} by least squares; one seed: no test over seeds"
    p_value = trend.format_p(reading.over_seeds.p_value)
    return f"{slope},\np = {p_value} over {reading.seeds} seeds"
