"""Figure S: validation loss of SPACTOR(250K) and SPACTOR(∞) against the baseline's, Base.

Claims: the hybrid objective leads early; trained to the end it loses its lead (Section 3.2.1); with
two stages it does not (Section 3.2.2). The figure is not in the paper, and illustrates the output
of `repro summary`.

Panel a has the span-corruption losses on X_c, panel b the baseline's loss minus the model's at the
same step, so a model leads where its curve is above 0; faint lines are single seeds. The dotted
line is τ = 250K. Curves are means over the pre-training seeds of a model and its baseline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis import leads, trend
from analysis.required import RequiredRun
from analysis.schema.facts import origin_label
from analysis.schema.records import sole_profile
from figures import drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUMBER = "S"
DOC = __doc__
LABELS = {
    "0": "baseline (τ = 0)",
    leads.TAU: f"two stages (τ = {leads.TAU})",
    "inf": "one stage (τ = ∞)",
}

requires: tuple[RequiredRun, ...] = tuple(RequiredRun(trend.SIZE, tau, 1_000_000) for tau in LABELS)
reads = trend.READS


@dataclass(frozen=True)
class Result:
    """The figure's numbers; every table has the index paper_step and a column for each seed.

    Attributes:
      source, profile: source and profile of the records.
      losses: losses on X_c in nats per target token, by τ.
      leads: baseline minus model by τ, at steps that all shared seeds have.
    """

    source: str
    profile: str
    losses: dict[str, pd.DataFrame]
    leads: dict[str, pd.DataFrame]


def compute(records: pd.DataFrame) -> Result:
    """Computes the curves from records of one source and profile.

    Raises:
      UserError: the records mix profiles.
    """
    source, profile = sole_profile(records)
    curves = {tau: trend.Curve(tau, trend.CLEAN, label) for tau, label in LABELS.items()}
    return Result(
        source=source,
        profile=profile,
        losses={tau: trend.curve(records, which) for tau, which in curves.items()},
        leads={
            tau: trend.differences(records, curves["0"], which)
            for tau, which in curves.items()
            if tau != "0"
        },
    )


def draw(result: Result) -> Figure:
    """Draws panels a and b; a panel without records is marked "not run"."""
    counts = {table.shape[1] for table in result.losses.values() if not table.empty}
    seeds = drawing.count_label("", counts, " seed" if counts == {1} else " seeds")
    whose = origin_label(result.source, result.profile)
    title = f"Figure {NUMBER} · validation loss with the hybrid objective\nBase · {whose}{seeds}"
    with drawing.settings():
        figure, (left, right) = drawing.new_figure(2, title)
        figure.set_size_inches(8.4, 3.9)
        drawing.set_symbols(left.set_title("(a) span-corruption loss, input X_c"))
        _draw(left, result, result.losses, "loss (nats per target token)")
        right.set_title("(b) lead: baseline minus model")
        _draw(right, result, result.leads, "difference (nats per target token)")
    return figure


def _draw(axes: Axes, result: Result, tables: dict[str, pd.DataFrame], unit: str) -> None:
    present = {tau: table for tau, table in tables.items() if not table.empty}
    if not present:
        drawing.mark_not_run(axes, "it needs τ = 0, 250K or ∞ of one seed")
        return
    is_lead = "0" not in tables
    if is_lead:
        axes.axhline(0.0, color="#999999", linewidth=0.8)
    axes.axvline(leads.TAU_STEPS / drawing.THOUSAND, color="#999999", linestyle=":")
    for tau, table in present.items():
        style = drawing.TAU_STYLES[tau]
        if is_lead and table.shape[1] > 1:
            steps = table.index.to_numpy() / drawing.THOUSAND
            axes.plot(steps, table.to_numpy(), color=style.color, alpha=0.25, linewidth=0.7)
        drawing.plot_curve(axes, table.mean(axis="columns"), style, LABELS[tau])
    means = pd.concat([table.mean(axis="columns") for table in present.values()])
    late = [table[table.index >= trend.FIRST_PAPER_STEP_OF_BEND] for table in present.values()]
    if any(map(len, late)):
        values = np.concatenate([table.to_numpy().ravel() for table in late])
        drawing.cut_early(axes, means.to_numpy(), values.min(), values.max(), "60K")
    axes.set_ylabel(unit)
    axes.legend(loc="best" if is_lead else "upper right")
    drawing.label_steps(axes, result.profile)
