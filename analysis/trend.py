"""Test of Appendix B: a trend in the difference of validation losses after 120K steps.

The paper fits y = β0·x + β1 by ordinary least squares, with H0: β0 = 0, where x is the pre-training
step on the paper's scale, in thousands, from 120K on. It gives two different definitions of y, so
there are two readings:

* ``across``: Figure 4b's caption: baseline(X_c) minus SPACTOR(∞)(X_c);
* ``within``: Appendix B's prose: SPACTOR(∞) on X_c minus the same model on X̂_c.

A line is fitted to each seed that has both curves, and a t-test over the seeds' slopes decides
whether there is a trend. The paper's own test is printed with it: least squares through the mean of
the seeds, where n is the number of validated steps. It ignores the autocorrelation of a training
run's residuals, so its p-values are too small. ``analysis.regression`` has further methods for one
series, which are printed for comparison, and estimates the bend of the difference (Section 3.2.1).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import regression
from analysis.regression import Inflection, Residuals, Slope
from analysis.schema.facts import size_label
from analysis.schema.published import load_prose
from analysis.schema.records import sole_profile
from analysis.schema.rows import of_metrics
from analysis.tests import ALPHA, format_p
from spactor import text_table

FIRST_PAPER_STEP = 120_000
STEPS_PER_UNIT = 1_000
FIRST_PAPER_STEP_OF_BEND = 60_000
"""First step of the estimate of a bend: the paper's smallest τ, long after warm-up."""
SIZE = "base"
CLEAN, NOISY = "validation/sc_loss_clean", "validation/sc_loss_noisy"
READS = of_metrics(CLEAN, NOISY)
PUBLISHED_REMARK = (
    "The paper gives no unit. Per step, the slope adds up to -61 nats over the 880K steps from "
    "120K to 1M, which is impossible; per 1,000 steps, to -0.061 nats, which is plausible."
)


def published_line() -> tuple[float, float]:
    """Returns the slope, without a unit, and the p-value that Appendix B states.

    >>> published_line()
    (-6.9e-05, 0.01)
    """
    stated = load_prose().set_index("metric")["value"]
    return float(stated["trend/slope"]), float(stated["trend/p_value"])


@dataclass(frozen=True)
class Curve:
    """A validation curve: τ, metric, and label in outputs."""

    tau: str
    metric: str
    label: str


BASELINE_CLEAN = Curve("0", CLEAN, "baseline, input X_c")
HYBRID_CLEAN = Curve("inf", CLEAN, "SPACTOR(∞), input X_c")
HYBRID_NOISY = Curve("inf", NOISY, "SPACTOR(∞), input X̂_c")
CURVES = (BASELINE_CLEAN, HYBRID_CLEAN, HYBRID_NOISY)


@dataclass(frozen=True)
class Line:
    """A fitted line.

    Attributes:
      slope, stderr: slope and its standard error, in nats per 1,000 paper-scale steps.
      intercept: value at step 0, in nats.
      p_value: two-sided p-value of slope 0; NaN if all points are on the line.
      n: number of points.
    """

    slope: float
    intercept: float
    stderr: float
    p_value: float
    n: int

    def at(self, paper_steps: float) -> float:
        """Returns the line's value, in nats, at a pre-training step on the paper's scale."""
        return self.intercept + self.slope * paper_steps / STEPS_PER_UNIT


@dataclass(frozen=True)
class Reading:
    """One of the two readings of Appendix B, with its line or the reason for having none.

    Attributes:
      name, source, difference: name, place in the paper, and the two curves that are subtracted.
      line: line through the mean over seeds, as in Appendix B.
      by_seed: line of each seed.
      over_seeds: t-test over the seeds' slopes, which decides; None for a single seed.
      slopes: slope of the mean by the methods for one series; empty for too few points.
      residuals: residuals of ``line``; None for too few points.
      inflection: bend of the mean difference; None for too few points.
      reason: reason for having no line.
    """

    name: str
    source: str
    difference: str
    line: Line | None
    by_seed: Mapping[int, Line]
    over_seeds: Slope | None = None
    slopes: tuple[Slope, ...] = ()
    residuals: Residuals | None = None
    inflection: Inflection | None = None
    reason: str = ""

    @property
    def seeds(self) -> int:
        """Number of seeds in the mean."""
        return len(self.by_seed)

    @property
    def decisive(self) -> Slope | None:
        """The slope over seeds; for one seed that of AR(1) errors, None for too few points."""
        alone = {slope.method: slope for slope in self.slopes}.get(regression.AUTOREGRESSIVE)
        return self.over_seeds or alone

    @property
    def misleading(self) -> tuple[str, ...]:
        """Methods for one series with a significant trend, if the decisive test has none."""
        if self.decisive is None or self.decisive.p_value < ALPHA:
            return ()
        return tuple(slope.method for slope in self.slopes if slope.p_value < ALPHA)

    @property
    def headline(self) -> str:
        """The verdict on the trend and the test that decides it, as a sentence without full stop.

        >>> slope = Slope(regression.OVER_SEEDS, 1e-5, -2e-5, 4e-5, 0.32)
        >>> line = Line(1e-5, 0.0, 1e-6, 1e-9, 40)
        >>> Reading("", "", "", line, {0: line, 1: line}, slope).headline
        'no trend shown over 2 seeds: slope +1.00e-05 [-2.00e-05, +4.00e-05], p = 0.320'
        """
        found = self.decisive
        if found is None:
            return "no test: one seed, and too few steps to estimate its autocorrelation"
        shown = "a trend" if found.p_value < ALPHA else "no trend"
        numbers = (
            f"slope {found.value:+.2e} [{found.low:+.2e}, {found.high:+.2e}], "
            f"p = {format_p(found.p_value)}"
        )
        if self.over_seeds is None:
            return f"{shown} within one seed, no evidence on others: AR(1) errors, {numbers}"
        return f"{shown} shown over {self.seeds} seeds: {numbers}"

    @property
    def warning(self) -> str:
        """Sentence that names the ``misleading`` methods and the reason; "" without any."""
        if not self.misleading:
            return ""
        why = (
            "they use one mean series and ignore how seeds differ"
            if self.over_seeds
            else "neighbouring residuals are correlated"
        )
        return f"Significant here but misleading: {', '.join(self.misleading)}; {why}."

    def text(self, *, details: bool = True) -> str:
        """Formats the reading for the terminal; with details, every seed and method."""
        head = f"{self.name} ({self.source}): {self.difference}"
        if self.line is None:
            return f"{head}\n  not run: {self.reason}"
        line = self.line
        paper = [
            f"  the paper's test, least squares through {mean_of(self.seeds)}: slope "
            f"{line.slope:+.2e} ± {line.stderr:.1e}, p = {format_p(line.p_value)}, "
            f"n = {line.n} steps"
        ]
        if not self.slopes:
            paper.append(f"  too few steps for more: other methods need {regression.FEWEST_POINTS}")
        warning = [f"  {self.warning}"] if self.warning else []
        if not details:
            return text_table.paragraphs([head, *paper, *warning])
        lines = [head, f"  {self.headline}"]
        if self.seeds > 1:
            each = ", ".join(f"{seed}: {one.slope:+.2e}" for seed, one in self.by_seed.items())
            lines.append(f"    seed by seed:  {each}")
        rows = [["method", "slope", "95 % interval", "p"]]
        for slope in self.slopes:
            interval = f"[{slope.low:+.2e}, {slope.high:+.2e}]"
            p = format_p(slope.p_value)
            rows.append([slope.method, f"{slope.value:+.2e}", interval, p])
        table = [f"    {line}" for line in text_table.align(rows)] if self.slopes else []
        more = []
        if self.residuals is not None:
            more.append(f"    residuals:  {_residuals_text(self.residuals)}")
        if self.inflection is not None:
            more.append(f"    inflection:  {_inflection_text(self.inflection)}")
        more += warning
        parts = [text_table.paragraphs([*lines, *paper]), *table]
        return "\n".join([*parts, text_table.paragraphs(more)] if more else parts)


def mean_of(seeds: int) -> str:
    """Describes a mean over seeds: "one seed", or "the mean of 5 seeds"."""
    return "one seed" if seeds == 1 else f"the mean of {seeds} seeds"


def _residuals_text(left: Residuals) -> str:
    return (
        f"autocorrelation {left.rho:+.2f}; independent up to lag "
        f"{left.lags}: p = {format_p(left.ljung_box_p)} (Ljung–Box); "
        f"normal: p = {format_p(left.shapiro_p)} (Shapiro–Wilk)"
    )


def _inflection_text(bend: Inflection) -> str:
    return (
        f"at {bend.place} [{bend.low:.0f}K, {bend.high:.0f}K], slope "
        f"{bend.before:+.2e} before and {bend.after:+.2e} after; "
        f"no bend: p = {format_p(bend.p_value)} ({bend.basis})"
    )


@dataclass(frozen=True)
class TrendResult:
    """Both readings of the records of one profile."""

    profile: str
    readings: tuple[Reading, ...]

    def rows(self) -> list[dict[str, object]]:
        """Returns a row for each reading and method, the test over seeds first, for JSON."""
        return [
            {"reading": reading.name, "difference": reading.difference, **dataclasses.asdict(slope)}
            for reading in self.readings
            for slope in (*filter(None, [reading.over_seeds]), *reading.slopes)
        ]

    def text(self, *, details: bool = True) -> str:
        """Formats both readings for the terminal, followed by the published values."""
        readings = [part for one in self.readings for part in ("", one.text(details=details))]
        notes = [
            "published: slope {:+.2e}, p = {:g}".format(*published_line()),
            f"  {PUBLISHED_REMARK}",
            "",
            "[…] is a 95 % interval, ± a standard error. The test over seeds decides; the other "
            "methods use one series. Least squares takes its points as independent; those of a "
            "training run are not. AR(1) errors find too many trends if ρ is near 1.",
        ]
        return "\n".join(
            [
                text_table.paragraphs(
                    [
                        f"{one.difference}: {one.headline}."
                        for one in self.readings
                        if one.line is not None
                    ]
                    + [
                        f"{size_label(SIZE)}, {self.profile or 'no'} profile; slopes of the "
                        "difference of two validation losses, nats per 1,000 steps, from step "
                        f"{FIRST_PAPER_STEP // 1000}K on the paper's scale"
                    ]
                ),
                *readings,
                "",
                text_table.paragraphs(notes),
                *([] if details else ["", "Seed by seed, other methods, residuals: --details."]),
            ]
        )


def run(records: pd.DataFrame) -> TrendResult:
    """Computes both readings on measured records.

    Raises:
      UserError: the records mix profiles.
    """
    _, profile = sole_profile(records[records["metric"].isin([CLEAN, NOISY])])
    within = _reading(records, "within", "Appendix B's prose", HYBRID_CLEAN, HYBRID_NOISY)
    return TrendResult(profile, readings=(across(records), within))


def across(records: pd.DataFrame) -> Reading:
    """Computes the reading that Figure 4b draws."""
    return _reading(records, "across", "Figure 4b's caption", BASELINE_CLEAN, HYBRID_CLEAN)


def curve(records: pd.DataFrame, which: Curve) -> pd.DataFrame:
    """Returns a curve's values by paper step, with a column for each pre-training seed.

    Seeds with unfinished runs, which end before the others, are left out, and so are steps at which
    another seed lacks a value.
    """
    rows = records[
        (records["size"] == SIZE)
        & (records["tau"] == which.tau)
        & (records["metric"] == which.metric)
        & records["paper_step"].notna()
    ]
    table = pd.DataFrame(
        {
            "paper_step": rows["paper_step"].astype("int64"),
            "seed": rows["seed"].fillna(-1).astype("int64"),
            "value": rows["value"],
        }
    ).drop_duplicates(["paper_step", "seed"], keep="last")
    by_seed = table.pivot(index="paper_step", columns="seed", values="value").sort_index()
    if by_seed.empty:
        return by_seed
    return by_seed.loc[:, by_seed.iloc[-1].notna()].dropna()


def differences(records: pd.DataFrame, first: Curve, second: Curve) -> pd.DataFrame:
    """Subtracts two curves: values by paper step, with a column for each seed that has both."""
    minuend, subtrahend = curve(records, first), curve(records, second)
    seeds = minuend.columns.intersection(subtrahend.columns)
    return (minuend[seeds] - subtrahend[seeds]).dropna()


def fit(steps: np.ndarray, values: np.ndarray) -> Line:
    """Fits a line by ordinary least squares.

    Args:
      steps: [n] pre-training steps on the paper's scale, n ≥ 3 and not all equal.
      values: [n] values in nats.

    >>> line = fit(np.array([0.0, 1000.0, 2000.0]), np.array([1.0, 2.0, 4.0]))
    >>> [round(x, 3) for x in (line.slope, line.intercept, line.stderr, line.p_value)]
    [1.5, 0.833, 0.289, 0.121]
    """
    import scipy.stats  # takes a second to import, and most commands do not need it

    x, y = np.asarray(steps) / STEPS_PER_UNIT, np.asarray(values, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = scipy.stats.linregress(x, y)
    squares = float(((y - found.intercept - found.slope * x) ** 2).sum())
    exact = squares <= 1e-24 * max(float(((y - y.mean()) ** 2).sum()), np.finfo(float).tiny)
    return Line(
        slope=float(found.slope),
        intercept=float(found.intercept),
        stderr=float(found.stderr),
        p_value=math.nan if exact else float(found.pvalue),
        n=len(y),
    )


def fit_late(gaps: pd.Series) -> Line | None:
    """Fits a line to the differences from ``FIRST_PAPER_STEP`` on; None for fewer than 3 points."""
    late = gaps[gaps.index >= FIRST_PAPER_STEP]
    return fit(late.index.to_numpy(dtype=float), late.to_numpy()) if len(late) >= 3 else None


def bend(by_seed: pd.DataFrame) -> Inflection | None:
    """Estimates the bend of differences; None for too few points or a line without residuals.

    Args:
      by_seed: result of ``differences``.
    """
    wide = by_seed[by_seed.index >= FIRST_PAPER_STEP_OF_BEND]
    line = fit_late(by_seed.mean(axis="columns"))
    if line is None or math.isnan(line.p_value) or len(wide) < regression.FEWEST_POINTS_OF_BEND:
        return None
    return regression.estimate_inflection(wide.index.to_numpy() / STEPS_PER_UNIT, wide.to_numpy())


def _reading(records: pd.DataFrame, name: str, source: str, first: Curve, second: Curve) -> Reading:
    by_seed = differences(records, first, second)
    gaps = by_seed.mean(axis="columns").dropna()
    line = fit_late(gaps)
    about = (name, source, f"{first.label} minus {second.label}")
    late = gaps[gaps.index >= FIRST_PAPER_STEP]
    if line is None:
        reason = f"{len(late)} validated steps from {FIRST_PAPER_STEP // 1000}K on; a line needs 3"
        if by_seed.shape[1] == 0:
            absent = [which.label for which in (first, second) if curve(records, which).empty]
            reason = (
                f"no record of {' or of '.join(absent)}" if absent else "no seed has both curves"
            )
        return Reading(*about, line=None, by_seed={}, reason=reason)
    lines = {int(str(seed)): fit_late(by_seed[seed]) for seed in by_seed}
    known = {seed: one for seed, one in lines.items() if one is not None}
    pooled = regression.over_seeds([one.slope for one in known.values()])
    if len(late) < regression.FEWEST_POINTS or math.isnan(line.p_value):
        return Reading(*about, line=line, by_seed=known, over_seeds=pooled)
    thousands, values = late.index.to_numpy() / STEPS_PER_UNIT, late.to_numpy()
    return Reading(
        *about,
        line=line,
        by_seed=known,
        over_seeds=pooled,
        slopes=regression.estimate_slopes(thousands, values),
        residuals=regression.residuals(thousands, values),
        inflection=bend(by_seed),
    )
