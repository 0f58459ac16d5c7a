"""The result of a study in three sentences, for README, report and terminal.

1. Two stages: the final validation loss of SPACTOR(``TAU``) against its baseline's, and in how many
   fewer steps and FLOPs it reaches the baseline's final loss. The paper's abstract: the baseline's
   quality in half the iterations and 40 % fewer FLOPs.
2. One stage: the lead of SPACTOR(∞) over the baseline where its mean over seeds is largest, and at
   the end (Section 3.2.2: the lead vanishes).
3. Downstream: on how many suites pre-training beats fine-tuning from scratch, and on how many the
   suite score of SPACTOR(``TAU``) differs from its baseline's at the last checkpoint.

Losses are span-corruption losses on X_c, in nats per target token, of Base. A lead is the
baseline's loss minus the model's at the same step. All tests are paired by seed; downstream ones
are adjusted by Holm over the suites. The step of the largest lead is chosen from the same curves,
so the test of what is lost after it is exploratory, and its sentence has this word.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import learning, scores, trend
from analysis.paper.evidence import Evidence, Missing, steps
from analysis.savings import spent
from analysis.schema import rows
from analysis.schema.facts import FROM_SCRATCH, PAPER_STEPS, SUITES
from analysis.schema.records import sole_profile
from analysis.tests import ALPHA, format_p, holm, paired, seed_values
from spactor.text_table import paragraphs

TAU = "250K"
TAU_STEPS = 250_000
SIZE = trend.SIZE
_ONE_SEED = "one seed, no test"
READS = rows.of_metrics(trend.CLEAN, "cost/") | rows.SCORES


@dataclass(frozen=True)
class Difference:
    """Differences by seed, with their mean.

    Attributes:
      by_seed: one value per seed that both models have.
    """

    by_seed: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over seeds; NaN for none."""
        return math.fsum(self.by_seed) / len(self.by_seed) if self.by_seed else math.nan

    @property
    def p_value(self) -> float:
        """Two-sided, paired by seed; NaN for a single seed."""
        return paired(self.by_seed)

    @property
    def evidence(self) -> str:
        """The test, as words for a bracket.

        >>> Difference((0.2,)).evidence, Difference((0.1, 0.2, 0.3)).evidence
        ('one seed, no test', 'p = 0.074 over 3 seeds')
        """
        if len(self.by_seed) < 2:
            return _ONE_SEED
        return f"p = {format_p(self.p_value)} over {len(self.by_seed)} seeds"


@dataclass(frozen=True)
class TwoStages:
    """SPACTOR(``TAU``) against its baseline by validation loss.

    Attributes:
      at: paper step of the final losses: 1M, or less where training has not finished.
      model, baseline: final losses, means over the seeds that both have, in nats.
      lead: final loss of the baseline minus that of the model, by seed.
      steps_saved, flops_saved: share of the baseline's steps and FLOPs that the model saves until
        its loss is at or below the baseline's final one for good, by seed; NaN for a seed that
        ends above it. FLOPs are empty where the records have no cost of a step.
    """

    at: int
    model: float
    baseline: float
    lead: Difference
    steps_saved: tuple[float, ...]
    flops_saved: tuple[float, ...]

    @property
    def sentence(self) -> str:
        """In words."""
        where = "below" if self.lead.mean > 0 else "above"
        text = (
            f"Two stages (τ = {TAU}) {_end(self.at)} at a validation loss of {self.model:.3f} "
            f"nats per token, {abs(self.lead.mean):.3f} {where} the baseline's {self.baseline:.3f} "
            f"({self.lead.evidence})"
        )
        reached = sum(not math.isnan(share) for share in self.steps_saved)
        count = len(self.steps_saved)
        if reached < count:
            return f"{text}; {reached} of {count} seeds reach the baseline's final loss."
        text += f", and reach the baseline's final loss in {_share(self.steps_saved)} fewer steps"
        if self.flops_saved:
            text += f" and {_share(self.flops_saved)} fewer FLOPs"
        return f"{text}."


def _end(at: int) -> str:
    return "end" if at == PAPER_STEPS else f"have trained to {steps(at)} and are"


def _share(values: Sequence[float]) -> str:
    percent = [100.0 * value for value in values]
    mean = f"{math.fsum(percent) / len(percent):.0f} %"
    return mean if len(percent) == 1 else f"{mean} ({min(percent):.0f} to {max(percent):.0f})"


@dataclass(frozen=True)
class OneStage:
    """The lead of SPACTOR(∞) over its baseline at its largest, and at the end.

    Attributes:
      at: paper step of the largest mean lead, from τ = 60K on.
      end: of the final lead: 1M, or less where training has not finished.
      largest, final: leads by seed, in nats.
    """

    at: int
    end: int
    largest: Difference
    final: Difference

    @property
    def lost(self) -> Difference:
        """Largest minus final lead, by seed."""
        pairs = zip(self.largest.by_seed, self.final.by_seed, strict=True)
        return Difference(tuple(before - after for before, after in pairs))

    @property
    def sentence(self) -> str:
        """In words."""
        where = (
            "the end" if self.end == PAPER_STEPS else f"{steps(self.end)}, as far as it has trained"
        )
        end = f"{self.final.mean:+.3f} at {where} ({self.final.evidence})"
        if self.largest.mean <= 0:
            return f"One stage (τ = ∞) never leads its baseline; its lead is {end}."
        return (
            f"One stage (τ = ∞) leads its baseline by {self.largest.mean:.3f} nats at "
            f"{steps(self.at)}; its lead is {end}: it loses {self.lost.mean:.3f} "
            f"({self.lost.evidence}; exploratory, as the step was chosen from these curves)."
        )


@dataclass(frozen=True)
class Downstream:
    """Suite scores at the last checkpoint.

    Attributes:
      beaten, scratch: suites on which the pre-trained baseline scores above the same model
        fine-tuned from scratch, and all that were compared.
      shown: those of ``beaten`` that a test shows.
      differences: SPACTOR(``TAU``) minus baseline by suite, in points, by seed.
      p_holm: of each, over the suites; NaN for a single seed.
    """

    beaten: tuple[str, ...]
    shown: tuple[str, ...]
    scratch: tuple[str, ...]
    differences: dict[str, Difference]
    p_holm: dict[str, float]

    def _tested(self, words: str) -> str:
        """The words, or that a single seed allows no test."""
        alone = self.p_holm and all(map(math.isnan, self.p_holm.values()))
        return _ONE_SEED if alone else words

    @property
    def sentence(self) -> str:
        """In words."""
        parts = []
        if self.scratch:
            parts.append(
                f"pre-training beats fine-tuning from scratch on {len(self.beaten)} of "
                f"{len(self.scratch)} suites ({self._tested(f'shown on {len(self.shown)}')})"
            )
        if self.differences:
            higher = sum(one.mean > 0 for one in self.differences.values())
            decided = [name for name, p in self.p_holm.items() if p < ALPHA]
            parts.append(
                f"τ = {TAU} scores above its baseline on {higher} of {len(self.differences)} "
                f"suites ({self._tested(f'a difference is shown on {len(decided)}')})"
            )
        return f"Downstream, {'; '.join(parts)}." if parts else "Downstream: not run."


@dataclass(frozen=True)
class SummaryResult:
    """The three parts; None for a part without runs."""

    profile: str
    two_stages: TwoStages | None
    one_stage: OneStage | None
    downstream: Downstream

    @property
    def sentences(self) -> tuple[str, str, str]:
        """The result, in the order of the module's docstring."""
        two = self.two_stages.sentence if self.two_stages else f"Two stages (τ = {TAU}): not run."
        one = self.one_stage.sentence if self.one_stage else "One stage (τ = ∞): not run."
        return two, one, self.downstream.sentence

    def rows(self) -> list[dict[str, object]]:
        """The parts: the sentence and, where it was run, the numbers."""
        parts = ("two stages", "one stage", "downstream")
        numbers = (self.two_stages, self.one_stage, self.downstream)
        return [
            {"part": part, "sentence": sentence, "numbers": found}
            for part, sentence, found in zip(parts, self.sentences, numbers, strict=True)
        ]

    def text(self) -> str:
        """The sentences as printed in a terminal."""
        head = (
            f"Result of the {self.profile or 'empty'} profile, Base; the paper claims the same "
            "quality in 50 % fewer steps and 40 % fewer FLOPs:"
        )
        return paragraphs([head, *(f"- {sentence}" for sentence in self.sentences)])


def run(records: pd.DataFrame, scratch: learning.ScratchResult | None = None) -> SummaryResult:
    """The result of measured records of one profile.

    Args:
      records: of one profile.
      scratch: ``learning.compare_with_scratch`` of them, where it is known already.

    Raises:
      UserError: the records mix profiles, or a run's scores are incomplete.
    """
    pair = sole_profile(records)
    plain = records[records["variant"] == ""]
    return SummaryResult(
        profile=pair[1] if pair else "",
        two_stages=_two_stages(plain),
        one_stage=_one_stage(plain),
        downstream=_downstream(plain, scratch or learning.compare_with_scratch(plain)),
    )


def _curves(records: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Losses of SPACTOR(``TAU``) and its baseline at the same steps and seeds; None without any."""
    ours = trend.Curve(TAU, trend.CLEAN, "")
    both = trend.differences(records, ours, trend.BASELINE_CLEAN)
    if both.empty:
        return None
    model, baseline = (
        trend.curve(records, curve).loc[both.index, both.columns]
        for curve in (ours, trend.BASELINE_CLEAN)
    )
    return model, baseline


def _two_stages(records: pd.DataFrame) -> TwoStages | None:
    curves = _curves(records)
    if curves is None:
        return None
    model, baseline = curves
    last = model.index[-1]
    target = baseline.loc[last]
    at = np.array([reached(model[seed], target[seed]) for seed in model.columns])
    try:
        overhead = 1.0 + Evidence.of(records).step_overhead(SIZE)
        flops = tuple(map(float, 1.0 - spent(at, TAU_STEPS, overhead) / last))
    except Missing:
        flops = ()
    return TwoStages(
        at=int(last),
        model=float(model.loc[last].mean()),
        baseline=float(target.mean()),
        lead=Difference(tuple(map(float, target - model.loc[last]))),
        steps_saved=tuple(map(float, 1.0 - at / last)),
        flops_saved=flops,
    )


def reached(losses: pd.Series, target: float) -> float:
    """The first step from which on all losses are at or below a target; NaN for none.

    >>> reached(pd.Series([3.0, 2.0, 2.5, 2.0], index=[100, 200, 300, 400]), 2.2)
    400.0
    """
    above = np.flatnonzero(losses.to_numpy() > target)
    first = above[-1] + 1 if len(above) else 0
    return float(losses.index[first]) if first < len(losses) else math.nan


def _one_stage(records: pd.DataFrame) -> OneStage | None:
    leads = trend.differences(records, trend.BASELINE_CLEAN, trend.HYBRID_CLEAN)
    late = leads[leads.index >= trend.FIRST_PAPER_STEP_OF_BEND]
    if late.empty:
        return None
    at = int(late.index.to_numpy()[late.mean(axis="columns").to_numpy().argmax()])
    return OneStage(
        at=at,
        end=int(late.index[-1]),
        largest=Difference(tuple(map(float, late.loc[at]))),
        final=Difference(tuple(map(float, late.iloc[-1]))),
    )


def _downstream(records: pd.DataFrame, scratch: learning.ScratchResult) -> Downstream:
    compared = [
        one
        for one in scratch.comparisons
        if (one.size, one.tau) == (SIZE, "0") and one.verdict != learning.NOT_RUN
    ]
    found = scores.seed_scores(records)
    differences = {}
    for suite in SUITES:
        ends = [
            checkpoint
            for size, tau, checkpoint, name in found
            if (size, name) == (SIZE, suite)
            and tau == TAU
            and checkpoint != FROM_SCRATCH
            and (SIZE, "0", checkpoint, suite) in found
        ]
        if not ends:
            continue
        cells = {tau: found[SIZE, tau, max(ends), suite] for tau in (TAU, "0")}
        if by_seed := seed_values({TAU: 1.0, "0": -1.0}, cells):
            differences[suite] = Difference(tuple(by_seed.values()))
    adjusted = holm([one.p_value for one in differences.values()])
    return Downstream(
        beaten=tuple(one.suite for one in compared if one.difference > 0),
        shown=tuple(one.suite for one in compared if one.verdict == learning.BETTER),
        scratch=tuple(one.suite for one in compared),
        differences=differences,
        p_holm=dict(zip(differences, adjusted, strict=True)),
    )
