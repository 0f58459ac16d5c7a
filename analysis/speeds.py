"""Sequences per second of pre-training, from the timing records of runs."""

from __future__ import annotations

import pandas as pd

from analysis.schema.facts import BASELINE_TAU


def logged_speeds(records: pd.DataFrame, stage: str) -> pd.DataFrame:
    """Selects the records of a stage's sequences per second, one for each logged interval.

    Args:
      records: records of one size.
      stage: one of ``spactor.config.STAGES``; for span corruption only the baseline's records are
        returned.
    """
    rows = records[records["metric"] == f"timing/seqs_per_second/{stage}"]
    if stage == "span_corruption":
        rows = rows[rows["tau"].isin([BASELINE_TAU, ""])]
    # The shared hybrid stage is recorded once for every τ.
    return rows.drop_duplicates(["seed", "node", "step", "value"])
