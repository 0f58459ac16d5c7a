"""Results of a study of variants: one row per experiment, the published settings first.

``loss`` is the validation loss on clean input X_c at the end of the study, in nats per target
token; a suite's column holds its score at the selected fine-tuning step (``analysis.scores``). All
are means over seeds; with one seed a difference between two rows is not evidence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from analysis import scores
from analysis.schema.facts import NOT_RUN, SUITES
from analysis.trend import CLEAN
from spactor.text_table import align

PUBLISHED = "published settings"


@dataclass(frozen=True)
class Row:
    """Results of an experiment; NaN if not run.

    Attributes:
      variant, tau: the experiment; the variant is "" for the published settings.
      loss: validation loss in nats per target token.
      seeds: number of pre-training seeds of the loss.
      scores: scores in per cent, by suite.
    """

    variant: str
    tau: str
    loss: float
    seeds: int
    scores: dict[str, float]


@dataclass(frozen=True)
class StudyResult:
    """Results of a study, in the order of its experiments."""

    rows: tuple[Row, ...]
    suites: tuple[str, ...]

    def text(self) -> str:
        """Formats an aligned table for the terminal."""
        head = ["variant", "τ", "seeds", "loss", *self.suites]
        body = [
            [
                row.variant or PUBLISHED,
                row.tau,
                str(row.seeds),
                _cell(row.loss, 4),
                *(_cell(row.scores.get(suite, math.nan), 2) for suite in self.suites),
            ]
            for row in self.rows
        ]
        return "\n".join(align([head, *body]))


def _cell(value: float, decimals: int) -> str:
    return NOT_RUN if math.isnan(value) else f"{value:.{decimals}f}"


def run(records: pd.DataFrame, experiments: Iterable[tuple[str, str]], end: int) -> StudyResult:
    """Computes the results of experiments from the records of a study.

    Args:
      records: measured records of one study.
      experiments: variant and τ of the experiments in print order; repeated ones share a row.
      end: pre-training step, on the paper's scale, to compare the experiments at.

    Raises:
      UserError: the scores of a run are incomplete.
    """
    rows = tuple(_row(records, *experiment, end) for experiment in dict.fromkeys(experiments))
    suites = tuple(suite for suite in SUITES if any(suite in row.scores for row in rows))
    return StudyResult(rows=rows, suites=suites)


def _row(records: pd.DataFrame, variant: str, tau: str, end: int) -> Row:
    own = records[(records["variant"] == variant) & (records["tau"] == tau)]
    series = own[(own["metric"] == CLEAN) & (own["paper_step"] == end)]
    summary = scores.summary(own[own["checkpoint"] == end])
    return Row(
        variant=variant,
        tau=tau,
        loss=float(series["value"].mean()) if len(series) else math.nan,
        seeds=len(series),
        scores={str(row["suite"]): float(row["mean"]) for _, row in summary.iterrows()},
    )
