"""Figure B: residuals of Appendix B's regression, which the paper does not show.

Claims: the p-value of Appendix B is valid only if the residuals are independent and normal. A row
of panels is one of the two readings of ``analysis.trend``: residuals by step, each residual against
the one before, and residuals against a normal distribution's quantiles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis import trend
from analysis.regression import Residuals
from analysis.required import RequiredRun
from analysis.schema.records import sole_profile
from figures import drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUMBER = "B"
DOC = __doc__
PANELS = 3
_STYLE: dict[str, Any] = {"color": "#0072B2", "marker": "o", "markersize": 3.5}
_GUIDE: dict[str, Any] = {"color": "#D55E00", "linestyle": "--", "linewidth": 1.2}

requires: tuple[RequiredRun, ...] = tuple(
    RequiredRun(trend.SIZE, tau, 1_000_000) for tau in ("0", "inf")
)
reads = trend.READS


def compute(records: pd.DataFrame) -> trend.TrendResult:
    """Computes both readings from records of one source and profile; see ``analysis.trend.run``.

    Raises:
      UserError: the records mix profiles.
    """
    sole_profile(records)
    return trend.run(records)


def draw(result: trend.TrendResult) -> Figure:
    """Draws three panels for each reading; "not run" if it has no residuals."""
    title = (
        "Figure B · residuals of Appendix B's least-squares lines\n"
        f"Base · {result.profile or 'no'} profile"
    )
    with drawing.settings():
        figure, axes = drawing.new_figure(PANELS * len(result.readings), title, PANELS)
        for index, reading in enumerate(result.readings):
            row = axes[PANELS * index : PANELS * (index + 1)]
            drawing.set_symbols(row[0].set_title(reading.difference, fontsize=7.5))
            if reading.residuals is None:
                for at in row:
                    drawing.mark_not_run(at, reading.reason or "too few points")
                continue
            _along(row[0], reading.residuals)
            _neighbours(row[1], reading.residuals)
            _quantiles(row[2], reading.residuals)
    return figure


def _along(at: Axes, left: Residuals) -> None:
    at.axhline(0.0, **_GUIDE)
    at.plot(left.steps, left.values, linewidth=0.8, **_STYLE)
    at.set_xlabel("pre-training steps (thousands)")
    at.set_ylabel("residual (nats per target token)")


def _neighbours(at: Axes, left: Residuals) -> None:
    at.plot(left.values[:-1], left.values[1:], linestyle="none", **_STYLE)
    ends = np.array([left.values.min(), left.values.max()])
    at.plot(ends, left.rho * ends, **_GUIDE)
    at.set_title(f"autocorrelation {left.rho:+.2f}")
    at.set_xlabel("residual")
    at.set_ylabel("the next one")


def _quantiles(at: Axes, left: Residuals) -> None:
    import scipy.stats

    (expected, ordered), (slope, intercept, _) = scipy.stats.probplot(left.values)
    at.plot(expected, ordered, linestyle="none", **_STYLE)
    at.plot(expected, intercept + slope * expected, **_GUIDE)
    at.set_title(f"normality: p = {trend.format_p(left.shapiro_p)}")
    at.set_xlabel("normal quantile")
    at.set_ylabel("residual")
