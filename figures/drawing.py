"""Style of all figures, and functions to draw parts of them and to save them reproducibly.

Colours are Okabe and Ito's, which are distinct for readers with any common colour blindness; each
curve has a marker and dashes of its own, for grey print. Functions import Matplotlib on first use.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

PANEL_INCHES = (3.4, 2.9)
PADDING_INCHES = 0.08
"""Padding left and right of a panel with its labels."""
PNG_DPI = 160
THOUSAND = 1_000
CLOZE_TITLE = "zero-shot cloze"
_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "spactor",  # otherwise element ids are random
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "legend.frameon": False,
    "text.parse_math": False,  # names from data are plain text
}
# None leaves out metadata that would change the bytes, such as the date.
_METADATA: Mapping[str, dict[str, None]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
    "png": {"Software": None},
}


@dataclass(frozen=True)
class Style:
    """Colour, marker and dashes of a curve."""

    color: str
    marker: str
    dashes: str | tuple[int, tuple[float, ...]] = "-"

    def options(self) -> dict[str, Any]:
        """Returns keyword arguments for matplotlib."""
        return {"color": self.color, "marker": self.marker, "linestyle": self.dashes}


TAU_STYLES: Mapping[str, Style] = {
    "0": Style("#000000", "o"),
    "60K": Style("#E69F00", "s", ":"),
    "120K": Style("#0072B2", "^", "-."),
    "250K": Style("#009E73", "D", (0, (8.0, 1.5, 1.0, 1.5, 1.0, 1.5))),
    "inf": Style("#D55E00", "v", "--"),
}


def count_label(before: str, counts: Iterable[int], after: str = "") -> str:
    """Formats numbers of runs or seeds for a title; "" if there are none.

    >>> count_label("n = ", [5, 3, 8]), count_label("", [3], " seeds"), count_label("n = ", [])
    (', n = 3–8', ', 3 seeds', '')
    """
    found = set(counts)
    ends = sorted({min(found), max(found)}) if found else []
    return f", {before}{'–'.join(map(str, ends))}{after}" if ends else ""


@contextmanager
def settings() -> Iterator[None]:
    """Applies the settings of our figures within a context, and restores the former ones.

    All other settings are Matplotlib's defaults, so a user's ``matplotlibrc`` has no effect.
    """
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def new_figure(panels: int, title: str, columns: int = 4) -> tuple[Figure, list[Axes]]:
    """Creates a figure with at most ``columns`` panels in a row; returns it and its axes."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    columns = min(panels, columns)
    rows = -(-panels // columns)
    width = max(PANEL_INCHES[0] * columns, 4.6)
    layout = ConstrainedLayoutEngine(w_pad=PADDING_INCHES)
    figure = Figure(figsize=(width, PANEL_INCHES[1] * rows + 0.9), layout=layout)
    figure.suptitle(title, fontsize=10)
    grid = figure.subplots(rows, columns, squeeze=False)
    axes = list(grid.flat)
    for spare in axes[panels:]:
        spare.remove()
    return figure, axes[:panels]


def mark_not_run(axes: Axes, reason: str) -> None:
    """Writes "not run" and a reason into the middle of an empty panel."""
    axes.text(
        0.5,
        0.5,
        f"not run\n{reason}",
        transform=axes.transAxes,
        ha="center",
        va="center",
        color="#555555",
        wrap=True,
    )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def label_steps(axes: Axes, profile: str) -> None:
    """Labels the axis of pre-training steps, in thousands, and begins it at 0."""
    scaled = "" if profile == "paper" else ", on the paper's scale"
    axes.set_xlabel(f"pre-training steps (thousands{scaled})")
    axes.set_xlim(left=0)


def cut_early(axes: Axes, values: np.ndarray, low: float, high: float, since: str) -> None:
    """Limits the y axis so that early points before convergence do not flatten the rest.

    A note in the panel has the number of points beyond the axis.

    Args:
      axes: axes of the panel.
      values: values of all curves at every step.
      low, high: lowest and highest value from a step on.
      since: label of that step.
    """
    room = max(high - low, 1e-6)
    outside = int(((values < low - room) | (values > high + room)).sum())
    if not outside:
        return
    axes.set_ylim(low - room, high + room)
    points = "1 point" if outside == 1 else f"{outside} points"
    axes.text(
        0.98,
        0.02,
        f"{points} before {since} beyond the axis",
        transform=axes.transAxes,
        ha="right",
        fontsize=7.5,
        color="#555555",
    )


def plot_curve(axes: Axes, curve: pd.Series, style: Style, label: str) -> None:
    """Draws values by pre-training step, in thousands, with about a dozen markers."""
    axes.plot(
        curve.index.to_numpy() / THOUSAND,
        curve.to_numpy(),
        markersize=3.5,
        linewidth=1.3,
        markevery=max(len(curve) // 12, 1),
        label=label,
        **style.options(),
    )


def set_symbols(text: Text) -> None:
    """Typesets the paper's X_c, X_c^MLM and X̂_c in a text that contains no names from data."""
    written = text.get_text().replace("X̂_c", r"$\widehat{X}_c$")
    written = written.replace(" X_c^MLM", r" $X_c^{\mathrm{MLM}}$").replace(" X_c", r" $X_c$")
    text.set_text(written)
    text.set_parse_math(True)


KINDS = tuple(_METADATA)
"""Kinds of a figure's files, which are also their suffixes."""


def encode(figure: Figure, kind: str) -> bytes:
    """Returns the content of a figure's file of one of ``KINDS``, reproducibly."""
    buffer = io.BytesIO()
    with settings():
        if (layout := figure.get_layout_engine()) is not None:
            # The layout, which takes longer than the drawing, is computed once for all kinds.
            layout.execute(figure)
            if _is_cut_off(figure):  # The first pass uses outdated sizes of tick labels.
                layout.execute(figure)
            figure.set_layout_engine(None)
        figure.savefig(buffer, format=kind, dpi=PNG_DPI, metadata=dict(_METADATA[kind]))
    return buffer.getvalue()


def _is_cut_off(figure: Figure) -> bool:
    """Whether anything extends beyond the figure's edges."""
    inside = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    return min(inside.x0, inside.y0) < 0.0 or inside.x1 > width or inside.y1 > height
