"""Leads of SPACTOR(250K) and SPACTOR(∞) over the baseline in validation loss, seed by seed.

Both the summary and the registered tests use these definitions. Losses are span-corruption losses
of Base on X_c, in nats per target token; steps are on the paper's scale. A lead is the baseline's
loss minus the model's at the same step.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from analysis import trend
from analysis.paper.evidence import Evidence, Missing
from analysis.savings import spent

TAU = "250K"
TAU_STEPS = 250_000
TWO_STAGES = trend.Curve(TAU, trend.CLEAN, "")
EARLY, LATE = (120_000, 250_000), (900_000, 1_000_000)
"""Ranges of steps, both ends included, over which the lead of SPACTOR(∞) is averaged. They are
fixed in advance, because a lead "at its best" would be too large by chance."""


def two_stages(records: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Selects the losses of SPACTOR(250K) and of its baseline at the same steps.

    Returns:
      Two frames with a row for each step and a column for each seed, without seeds that have not
      trained as far as the others; None if no seed is left.
    """
    shared = trend.differences(records, TWO_STAGES, trend.BASELINE_CLEAN)
    if shared.empty:
        return None
    model, baseline = (
        trend.curve(records, which).loc[shared.index, shared.columns]
        for which in (TWO_STAGES, trend.BASELINE_CLEAN)
    )
    return model, baseline


def one_stage(records: pd.DataFrame) -> tuple[pd.Series, pd.Series] | None:
    """Averages the lead of SPACTOR(∞) over ``EARLY`` and over ``LATE``.

    Returns:
      Both means by seed; the second is empty if training has not reached the end of ``LATE``. None
      if there is no lead in ``EARLY``.
    """
    leads = trend.differences(records, trend.BASELINE_CLEAN, trend.HYBRID_CLEAN)
    early, late = (leads.loc[first:last] for first, last in (EARLY, LATE))
    if early.empty:
        return None
    return early.mean(), late.mean() if LATE[1] in late.index else pd.Series(dtype=float)


def hybrid_cost(records: pd.DataFrame) -> float | None:
    """FLOPs of a hybrid step over those of a plain one; None if the records lack either."""
    try:
        return 1.0 + Evidence.of(records).step_overhead(trend.SIZE)
    except Missing:
        return None


def reached(losses: pd.Series, target: float) -> float:
    """Returns the first step from which on all losses are at or below a target; NaN if none is.

    >>> reached(pd.Series([3.0, 2.0, 2.5, 2.0], index=[100, 200, 300, 400]), 2.2)
    400.0
    """
    above = np.flatnonzero(losses.to_numpy() > target)
    first = above[-1] + 1 if len(above) else 0
    return float(losses.index[first]) if first < len(losses) else math.nan


def saved_by_seed(model: pd.DataFrame, baseline: pd.DataFrame, cost: float = 1.0) -> pd.Series:
    """Applies ``saved_for_good`` to each seed of the losses that ``two_stages`` returns."""
    by_seed = {seed: saved_for_good(model[seed], baseline[seed], cost) for seed in model}
    return pd.Series(by_seed, dtype=float)


def saved_for_good(model: pd.Series, baseline: pd.Series, cost: float = 1.0) -> float:
    """Share of the budget that SPACTOR(250K) saves to reach its baseline's last loss for good.

    If the baseline ends lower, the result is minus the share that the baseline saves to reach
    SPACTOR(250K)'s last loss, so that the expected value for two equal models is zero.
    ``analysis.savings`` uses another estimator for suite scores: the first crossing counts, between
    checkpoints, and a slower model's cost is divided by the baseline's.

    Args:
      model, baseline: losses of one seed at the same steps.
      cost: cost of a hybrid step over that of a plain one; 1 counts steps.

    >>> losses = pd.Series([4.0, 3.5, 3.0, 2.5], index=[250_000, 500_000, 750_000, 1_000_000])
    >>> saved_for_good(losses - 0.5, losses), saved_for_good(losses + 0.5, losses)
    (0.25, -0.25)
    >>> saved_for_good(losses - 0.5, losses, 1.5)
    0.125
    """
    last = int(baseline.index[-1])

    def budget(step: float) -> float:
        return float(spent(np.array([step]), TAU_STEPS, cost)[0])

    if model[last] <= baseline[last]:
        return 1.0 - budget(reached(model, baseline[last])) / last
    return reached(baseline, model[last]) / budget(last) - 1.0
