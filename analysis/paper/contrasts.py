"""Differences of scores, and the tests that judge them.

A contrast is a linear combination of cells, such as a model's score minus the baseline's, and so is
its margin. A test is of one of three kinds, each with a second test of the opposite:

=============  ====================================  ===========================================
kind           shown                                 refuted
=============  ====================================  ===========================================
``higher``     difference + margin > 0; without a    difference + margin < 0, and difference < 0
               margin superiority, with one
               non-inferiority
``within``     |difference| < margin (equivalence)   |difference| > margin
``different``  difference ≠ 0, two-sided             |difference| < margin
=============  ====================================  ===========================================

Measured runs of one seed share initialisation and data, so they are tested in pairs, seed by seed;
cells of two sizes are paired within each size alone. The paper prints no runs, so its numbers are
tested by Welch's test. p-values are adjusted by Holm over the family, separately for "shown" and
"refuted". There is no test of a cell with one run, or with runs of a single pre-training.

The margin is half of the baseline's own gain from 500K to 1M on a suite. This is the rule of
retained effect of clinical trials: a model that matches twice the steps has at least half of the
gain of those steps. The margin is estimated from the same scores, so the tested combination
contains it, together with its covariance with the difference if both use the same cells or seeds.
If the baseline's score falls from 500K to 1M the margin is negative: ``higher`` is then stricter
than superiority, and ``within`` impossible.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from analysis.paper.evidence import FULL, HALF, Cell, Evidence, Missing, describe
from analysis.schema.facts import BASELINE_TAU, SUITE_SHORT_NAMES, step_label, tau_label
from analysis.tests import ALPHA, Kind, Sample, add, holm, paired, seed_values, welch

RETAINED = 0.5

Model = tuple[str, int]
"""τ and checkpoint."""
Weights = Mapping[Cell, float]
"""A linear combination of cells: the coefficient of each."""
Pair = tuple[Model, Model]


@dataclass(frozen=True)
class Contrast:
    """A difference of scores, in per cent, and the margin it is tested with.

    Attributes:
      name: the suite, and the models if the family has several pairs.
      weights: coefficients of the cells in the difference.
      samples: scores of the cells over runs.
      by_seed: measured scores of the cells by seed; empty for published cells.
      margin_weights: coefficients of the cells in the estimated margin; empty without one.
      allowed: a fixed margin without error, in per cent.
    """

    name: str
    weights: Weights
    samples: Mapping[Cell, Sample]
    by_seed: Mapping[Cell, Mapping[int, float]] = field(default_factory=dict)
    margin_weights: Weights = field(default_factory=dict)
    allowed: float = 0.0

    @property
    def difference(self) -> float:
        """Estimate of the difference, in per cent."""
        return math.fsum(part.mean for part in self.parts(self.weights))

    @property
    def margin(self) -> float:
        """Estimate of the margin, in per cent; below 0 if the baseline's score fell."""
        return self.allowed + math.fsum(part.mean for part in self.parts(self.margin_weights))

    @property
    def has_margin(self) -> bool:
        """Whether the difference is tested with a margin."""
        return bool(self.margin_weights or self.allowed)

    @property
    def testable(self) -> bool:
        """Whether the difference has a standard deviation."""
        return all(part.testable for part in self.parts(self.weights))

    @property
    def seeds(self) -> str:
        """Numbers of paired seeds, one for each size; "" for published cells."""
        counts = [part.runs for part in self.parts(self.weights)] if self.by_seed else []
        return " and ".join(map(str, counts))

    def parts(self, weights: Weights) -> tuple[Sample, ...]:
        """Splits a linear combination of the cells into independent samples.

        Published numbers have a sample for each cell, measured ones a sample over paired seeds for
        each size.
        """
        if self.by_seed:
            return tuple(map(Sample.of, self._values(weights)))
        return tuple(self.samples[cell].times(weight) for cell, weight in weights.items() if weight)

    def sides(self, kind: Kind, sign: float = 1.0) -> tuple[Weights, Weights, float]:
        """Returns margin + difference and margin − difference, which a test compares with 0.

        Args:
          kind: kind of test; ``different`` has no margin.
          sign: sign of the margin; −1 for the test of a difference beyond the margin.

        Returns:
          Both linear combinations of cells, and the fixed margin to add to each.
        """
        margin = {} if kind == "different" else add(self.margin_weights, times=sign)
        known = 0.0 if kind == "different" else sign * self.allowed
        return add(self.weights, margin), add(add(self.weights, times=-1.0), margin), known

    def p_value(self, kind: Kind) -> float:
        """p-value of the test; NaN if there is none."""
        over, under, known = self.sides(kind)
        above = self._above(over, known)
        if kind == "higher" or math.isnan(above):
            return above
        below = self._above(under, known)
        return max(above, below) if kind == "within" else min(1.0, 2.0 * min(above, below))

    def refuting_p_value(self, kind: Kind) -> float:
        """p-value of the test of the opposite; NaN if there is none."""
        if kind == "different":
            return self.p_value("within")
        over, under, known = self.sides(kind, sign=-1.0)
        below = (under, add(self.weights, times=-1.0))
        sides = [below] if kind == "higher" else [below, (over, self.weights)]
        # The maximum prevents a negative margin from refuting equality.
        p_values = [max(self._above(far, known), self._above(side, 0.0)) for far, side in sides]
        return min(len(p_values) * min(p_values), 1.0)  # in this order NaN stays NaN

    def _above(self, weights: Weights, known: float) -> float:
        if self.by_seed and len(values := self._values(weights)) == 1:
            return paired(values[0], known, "greater")
        return welch(*self.parts(weights), shift=known)

    def _values(self, weights: Weights) -> list[list[float]]:
        """Values of a linear combination by seed, for each size."""
        by_size: dict[str, dict[Cell, float]] = {}
        for cell, weight in weights.items():
            if weight:
                by_size.setdefault(cell.size, {})[cell] = weight
        return [list(seed_values(one, self.by_seed).values()) for one in by_size.values()]


@dataclass(frozen=True)
class Outcome:
    """A contrast with its p-values, adjusted by Holm; NaN if it has no test."""

    contrast: Contrast
    p_value: float
    refuting_p_value: float

    @property
    def shown(self) -> bool:
        """Whether the test is significant at ``ALPHA`` for the family."""
        return self.p_value < ALPHA

    @property
    def refuted(self) -> bool:
        """Whether the test of the opposite is significant at ``ALPHA`` for the family."""
        return self.refuting_p_value < ALPHA


@dataclass(frozen=True)
class Family:
    """Contrasts that are tested together, and the names of those that were not run."""

    contrasts: tuple[Contrast, ...]
    absent: tuple[str, ...] = ()

    def outcomes(self, kind: Kind) -> list[Outcome]:
        """Tests every contrast, and adjusts the p-values by Holm over the family."""
        shown = holm([contrast.p_value(kind) for contrast in self.contrasts])
        refuted = holm([contrast.refuting_p_value(kind) for contrast in self.contrasts])
        return [Outcome(*one) for one in zip(self.contrasts, shown, refuted, strict=True)]

    def require(self) -> None:
        """Raises ``Missing`` if no contrast can be tested."""
        if not self.contrasts:
            raise Missing(f"not run: {', '.join(self.absent)}")
        if not any(contrast.testable for contrast in self.contrasts):
            raise Missing(
                "a test needs two pre-training seeds that both models have; "
                f"differences: {self.differences()}"
            )

    def differences(self) -> str:
        """Lists the contrasts' names and differences."""
        return ", ".join(f"{c.name} {c.difference:+.2f}" for c in self.contrasts)

    @property
    def level(self) -> int:
        """Number of differences that are not below 0."""
        return sum(contrast.difference >= 0.0 for contrast in self.contrasts)

    @property
    def how(self) -> str:
        """Description of the test, for a sentence."""
        counts = sorted({contrast.seeds for contrast in self.contrasts if contrast.by_seed})
        if not counts:
            return "Welch, as the paper prints no runs"
        return f"paired by seed, {' or '.join(counts)} seeds"


def not_run(names: Iterable[str]) -> str:
    """Formats the end of a sentence that lists models or suites that were not run.

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
    allowed: Mapping[str, float] | None = None,
) -> Family:
    """Builds the family of pairs of models compared on every suite.

    Args:
      evidence: records with the scores.
      size: size of all models.
      suites: suites in the printed order.
      pairs: (τ, checkpoint) of the first and of the second model.
      with_margin: whether to use each suite's retention margin; a suite without one counts as not
        run.
      allowed: fixed margins without error, in per cent, by name.
    """
    differences, margins = {}, {}
    for (first, second), suite in itertools.product(pairs, suites):
        name = SUITE_SHORT_NAMES[suite] + (f" {_label(first, second)}" if len(pairs) > 1 else "")
        differences[name] = {Cell(size, *first, suite): 1.0, Cell(size, *second, suite): -1.0}
        margins[name] = retention(size, suite)
    return family_of(evidence, differences, margins if with_margin else {}, allowed)


def family_of(
    evidence: Evidence,
    differences: Mapping[str, Weights],
    margins: Mapping[str, Weights] | None = None,
    allowed: Mapping[str, float] | None = None,
) -> Family:
    """Builds a family of differences; those with a cell that has no score count as not run.

    Args:
      evidence: records with the scores.
      differences, margins: linear combinations of cells by name.
      allowed: fixed margins without error, in per cent, by name.
    """
    contrasts, absent = [], []
    for name, weights in differences.items():
        margin = (margins or {}).get(name, {})
        if {*weights, *margin} <= evidence.samples.keys():
            known = (allowed or {}).get(name, 0.0)
            scores = (evidence.samples, evidence.by_seed)
            contrasts.append(Contrast(name, weights, *scores, margin, known))
        else:
            absent.append(name)
    return Family(tuple(contrasts), tuple(absent))


def retention(size: str, suite: str) -> dict[Cell, float]:
    """Half of the baseline's gain from 500K to 1M on a suite, as a linear combination of cells."""
    return {Cell(size, "0", FULL, suite): RETAINED, Cell(size, "0", HALF, suite): -RETAINED}


def against(size: str, first: Model, second: Model) -> str:
    """Describes the difference of two models, for a sentence."""
    return f"{describe(size, *first)} minus {describe(size, *second)}"


def _label(first: Model, second: Model) -> str:
    taus = [tau_label(tau) for tau, _ in (first, second) if tau != BASELINE_TAU]
    at = dict.fromkeys(step_label(checkpoint) for _, checkpoint in (first, second))
    return f"{'−'.join(dict.fromkeys(taus))} at {'/'.join(at)}"
