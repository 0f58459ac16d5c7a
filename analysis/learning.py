"""Did the runs learn anything? Final values held against what knowing nothing would give.

Each check compares one number of a run with the number a trivial predictor reaches on the same
held-out text, and says plainly on which side it fell:

* ``text``: the baseline's validation loss per target token against the entropy of the training
  corpus's token frequencies;
* ``text and format``: the same against that entropy times the share of decoder targets that are
  text, since sentinels and eos come in a fixed order and cost a format-aware model almost nothing
  (Section 2.1, Equation 7);
* ``generator``: its accuracy on [M] against always saying the most frequent token;
* ``detection loss``: the RTD loss per position against −p ln p − (1−p) ln(1−p), what a
  head reaches that knows only the fraction p of replaced tokens;
* ``detection recall`` and ``detection precision``: against a head that never flags (recall 0) and
  one that flags at random (precision p).

"Well" means a loss at least a tenth below the reference, or a rate at least twice the reference
(one in ten where the reference is 0). The hybrid's values are those at the end of its longest first
stage: τ = ∞ where it was run, else the largest τ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from analysis.schema.facts import SIZES
from analysis.schema.records import sole_profile
from analysis.schema.subset import Subset

READS = Subset(("validation/", "data/"))
CLEAR_LOSS_MARGIN = 0.10
CLEAR_RATE_MARGIN = 1.0
CLEAR_RATE_OVER_NONE = 0.10
MEAN_SPAN_LENGTH = 3.0

CLEARLY, BARELY, NOT, UNKNOWN = "yes, well", "yes, barely", "no", "not run"


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
      size, name: what was looked at.
      measured, reference: the run's number and the trivial predictor's; NaN where not run.
      unit: of both.
      verdict: "yes, well", "yes, barely", "no" or "not run".
      sentence: the verdict in words, with the numbers.
    """

    size: str
    name: str
    measured: float
    reference: float
    unit: str
    verdict: str
    sentence: str

    @property
    def passed(self) -> bool:
        """Whether the run did better than the trivial predictor at all."""
        return self.verdict in (CLEARLY, BARELY)


@dataclass(frozen=True)
class LearningResult:
    """All checks of one profile."""

    profile: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether there are checks and every one of them passed."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    def text(self) -> str:
        """One aligned line a check, for the terminal."""
        lines = [f"Did it learn? {self.profile or 'no'} profile; final validation values"]
        for check in self.checks:
            lines.append(f"{check.size:5}  {check.name:20} {check.verdict:12} {check.sentence}")
        return "\n".join(lines)


def binary_entropy(p: float) -> float:
    """Entropy, in nats, of an event of probability p.

    >>> round(binary_entropy(0.5), 4), binary_entropy(0.0)
    (0.6931, 0.0)
    """
    return sum(-x * math.log(x) for x in (p, 1.0 - p) if x > 0.0)


def run(records: pd.DataFrame) -> LearningResult:
    """The checks of every size that has a validation series; Base always, if only as "not run".

    Raises:
      UserError: the records mix profiles.
    """
    pair = sole_profile(records)
    series = records[records["metric"].str.startswith("validation/")]
    sizes = [size for size in SIZES if size == SIZES[0] or (series["size"] == size).any()]
    checks = [check for size in sizes for check in _checks(records, series, size)]
    return LearningResult(profile=pair[1] if pair else "", checks=tuple(checks))


def _checks(records: pd.DataFrame, series: pd.DataFrame, size: str) -> list[Check]:
    plain = _final(series, size, "0")
    hybrid_tau = _longest_hybrid(series, size)
    hybrid = _final(series, size, hybrid_tau) if hybrid_tau else {}
    entropy = _fact(records, "data/unigram_entropy_nats", size)
    share = _fact(records, "data/target_text_fraction", size)
    # Without the exact share, the limit of long inputs: a span costs its tokens and a sentinel.
    share = MEAN_SPAN_LENGTH / (MEAN_SPAN_LENGTH + 1.0) if math.isnan(share) else share
    loss = plain.get("sc_loss_clean", math.nan)
    replaced = hybrid.get("replaced_fraction", math.nan)
    chance = math.nan if math.isnan(replaced) else binary_entropy(replaced)

    def check(
        name: str, measured: float, reference: float, unit: str, what: str, *, lower: bool = False
    ) -> Check:
        return _compare(size, name, measured, reference, unit, what, lower)

    return [
        check(
            "text",
            loss,
            entropy,
            "nats",
            "baseline's loss per target token; unigram entropy",
            lower=True,
        ),
        check(
            "text and format",
            loss,
            entropy * share,
            "nats",
            f"the same; unigram entropy on the {share:.1%} of targets that are text",
            lower=True,
        ),
        check(
            "generator",
            hybrid.get("mlm_accuracy", math.nan),
            _fact(records, "data/most_frequent_token_rate", size),
            "accuracy",
            "generator's accuracy on [M]; most frequent token's rate",
        ),
        check(
            "detection loss",
            hybrid.get("rtd_loss", math.nan),
            chance,
            "nats",
            f"RTD loss per position; entropy of the replaced fraction {replaced:.4f}",
            lower=True,
        ),
        check(
            "detection recall",
            hybrid.get("rtd_recall", math.nan),
            0.0,
            "recall",
            "replaced tokens that were flagged; never flagging",
        ),
        check(
            "detection precision",
            hybrid.get("rtd_precision", math.nan),
            replaced,
            "precision",
            "flagged tokens that were replaced; flagging at random",
        ),
    ]


def _compare(
    size: str, name: str, measured: float, reference: float, unit: str, what: str, lower: bool
) -> Check:
    if math.isnan(measured) or math.isnan(reference):
        absent = "the run's value" if math.isnan(measured) else "the reference"
        sentence = f"{absent} is not in the records ({what})"
        return Check(size, name, measured, reference, unit, UNKNOWN, sentence)
    margin = reference - measured if lower else measured - reference
    if lower:
        floor = CLEAR_LOSS_MARGIN * reference
    else:
        floor = CLEAR_RATE_MARGIN * reference or CLEAR_RATE_OVER_NONE
    verdict = NOT if margin <= 0 else CLEARLY if margin >= floor else BARELY
    side = "equals" if measured == reference else "below" if measured < reference else "above"
    wanted = "" if margin > 0 else f"; it should be {'below' if lower else 'above'}"
    relation = (
        f"{side} {reference:.4f}"
        if side == "equals"
        else f"is {abs(margin):.4f} {side} {reference:.4f}"
    )
    sentence = f"{measured:.4f} {relation} {unit}{wanted} ({what})"
    return Check(size, name, measured, reference, unit, verdict, sentence)


def _final(series: pd.DataFrame, size: str, tau: str) -> dict[str, float]:
    """Last value of each validation metric, averaged over seeds."""
    rows = series[(series["size"] == size) & (series["tau"] == tau)].sort_values("step")
    last = rows.drop_duplicates(["metric", "seed"], keep="last")
    means = last.groupby("metric")["value"].mean()
    return {str(metric).removeprefix("validation/"): float(v) for metric, v in means.items()}


def _longest_hybrid(series: pd.DataFrame, size: str) -> str:
    """The τ whose hybrid stage was validated last; ∞ wins a tie, "" where there is none."""
    rows = series[(series["size"] == size) & (series["metric"] == "validation/rtd_loss")]
    if rows.empty:
        return ""
    last = rows.groupby("tau")["step"].max()
    return max(last.index, key=lambda tau: (last[tau], tau == "inf"))


def _fact(records: pd.DataFrame, metric: str, size: str) -> float:
    rows = records[(records["metric"] == metric) & records["size"].isin([size, ""])]
    own = rows[rows["size"] == size]
    values = own if len(own) else rows
    return float(values["value"].iloc[0]) if len(values) else math.nan
