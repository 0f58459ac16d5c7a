"""The kinds of test that claims need, each over a family of cells, with Holm's correction.

* superiority: one-sided Welch, "the first is higher";
* non-inferiority: the same with a margin, "the first is lower by less than the margin". The
  margin is half of what the baseline itself gains from 500K to 1M on that suite: whoever claims
  the quality of twice the steps must keep at least half of what those steps are worth, the rule
  of retained effect in clinical trials. It is taken as known, though it is estimated;
* equivalence: two one-sided tests, "they differ by less than the margin", the same margin. That a
  difference is not significant shows nothing.

A cell of one run has no spread, and so no test.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from analysis.claims.claim import Finding, Verdict, graded
from analysis.claims.evidence import FULL, HALF, SUITE_NAMES, Evidence, Missing, describe, steps
from analysis.tests import ALPHA, Sample, holm, welch
from analysis.trend import format_p

RETAINED = 0.5


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
class Outcome:
    """A contrast with its p-value after Holm, NaN where it can't be tested."""

    contrast: Contrast
    p_value: float

    @property
    def shown(self) -> bool:
        """Whether the test succeeded at the family's level."""
        return self.p_value < ALPHA


@dataclass(frozen=True)
class Family:
    """Contrasts that stand together, and the names of those that were not run."""

    contrasts: tuple[Contrast, ...]
    absent: tuple[str, ...] = ()

    def require(self) -> None:
        """Raises ``Missing`` where there is nothing to test."""
        if not self.contrasts:
            raise Missing(f"not run: {', '.join(self.absent)}")
        if not any(c.first.testable and c.second.testable for c in self.contrasts):
            raise Missing(f"one run a cell has no spread to test with; differences: {self.shown()}")

    def shown(self) -> str:
        """The bare differences."""
        return ", ".join(f"{c.name} {c.difference:+.2f}" for c in self.contrasts)

    def rest(self) -> str:
        """The end of a sentence: what was not run, if anything."""
        return f"; not run: {', '.join(self.absent)}" if self.absent else ""


Model = tuple[str, int]
"""τ and checkpoint."""
Kind = Literal["higher", "within", "different"]
"""What a test of a contrast is to show."""


@dataclass(frozen=True)
class Question:
    """A family of contrasts that was put to a test."""

    kind: Kind
    contrasts: tuple[Contrast, ...]


_listeners: ContextVar[tuple[list[Question], ...]] = ContextVar("_listeners", default=())


@contextmanager
def questions_asked() -> Iterator[list[Question]]:
    """Collects the families that are tested meanwhile, in order."""
    heard: list[Question] = []
    token = _listeners.set((*_listeners.get(), heard))
    try:
        yield heard
    finally:
        _listeners.reset(token)


def family(
    evidence: Evidence,
    size: str,
    suites: Iterable[str],
    pairs: Iterable[tuple[Model, Model]],
    *,
    with_margin: bool = False,
) -> Family:
    """First against second model on every suite.

    Args:
      size: of all of them.
      suites: in the order of print.
      pairs: (τ, checkpoint) of the first and of the second.
      with_margin: each suite's retention margin; a suite without one counts as not run.
    """
    listed = list(pairs)
    contrasts, absent = [], []
    for first, second in listed:
        for suite in suites:
            name = SUITE_NAMES[suite]
            if len(listed) > 1:
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


def greater(contrasts: Sequence[Contrast]) -> list[Outcome]:
    """One-sided: first + margin above second; Holm over the family."""
    return _adjusted(
        "higher",
        contrasts,
        lambda c: welch(c.first, c.second, shift=c.margin, alternative="greater"),
    )


def within(contrasts: Sequence[Contrast]) -> list[Outcome]:
    """Two one-sided tests: the difference lies within ± margin; Holm over the family."""

    def both(c: Contrast) -> float:
        sides = (
            welch(c.first, c.second, shift=c.margin, alternative="greater"),
            welch(c.first, c.second, shift=-c.margin, alternative="less"),
        )
        return math.nan if any(map(math.isnan, sides)) else max(sides)

    return _adjusted("within", contrasts, both)


def different(contrasts: Sequence[Contrast]) -> list[Outcome]:
    """Two-sided, of no difference; Holm over the family."""
    return _adjusted("different", contrasts, lambda c: welch(c.first, c.second))


def superiority(what: str, members: Family) -> Finding:
    """Holds where the first is higher in every cell, fails where in none.

    Args:
      what: the comparison in words, for the sentence.
      members: the family.
    """
    members.require()
    outcomes = greater(members.contrasts)
    passed = sum(outcome.shown for outcome in outcomes)
    return Finding(
        graded(passed, len(outcomes), incomplete=bool(members.absent)),
        f"{what}: {_numbers(outcomes)}; significantly higher on {passed} of {len(outcomes)}"
        + members.rest(),
    )


def non_inferiority(what: str, members: Family) -> Finding:
    """Holds where shown in every cell; fails where in none, and no majority of means is level.

    Where nothing is shown but most means are not lower, the data leave it open: partly.
    """
    members.require()
    outcomes = greater(members.contrasts)
    passed = sum(outcome.shown for outcome in outcomes)
    level = sum(contrast.difference >= 0.0 for contrast in members.contrasts)
    verdict = graded(passed, len(outcomes), incomplete=bool(members.absent))
    if not passed and 2 * level > len(outcomes):
        verdict = Verdict.PARTLY
    return Finding(
        verdict,
        f"{what}: {_numbers(outcomes, margins=True)}; non-inferiority shown on {passed} of "
        f"{len(outcomes)}, means not lower on {level}" + members.rest(),
    )


def equivalence(what: str, members: Family) -> Finding:
    """Holds where shown in every cell, fails where some differ significantly and none is shown.

    Where neither a difference nor equivalence is shown the data leave it open: partly.
    """
    members.require()
    outcomes = within(members.contrasts)
    passed = sum(outcome.shown for outcome in outcomes)
    apart = sum(outcome.shown for outcome in different(members.contrasts))
    verdict = graded(passed, len(outcomes), incomplete=bool(members.absent))
    if not passed and not apart:
        verdict = Verdict.PARTLY
    return Finding(
        verdict,
        f"{what}: {_numbers(outcomes, margins=True)}; equivalence shown on {passed} of "
        f"{len(outcomes)}, a difference on {apart}" + members.rest(),
    )


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
    return f"{'−'.join(dict.fromkeys(taus))} at {'/'.join(_steps_of(first, second))}"


def _steps_of(first: Model, second: Model) -> list[str]:
    return list(dict.fromkeys(steps(checkpoint) for _, checkpoint in (first, second)))


def _adjusted(
    kind: Kind, contrasts: Sequence[Contrast], p_value: Callable[[Contrast], float]
) -> list[Outcome]:
    for heard in _listeners.get():
        heard.append(Question(kind, tuple(contrasts)))
    adjusted = holm([p_value(contrast) for contrast in contrasts])
    return [Outcome(c, p) for c, p in zip(contrasts, adjusted, strict=True)]


def _numbers(outcomes: Sequence[Outcome], *, margins: bool = False) -> str:
    return ", ".join(
        f"{o.contrast.name} {o.contrast.difference:+.2f} ("
        + (f"margin {o.contrast.margin:.2f}, " if margins else "")
        + ("no spread)" if math.isnan(o.p_value) else f"p {format_p(o.p_value)})")
        for o in outcomes
    )
