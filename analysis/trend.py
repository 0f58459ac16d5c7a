"""Appendix B: is the validation-loss difference trending after 120K steps?

Ordinary least squares of y = β0·x + β1, with H0: β0 = 0, where x is the pre-training step on the
paper's scale, in thousands, from 120K on. The paper describes y twice, differently; both readings
are computed:

* ``across``: Figure 4b's caption: baseline(X_c) minus SPACTOR(∞)(X_c);
* ``within``: Appendix B's prose: SPACTOR(∞) on X_c minus the same model on X̂_c.

Seeds are averaged first, step by step, over the seeds that have both curves; then one line is
fitted, so n is the number of validated steps. Residuals of one training run are autocorrelated,
which ordinary least squares ignores: its p-values are then too small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from repro.records import sole_profile

FIRST_PAPER_STEP = 120_000
STEPS_PER_UNIT = 1_000
SIZE = "base"
CLEAN, NOISY = "validation/sc_loss_clean", "validation/sc_loss_noisy"
PUBLISHED_SLOPE = -6.90e-5
PUBLISHED_P_VALUE = 0.01
PUBLISHED_REMARK = (
    "The paper gives no unit. Per step, the slope adds up to -61 nats over the 880K steps from "
    "120K to 1M, which a loss can't do; per 1,000 steps, to -0.061 nats, which is plausible."
)


@dataclass(frozen=True)
class Curve:
    """One validation curve: the τ it belongs to, its metric, and what to call it."""

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
      slope: nats per 1,000 paper-scale steps; ``stderr`` in the same unit.
      intercept: nats at step 0.
      p_value: two-sided, of slope 0; NaN where the points leave no residual to judge by.
      n: points.
    """

    slope: float
    intercept: float
    stderr: float
    p_value: float
    n: int

    def at(self, paper_steps: float) -> float:
        """Value of the line, in nats, at a pre-training step on the paper's scale."""
        return self.intercept + self.slope * paper_steps / STEPS_PER_UNIT


@dataclass(frozen=True)
class Reading:
    """One of the two readings of Appendix B, with its line or the reason there is none."""

    name: str
    source: str
    difference: str
    seeds: int
    line: Line | None
    reason: str = ""

    def text(self) -> str:
        """Two lines for the terminal."""
        head = f"{self.name} ({self.source}): {self.difference}"
        if self.line is None:
            return f"{head}\n  not run: {self.reason}"
        line = self.line
        seeds = "1 seed" if self.seeds == 1 else f"mean of {self.seeds} seeds"
        return (
            f"{head}\n  slope {line.slope:+.3e} ± {line.stderr:.1e} nats per 1,000 paper-scale "
            f"steps, p = {format_p(line.p_value)}, n = {line.n} steps, {seeds}"
        )


@dataclass(frozen=True)
class TrendResult:
    """Both readings, for one profile."""

    profile: str
    readings: tuple[Reading, ...]

    def text(self) -> str:
        """The whole answer for the terminal, the published one last."""
        return "\n".join(
            [
                f"Trend of the validation-loss difference, {SIZE}, {self.profile or 'no'} profile",
                f"ordinary least squares from step {FIRST_PAPER_STEP // 1000}K on the paper's scale"
                " (standard error after ±)",
                "",
                *(reading.text() for reading in self.readings),
                f"published: slope {PUBLISHED_SLOPE:+.2e}, p = {PUBLISHED_P_VALUE}",
                f"  {PUBLISHED_REMARK}",
                "",
                "p-values take the points as independent; those of one training run are not.",
            ]
        )


def run(records: pd.DataFrame) -> TrendResult:
    """Both readings on measured records.

    Raises:
      UserError: the records mix profiles.
    """
    pair = sole_profile(records[records["metric"].isin([CLEAN, NOISY])])
    across = ("across", "Figure 4b's caption", BASELINE_CLEAN, HYBRID_CLEAN)
    within = ("within", "Appendix B's prose", HYBRID_CLEAN, HYBRID_NOISY)
    readings = tuple(_reading(records, *reading) for reading in (across, within))
    return TrendResult(profile=pair[1] if pair else "", readings=readings)


def curve(records: pd.DataFrame, which: Curve) -> pd.DataFrame:
    """Values of one curve: index paper_step, a column per pre-training seed, NaN where absent."""
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
    return table.pivot(index="paper_step", columns="seed", values="value").sort_index()


def difference(records: pd.DataFrame, first: Curve, second: Curve) -> tuple[pd.Series, int]:
    """First minus second, averaged over the seeds that have both, by paper_step.

    Returns:
      The mean difference at the steps where every such seed has both values, and their number.
    """
    minuend, subtrahend = curve(records, first), curve(records, second)
    seeds = minuend.columns.intersection(subtrahend.columns)
    gaps = (minuend[seeds] - subtrahend[seeds]).dropna(how="any")
    return gaps.mean(axis="columns"), len(seeds)


def fit(steps: np.ndarray, values: np.ndarray) -> Line:
    """Ordinary least squares with an intercept.

    Args:
      steps: [n] pre-training steps on the paper's scale, n ≥ 3 and not all equal.
      values: [n] nats.

    >>> line = fit(np.array([0.0, 1000.0, 2000.0]), np.array([1.0, 2.0, 4.0]))
    >>> [round(x, 3) for x in (line.slope, line.intercept, line.stderr, line.p_value)]
    [1.5, 0.833, 0.289, 0.121]
    """
    # Imported here: it takes a second, which tables and plans should not wait for.
    from statsmodels.regression.linear_model import OLS

    x = np.column_stack([np.ones(len(steps)), np.asarray(steps) / STEPS_PER_UNIT])
    with np.errstate(divide="ignore", invalid="ignore"):
        result = OLS(np.asarray(values, dtype=float), x).fit()
        p_value = float(result.pvalues[1])
    exact = result.ssr <= 1e-24 * max(result.centered_tss, np.finfo(float).tiny)
    return Line(
        slope=float(result.params[1]),
        intercept=float(result.params[0]),
        stderr=float(result.bse[1]),
        p_value=math.nan if exact else p_value,
        n=len(steps),
    )


def format_p(p_value: float) -> str:
    """A p-value as printed.

    >>> format_p(0.0123), format_p(3e-7), format_p(math.nan)
    ('0.012', '3.0e-07', 'undefined')
    """
    if math.isnan(p_value):
        return "undefined"
    return f"{p_value:.3f}" if p_value >= 0.001 else f"{p_value:.1e}"


def fit_late(gaps: pd.Series) -> Line | None:
    """The line through the differences from ``FIRST_PAPER_STEP`` on; ``None`` of under 3 points."""
    late = gaps[gaps.index >= FIRST_PAPER_STEP]
    return fit(late.index.to_numpy(dtype=float), late.to_numpy()) if len(late) >= 3 else None


def _reading(records: pd.DataFrame, name: str, source: str, first: Curve, second: Curve) -> Reading:
    gaps, seeds = difference(records, first, second)
    line = fit_late(gaps)
    late = int((gaps.index >= FIRST_PAPER_STEP).sum())
    reason = ""
    if not seeds:
        absent = [which.label for which in (first, second) if curve(records, which).empty]
        reason = f"no record of {' or of '.join(absent)}" if absent else "no seed has both curves"
    elif line is None:
        reason = f"{late} validated steps from {FIRST_PAPER_STEP // 1000}K on; a line needs 3"
    return Reading(
        name=name,
        source=source,
        difference=f"{first.label} minus {second.label}",
        seeds=seeds,
        line=line,
        reason=reason,
    )
