"""Figure 2: score against pre-training FLOPs, one panel per suite, Base.

Claims: SPACTOR(τ) reaches the baseline's final score at about 40 % fewer FLOPs, and scores above it
over most of the range of budgets.

Published records are drawn for the paper's three suites (their points are Table 2's); measured
ones for every suite that was run. Bars are standard deviations over runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.required import RequiredRun
from analysis.scores import relative_flops, summary
from figures import drawing
from repro.records import SELECTIONS, SUITES, TAUS, sole_profile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUMBER = 2
SIZE = "base"
LEGEND_COLUMNS = {1: 2, 2: 3, 3: 5, 4: 5}
"""Entries of the legend that fit side by side, by panels in a row."""
PAPER_SUITES = ("superglue", "squad", "cnndm")
HEADINGS = dict(
    zip(
        SUITES,
        ("GLUE", "SuperGLUE", "SQuAD", "CNN/DailyMail", "Rainbow", "MMLU", "BBH"),
        strict=True,
    )
)

requires: tuple[RequiredRun, ...] = tuple(
    RequiredRun(SIZE, tau, checkpoint)
    for tau in ("0", "120K", "250K")
    for checkpoint in (500_000, 1_000_000)
)


@dataclass(frozen=True)
class Point:
    """A checkpoint's cost and score; ``std`` is None of one run."""

    flops: float
    mean: float
    std: float | None


@dataclass(frozen=True)
class Panel:
    """One suite: the points of each τ, by FLOPs."""

    suite: str
    lines: tuple[tuple[str, tuple[Point, ...]], ...]


@dataclass(frozen=True)
class Result:
    """The figure's numbers; no panels where nothing was run."""

    source: str
    profile: str
    panels: tuple[Panel, ...]
    runs: tuple[int, ...]


def compute(records: pd.DataFrame) -> Result:
    """The points from records of one source and profile.

    Raises:
      UserError: the records mix profiles, or a run's scores are incomplete.
    """
    source, profile = sole_profile(records) or ("", "")
    records = records[records["size"] == SIZE]
    flops = relative_flops(records)[["tau", "checkpoint", "value"]]
    points = summary(records, SELECTIONS[0]).merge(flops, on=["tau", "checkpoint"])
    points = points.sort_values("value")
    panels = []
    for suite in PAPER_SUITES if source == "published" else SUITES:
        own = points[points["suite"] == suite]
        lines = tuple(
            (tau, tuple(_point(row) for row in own[own["tau"] == tau].to_dict("records")))
            for tau in TAUS
            if (own["tau"] == tau).any()
        )
        if lines:
            panels.append(Panel(suite, lines))
    runs = tuple(sorted({int(n) for n in points["runs"].dropna()}))
    return Result(source=source, profile=profile, panels=tuple(panels), runs=runs)


def _point(row: Mapping[Any, Any]) -> Point:
    std = row["std"]
    return Point(float(row["value"]), float(row["mean"]), None if pd.isna(std) else float(std))


def draw(result: Result) -> Figure:
    """The figure; a panel that says "not run" where there is nothing."""
    whose = "published" if result.source == "published" else f"{result.profile or 'no'} profile"
    runs = f", n = {'–'.join(map(str, result.runs))}" if result.runs else ""
    title = f"Figure 2 · score against pre-training FLOPs\nBase · {whose}{runs}"
    with drawing.settings():
        figure, axes = drawing.new_figure(max(len(result.panels), 1), title)
        if not result.panels:
            drawing.mark_not_run(axes[0], "no suite has scores and costs in the records")
            return figure
        handles: dict[str, Any] = {}
        for panel, at in zip(result.panels, axes, strict=True):
            for tau, points in panel.lines:
                # Nothing is drawn where one run has no spread: a bar of zero would be a claim.
                bars = [point.std if point.std is not None else float("nan") for point in points]
                handles[tau] = at.errorbar(
                    [point.flops for point in points],
                    [point.mean for point in points],
                    yerr=None if all(point.std is None for point in points) else bars,
                    capsize=2.5,
                    linewidth=1.3,
                    elinewidth=0.8,
                    markersize=5,
                    **drawing.TAU_STYLES[tau].options(),
                )
            at.set_title(HEADINGS[panel.suite])
            at.set_xlabel("pre-training FLOPs (baseline at 500K = 1)")
            at.set_ylabel("suite score (0–100)")
            at.margins(x=0.08, y=0.14)
        order = [tau for tau in TAUS if tau in handles]
        figure.legend(
            [handles[tau] for tau in order],
            [drawing.tau_label(tau) for tau in order],
            loc="outside lower center",
            ncols=min(len(order), LEGEND_COLUMNS[min(len(result.panels), 4)]),
        )
    return figure


def render(result: Result, folder: Path) -> list[Path]:
    """Writes figure2.svg, .pdf and .png into ``folder`` and returns their paths.

    Raises:
      UserError: the disk refused.
    """
    return drawing.save(draw(result), folder, f"figure{NUMBER}")
