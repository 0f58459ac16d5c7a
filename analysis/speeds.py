"""Sequences per second of pre-training, by the timing that runs logged."""

from __future__ import annotations

import pandas as pd

from analysis.schema.facts import BASELINE_TAU


def logged_speeds(records: pd.DataFrame, stage: str) -> pd.DataFrame:
    """Records of a stage's sequences per second, one for each logged interval.

    Args:
      records: of one size.
      stage: of ``spactor.config.STAGES``; span corruption is the baseline's alone.
    """
    rows = records[records["metric"] == f"timing/seqs_per_second/{stage}"]
    if stage == "span_corruption":
        rows = rows[rows["tau"].isin([BASELINE_TAU, ""])]
    # A shared hybrid prefix is recorded once for every τ that runs through it.
    return rows.drop_duplicates(["seed", "node", "step", "value"])
