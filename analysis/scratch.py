"""Does pre-training help? Fine-tuned models against the same model fine-tuned from scratch.

Per size, τ and suite: the runs at the last checkpoint against those at step 0, whose weights are
freshly initialised. Welch's test, one-sided (pre-trained is better), over runs; p-values adjusted
by Holm over the suites of one size and τ. A run is a pair of a pre-training and a fine-tuning seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from analysis import scores
from analysis.schema.facts import SUITES, TAUS
from analysis.schema.records import SELECTIONS, sole_profile
from analysis.schema.subset import Subset
from analysis.statistics import ALPHA, Sample, holm, welch

BETTER, NOT_SHOWN, NO_SPREAD, NOT_RUN = "better", "not shown", "no spread, not tested", "not run"
READS = Subset(scores=SELECTIONS[0])
FROM_SCRATCH = 0
"""The checkpoint of a model that was not pre-trained."""
_NOTHING = Sample(math.nan, math.nan, 0)


@dataclass(frozen=True)
class Comparison:
    """One suite at one size and τ.

    Attributes:
      checkpoint: of the pre-trained model, on the paper's scale; 0 where there is none.
      pretrained, scratch: suite scores over runs; of no runs where not run.
      p_holm: NaN without a test.
      verdict: "better", "not shown", "no spread, not tested" or "not run".
    """

    size: str
    tau: str
    suite: str
    checkpoint: int
    pretrained: Sample
    scratch: Sample
    p_holm: float
    verdict: str

    @property
    def difference(self) -> float:
        """Pre-trained minus from scratch, in points; NaN where one was not run."""
        return self.pretrained.mean - self.scratch.mean


@dataclass(frozen=True)
class ScratchResult:
    """All comparisons of one profile."""

    profile: str
    comparisons: tuple[Comparison, ...]

    def better(self, size: str, tau: str) -> int:
        """Suites on which pre-training is shown to be better."""
        return sum(
            (one.size, one.tau, one.verdict) == (size, tau, BETTER) for one in self.comparisons
        )

    def text(self) -> str:
        """One aligned line a suite, for the terminal."""
        head = f"Against from scratch? {self.profile or 'no'} profile; "
        if not self.comparisons:
            return f"{head}{NOT_RUN}: `repro run --study scratch` does that"
        lines = [f"{head}one-sided Welch tests, Holm over suites, ± with ddof = {scores.DDOF}"]
        for one in self.comparisons:
            lines.append(
                f"{one.size:5}  τ = {one.tau:4}  {one.suite:9}  {one.verdict:21}  {_told(one)}"
            )
        for size, tau in dict.fromkeys((one.size, one.tau) for one in self.comparisons):
            lines.append(f"{size}, τ = {tau}: better on {self.better(size, tau)} of {len(SUITES)}")
        return "\n".join(lines)


def run(records: pd.DataFrame, rule: str = "best_average") -> ScratchResult:
    """The comparisons for every size and τ that was fine-tuned from scratch.

    Args:
      records: measured, of one profile.
      rule: that selects the fine-tuning step.

    Raises:
      UserError: the records mix profiles, or a run's scores are incomplete.
    """
    pair = sole_profile(records)
    found = scores.suite_scores(records[records["variant"] == ""], rule)
    of_scratch = found.loc[found["checkpoint"] == FROM_SCRATCH, ["size", "tau"]]
    cells = sorted(
        set(of_scratch.itertuples(index=False, name=None)),
        key=lambda cell: (cell[0], TAUS.index(cell[1])),
    )
    compared = [one for cell in cells for one in _family(found, *cell)]
    return ScratchResult(profile=pair[1] if pair else "", comparisons=tuple(compared))


def _family(found: pd.DataFrame, size: str, tau: str) -> list[Comparison]:
    own = found[(found["size"] == size) & (found["tau"] == tau)]
    last = int(own["checkpoint"].max())
    samples = [
        (
            suite,
            _sample(own, suite, last) if last != FROM_SCRATCH else _NOTHING,
            _sample(own, suite, FROM_SCRATCH),
        )
        for suite in SUITES
    ]
    tests = [welch(first, second, alternative="greater") for _, first, second in samples]
    return [
        Comparison(size, tau, suite, last, first, second, p, _verdict(first, second, p))
        for (suite, first, second), p in zip(samples, holm(tests), strict=True)
    ]


def _sample(own: pd.DataFrame, suite: str, checkpoint: int) -> Sample:
    values = own.loc[(own["suite"] == suite) & (own["checkpoint"] == checkpoint), "score"]
    if values.empty:
        return _NOTHING
    return Sample(float(values.mean()), float(values.std(ddof=scores.DDOF)), len(values))


def _verdict(pretrained: Sample, scratch: Sample, p: float) -> str:
    if not (pretrained.runs and scratch.runs):
        return NOT_RUN
    if math.isnan(p):
        return NO_SPREAD
    return BETTER if p < ALPHA else NOT_SHOWN


def _told(one: Comparison) -> str:
    p = "" if math.isnan(one.p_holm) else f", p = {one.p_holm:.2g}"
    return f"{_shown(one.pretrained)} pre-trained, {_shown(one.scratch)} from scratch{p}"


def _shown(sample: Sample) -> str:
    if not sample.runs:
        return NOT_RUN
    spread = "" if math.isnan(sample.std) else f" ± {sample.std:.2f}"
    return f"{sample.mean:.2f}{spread} (n = {sample.runs})"
