"""Pairs of scores that are compared, and the tests that compare them.

``outcomes_of`` is the one place where a test is chosen for a kind of question:

* ``higher``: one-sided Welch test of first + margin against second. With a margin of 0 this is
  superiority, with a positive margin non-inferiority;
* ``within``: two one-sided Welch tests; the difference lies within ± margin (equivalence);
* ``different``: two-sided Welch test of no difference.

p-values are adjusted by Holm over the family. The margin is half of what the baseline itself gains
from 500K to 1M on a suite: whoever claims the quality of twice the steps must retain at least half
of what those steps are worth, the rule of retained effect in clinical trials. It is taken as known,
though it is estimated. A cell of one run has no spread, and so no test.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.paper.evidence import FULL, HALF, SUITE_NAMES, Evidence, Missing, describe, steps
from analysis.tests import ALPHA, Sample, holm, welch

RETAINED = 0.5

Kind = Literal["higher", "within", "different"]
Model = tuple[str, int]
"""τ and checkpoint."""
Pair = tuple[Model, Model]


@dataclass(frozen=True)
class Contrast:
    """Two scores to compare, in per cent; ``margin`` is in the same unit."""

    name: str
    first: Sample
    second: Sample
    margin: float = 0.0

    @property
    def difference(self) -> float:
        """First minus second."""
        return self.first.mean - self.second.mean


@dataclass(frozen=True)
class Question:
    """A family of contrasts and the kind of test it is put to."""

    kind: Kind
    contrasts: tuple[Contrast, ...]


@dataclass(frozen=True)
class Outcome:
    """A contrast with its p-value after Holm, NaN where it has no test."""

    contrast: Contrast
    p_value: float

    @property
    def shown(self) -> bool:
        """Whether the test succeeded at the family's level."""
        return self.p_value < ALPHA


def outcomes_of(question: Question) -> list[Outcome]:
    """p-values of every contrast by the question's test, adjusted by Holm over the family."""
    adjusted = holm([_p_value(question.kind, contrast) for contrast in question.contrasts])
    return [Outcome(c, p) for c, p in zip(question.contrasts, adjusted, strict=True)]


def _p_value(kind: Kind, c: Contrast) -> float:
    if kind == "different":
        return welch(c.first, c.second)
    above = welch(c.first, c.second, shift=c.margin, alternative="greater")
    if kind == "higher" or math.isnan(above):
        return above
    return max(above, welch(c.first, c.second, shift=-c.margin, alternative="less"))


@dataclass(frozen=True)
class Family:
    """Contrasts that are tested together, and the names of those that were not run."""

    contrasts: tuple[Contrast, ...]
    absent: tuple[str, ...] = ()

    def require(self) -> None:
        """Raises ``Missing`` where there is nothing to test."""
        if not self.contrasts:
            raise Missing(f"not run: {', '.join(self.absent)}")
        if not any(c.first.testable and c.second.testable for c in self.contrasts):
            raise Missing(
                f"one run a cell has no spread to test with; differences: {self.differences()}"
            )

    def differences(self) -> str:
        """Names and differences of the contrasts."""
        return ", ".join(f"{c.name} {c.difference:+.2f}" for c in self.contrasts)

    @property
    def level(self) -> int:
        """How many first means are not below the second."""
        return sum(contrast.difference >= 0.0 for contrast in self.contrasts)


def not_run(names: Iterable[str]) -> str:
    """End of a sentence: what was not run, if anything.

    >>> not_run(["BBH"]), not_run([])
    ('; not run: BBH', '')
    """
    listed = ", ".join(names)
    return f"; not run: {listed}" if listed else ""


def family(
    evidence: Evidence,
    size: str,
    suites: Iterable[str],
    pairs: Sequence[Pair],
    *,
    with_margin: bool = False,
) -> Family:
    """First against second model on every suite.

    Args:
      evidence: the scores.
      size: of all models.
      suites: in the order of print.
      pairs: (τ, checkpoint) of the first and of the second model.
      with_margin: use each suite's retention margin; a suite without one counts as not run.
    """
    contrasts, absent = [], []
    for first, second in pairs:
        for suite in suites:
            name = SUITE_NAMES[suite]
            if len(pairs) > 1:
                name += f" {_label(first, second)}"
            try:
                contrasts.append(
                    Contrast(
                        name,
                        evidence.score(size, *first, suite),
                        evidence.score(size, *second, suite),
                        margin(evidence, size, suite) if with_margin else 0.0,
                    )
                )
            except Missing:
                absent.append(name)
    return Family(tuple(contrasts), tuple(absent))


def margin(evidence: Evidence, size: str, suite: str) -> float:
    """Half of the baseline's gain from 500K to 1M on a suite; 0 where it gained nothing."""
    gain = evidence.score(size, "0", FULL, suite).mean - evidence.score(size, "0", HALF, suite).mean
    return max(0.0, RETAINED * gain)


def mixed(first: Sample, second: Sample, weight: float) -> Sample:
    """(1 − weight) · first + weight · second, of independent samples.

    >>> mixed(Sample(1.0, 3.0, 5), Sample(3.0, 4.0, 5), 0.5)
    Sample(mean=2.0, std=2.5, runs=5)
    """
    return Sample(
        (1.0 - weight) * first.mean + weight * second.mean,
        math.hypot((1.0 - weight) * first.std, weight * second.std),
        min(first.runs, second.runs),
    )


def against(size: str, first: Model, second: Model) -> str:
    """A pair of models in words, for a sentence."""
    return f"{describe(size, *first)} minus {describe(size, *second)}"


def _label(first: Model, second: Model) -> str:
    taus = [tau.replace("inf", "∞") for tau, _ in (first, second) if tau != "0"]
    at = dict.fromkeys(steps(checkpoint) for _, checkpoint in (first, second))
    return f"{'−'.join(dict.fromkeys(taus))} at {'/'.join(at)}"
