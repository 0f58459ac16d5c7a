"""Summary of a study in three sentences, for README, report and terminal.

1. Two stages: the final validation loss of SPACTOR(250K) and of its baseline, and the steps and
   FLOPs that SPACTOR(250K) saves to reach the baseline's final loss. The paper's abstract states
   the baseline's quality in half the iterations and with 40 % fewer FLOPs.
2. One stage: the lead of SPACTOR(∞) over the baseline from 120K to 250K, and its loss from 900K to
   1M (Section 3.2.1: the lead vanishes).
3. Downstream: the number of suites on which pre-training beats fine-tuning from scratch, and on
   which the score of SPACTOR(250K) differs from its baseline's at the last checkpoint.

`analysis.leads` defines the losses, leads and savings. All tests are paired by seed; downstream
ones are adjusted by Holm over the suites.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis import leads, learning, scores, trend
from analysis.leads import EARLY, LATE, TAU
from analysis.schema import rows
from analysis.schema.facts import FROM_SCRATCH, NOT_RUN, PAPER_STEPS, SUITES, step_label
from analysis.schema.records import sole_profile
from analysis.tests import ALPHA, SeedDifferences, format_p, holm, seed_values
from spactor.text_table import paragraphs

SIZE = trend.SIZE
_ONE_SEED = "one seed, no test"
READS = rows.of_metrics(trend.CLEAN, "cost/") | rows.SCORES


def _evidence(found: SeedDifferences) -> str:
    """Describes the test of differences, for a bracket.

    >>> _evidence(SeedDifferences((0.2,))), _evidence(SeedDifferences((0.1, 0.2, 0.3)))
    ('one seed, no test', 'p = 0.074 over 3 seeds')
    """
    if len(found.by_seed) < 2:
        return _ONE_SEED
    return f"p = {format_p(found.p_value)} over {len(found.by_seed)} seeds"


@dataclass(frozen=True)
class TwoStages:
    """Comparison of SPACTOR(250K) with its baseline by validation loss.

    Attributes:
      at: paper step of the final losses: 1M, or less if training has not finished.
      model, baseline: mean final losses over the seeds that both have, in nats.
      lead: final loss of the baseline minus that of the model, by seed.
      steps_saved, flops_saved: share of the baseline's steps and FLOPs that the model saves, by
        seed (``leads.saved_for_good``). FLOPs are empty if the records have no cost of a step.
    """

    at: int
    model: float
    baseline: float
    lead: SeedDifferences
    steps_saved: tuple[float, ...]
    flops_saved: tuple[float, ...]

    @property
    def sentence(self) -> str:
        """First sentence of the summary."""
        where = "below" if self.lead.mean > 0 else "above"
        text = (
            f"Two stages (τ = {TAU}) {_end(self.at)} at a validation loss of {self.model:.3f} "
            f"nats per token, {abs(self.lead.mean):.3f} {where} the baseline's {self.baseline:.3f} "
            f"({_evidence(self.lead)})"
        )
        text += f", and need {_share(self.steps_saved)} steps"
        if self.flops_saved:
            text += f" and {_share(self.flops_saved)} FLOPs"
        return f"{text} for the same loss."


def _end(at: int) -> str:
    return "end" if at == PAPER_STEPS else f"have trained to {step_label(at)} and are"


def _share(saved: Sequence[float]) -> str:
    """Formats the mean of saved shares, and their range over seeds.

    >>> _share([0.2]), _share([-0.2, 0.1])
    ('20 % fewer', '5 % (-10 to 20 over seeds) more')
    """
    mean = math.fsum(saved) / len(saved)
    sign = 1.0 if mean >= 0 else -1.0
    percent = sorted(100.0 * sign * share for share in saved)
    spread = f" ({percent[0]:.0f} to {percent[-1]:.0f} over seeds)" if len(saved) > 1 else ""
    return f"{abs(mean):.0%}".replace("%", " %") + f"{spread} {'fewer' if sign > 0 else 'more'}"


@dataclass(frozen=True)
class OneStage:
    """Mean leads of SPACTOR(∞) over its baseline early and late in training, in nats.

    Attributes:
      early: mean lead over ``leads.EARLY``, by seed.
      late: mean lead over ``leads.LATE``, by seed; empty if training has not reached its end.
    """

    early: SeedDifferences
    late: SeedDifferences

    @property
    def lost(self) -> SeedDifferences:
        """Early minus late lead, by seed."""
        pairs = zip(self.early.by_seed, self.late.by_seed, strict=True)
        return SeedDifferences(tuple(before - after for before, after in pairs))

    @property
    def sentence(self) -> str:
        """Second sentence of the summary."""
        text = (
            f"The lead of one stage (τ = ∞) over its baseline is {self.early.mean:+.3f} nats on "
            f"average from {step_label(EARLY[0])} to {step_label(EARLY[1])}"
        )
        if not self.late.by_seed:
            return f"{text} ({_evidence(self.early)}); it has not trained to {step_label(LATE[1])}."
        lost = self.lost
        verb = "loses" if lost.mean > 0 else "gains"
        return (
            f"{text} and {self.late.mean:+.3f} from {step_label(LATE[0])} to "
            f"{step_label(LATE[1])}: it {verb} {abs(lost.mean):.3f} ({_evidence(lost)})."
        )


@dataclass(frozen=True)
class Downstream:
    """Comparisons of suite scores at the last checkpoint.

    Attributes:
      beaten: suites on which the pre-trained baseline scores above the same model fine-tuned from
        scratch.
      shown: suites in ``beaten`` with a significant difference.
      scratch: all suites of that comparison.
      differences: SPACTOR(250K) minus baseline, in points, by suite and seed.
      p_holm: p-value of each difference, adjusted by Holm over the suites; NaN for a single seed.
    """

    beaten: tuple[str, ...]
    shown: tuple[str, ...]
    scratch: tuple[str, ...]
    differences: dict[str, SeedDifferences]
    p_holm: dict[str, float]

    def _tested(self, words: str) -> str:
        """Returns the words, or a remark that a single seed has no test."""
        alone = self.p_holm and all(map(math.isnan, self.p_holm.values()))
        return _ONE_SEED if alone else words

    @property
    def sentence(self) -> str:
        """Third sentence of the summary."""
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
    """The three parts of the summary; None for a part without runs."""

    profile: str
    two_stages: TwoStages | None
    one_stage: OneStage | None
    downstream: Downstream

    @property
    def sentences(self) -> tuple[str, str, str]:
        """The three sentences, in the order of the module's docstring."""
        two = self.two_stages.sentence if self.two_stages else f"Two stages (τ = {TAU}): not run."
        one = self.one_stage.sentence if self.one_stage else "One stage (τ = ∞): not run."
        return two, one, self.downstream.sentence

    def rows(self) -> list[dict[str, object]]:
        """Returns a row for each part, with its sentence and numbers, for JSON and CSV."""
        parts = ("two stages", "one stage", "downstream")
        numbers = (self.two_stages, self.one_stage, self.downstream)
        return [
            {"part": part, "sentence": sentence, "numbers": found}
            for part, sentence, found in zip(parts, self.sentences, numbers, strict=True)
        ]

    def text(self) -> str:
        """Formats the sentences for the terminal."""
        head = (
            f"Result of the {self.profile or 'empty'} profile, Base; the paper claims the same "
            "quality in 50 % fewer steps and 40 % fewer FLOPs:"
        )
        return paragraphs([head, *(f"- {sentence}" for sentence in self.sentences)])


def run(records: pd.DataFrame, scratch: learning.ScratchResult | None = None) -> SummaryResult:
    """Summarises measured records of one profile.

    Args:
      records: measured records.
      scratch: result of ``learning.compare_with_scratch``; computed if it is not given.

    Raises:
      UserError: the records mix profiles, or a run's scores are incomplete.
    """
    _, profile = sole_profile(records)
    plain = records[records["variant"] == ""]
    return SummaryResult(
        profile=profile,
        two_stages=_two_stages(plain),
        one_stage=_one_stage(plain),
        downstream=_downstream(plain, scratch or learning.compare_with_scratch(plain)),
    )


def _two_stages(records: pd.DataFrame) -> TwoStages | None:
    curves = leads.two_stages(records)
    if curves is None:
        return None
    model, baseline = curves
    last = model.index[-1]
    cost = leads.hybrid_cost(records)
    return TwoStages(
        at=int(last),
        model=float(model.loc[last].mean()),
        baseline=float(baseline.loc[last].mean()),
        lead=SeedDifferences(tuple(map(float, baseline.loc[last] - model.loc[last]))),
        steps_saved=tuple(leads.saved_by_seed(model, baseline)),
        flops_saved=() if cost is None else tuple(leads.saved_by_seed(model, baseline, cost)),
    )


def _one_stage(records: pd.DataFrame) -> OneStage | None:
    spans = leads.one_stage(records)
    if spans is None:
        return None
    early, late = (SeedDifferences(tuple(map(float, span))) for span in spans)
    return OneStage(early, late)


def _downstream(records: pd.DataFrame, scratch: learning.ScratchResult) -> Downstream:
    compared = [
        one
        for one in scratch.comparisons
        if (one.size, one.tau) == (SIZE, "0") and one.verdict != NOT_RUN
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
            differences[suite] = SeedDifferences(tuple(by_seed.values()))
    adjusted = holm([one.p_value for one in differences.values()])
    return Downstream(
        beaten=tuple(one.suite for one in compared if one.difference > 0),
        shown=tuple(one.suite for one in compared if one.verdict == learning.BETTER),
        scratch=tuple(one.suite for one in compared),
        differences=differences,
        p_holm=dict(zip(differences, adjusted, strict=True)),
    )
