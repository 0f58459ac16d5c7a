"""Power analysis: the number of runs that a claim needs.

For every claim that compares scores, this finds the number of runs per cell with which the claim's
test (``analysis.paper``) succeeds with a probability of 80 %, given published or measured means
and standard deviations. :func:`power` uses the noncentral t distribution of the claim's own test
(paired by seed for measured runs, Welch's for published numbers) at α over the number of cells,
which is Holm's first step and a lower bound for the later ones.

The result is "never" if more than a thousand runs would be needed, or if the difference is on the
wrong side of its margin, which no number of runs can show. Means and standard deviations of few
runs are uncertain, so a result is an order of magnitude.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import scipy.special

from analysis.paper import Judgement
from analysis.paper.contrasts import Contrast, Family, Weights
from analysis.paper.statement import Passage
from analysis.schema.facts import FROM_SCRATCH, size_label
from analysis.tests import ALPHA, Kind
from spactor.text_table import align, paragraphs

POWER = 0.8
MOST_RUNS = 1000
"""Largest number of runs that is reported; more are reported as "never"."""


@dataclass(frozen=True)
class Need:
    """Number of runs per cell that one claim needs.

    Attributes:
      claim: a claim of ``analysis.paper``.
      cells: number of comparisons in the claim.
      some, half, every: number of runs that decides the first of the cells, half of them, and all;
        infinity if no number of runs does, NaN without standard deviations.
      decides: whether every cell has as many runs as it needs.
    """

    claim: Passage
    cells: int
    some: float
    half: float
    every: float
    decides: bool


@dataclass(frozen=True)
class PowerResult:
    """Numbers of runs that claims need, given the means and standard deviations of one source.

    Attributes:
      source, profile: source and profile of the records.
      runs: actual or planned number of runs, by size.
      needs: one per claim that compares scores over runs.
      without: number of claims without such a test: claims on arithmetic or single numbers, and
        those with cells that the records lack.
    """

    source: str
    profile: str
    runs: Mapping[str, int]
    needs: tuple[Need, ...]
    without: int

    @property
    def how(self) -> str:
        """Description of the tests and of a run, for a sentence."""
        if self.source == "published":
            return "Welch's tests, since the paper prints no runs that could be paired by seed"
        return "tests paired by seed, a run being a seed of both models"

    def rows(self) -> list[dict[str, object]]:
        """Returns a row per claim for JSON and CSV; "never" replaces infinity."""
        return [
            {
                **{"spreads": self.source, "claim": need.claim.id, "cells": need.cells},
                **{
                    name: shown_count(count) if math.isinf(count) else count
                    for name, count in zip(
                        ("first", "half", "all"), (need.some, need.half, need.every), strict=True
                    )
                },
                "decides": need.decides,
            }
            for need in self.needs
        ]

    def text(self) -> str:
        """Formats the result as a table for the terminal."""
        whose = "published" if self.source == "published" else f"measured, {self.profile}"
        has = " and ".join(f"{count} {size_label(size)}" for size, count in self.runs.items())
        decided = sum(need.decides for need in self.needs)
        lines = [
            f"By the means and spreads {whose}: with {has} runs, {decided} of "
            f"{len(self.needs)} claims would be decided in all cells with a power of {POWER:.0%}. "
            f"{self.without} more claims have no test over runs with these records.",
            f"{self.how[0].upper()}{self.how[1:]}. Columns: the cells that a claim tests, and the "
            "runs that would decide the first of them, half of them, and all; never: not with "
            f"{MOST_RUNS:,} runs.",
        ]
        if not self.needs:
            return paragraphs(lines)
        rows = [["claim", "cells", "runs: first", "half", "all", "decided in all"]]
        for need in self.needs:
            counts = map(shown_count, (need.some, need.half, need.every))
            mark = "yes" if need.decides else "no"
            rows.append([need.claim.id, str(need.cells), *counts, mark])
        return "\n".join([paragraphs(lines), "", *align(rows, right=[1, 2, 3, 4])])


def run(judged: Sequence[Judgement], runs: Mapping[str, int]) -> PowerResult:
    """Computes the number of runs that every claim needs.

    Args:
      judged: claims judged on records of one source and profile (``analysis.paper.judge``), with
        the means and standard deviations to use.
      runs: actual or planned number of runs, by size.
    """
    needs = tuple(
        _need(one.statement, *one.finding.tested, runs)
        for one in judged
        if one.finding.tested is not None
    )
    first = judged[0]
    return PowerResult(first.source, first.profile, runs, needs, len(judged) - len(needs))


def runs_of(records: pd.DataFrame) -> dict[str, int]:
    """Counts the pre-training runs of each size in measured records, in the cell with the most.

    Several fine-tuning runs of one pre-training count once, since they are not independent.
    """
    cell = ["size", "tau", "checkpoint", "suite"]
    scored = records[(records["suite"] != "") & (records["task"] != "")]
    scored = scored[scored["checkpoint"] != FROM_SCRATCH]
    counts = scored[[*cell, "seed"]].drop_duplicates().groupby(cell).size()
    return {str(size): int(count) for size, count in counts.groupby("size").max().items()}


def _need(claim: Passage, kind: Kind, tested: Family, runs: Mapping[str, int]) -> Need:
    level = ALPHA / len(tested.contrasts)
    counts = [runs_needed(kind, contrast, level) for contrast in tested.contrasts]
    if any(map(math.isnan, counts)):
        some = half = every = math.nan
    else:
        some, half, every = min(counts), sorted(counts)[(len(counts) - 1) // 2], max(counts)
    has = [_runs_there(contrast, runs) for contrast in tested.contrasts]
    decides = all(count <= there for count, there in zip(counts, has, strict=True))
    return Need(claim, len(counts), some, half, every, decides)


def _runs_there(contrast: Contrast, runs: Mapping[str, int]) -> int:
    """Returns the number of paired seeds of a measured contrast, or else of its sizes' runs."""
    if contrast.by_seed:
        return min(part.runs for part in contrast.parts(contrast.weights))
    return min((runs[cell.size] for cell in contrast.weights if cell.size in runs), default=0)


def runs_needed(kind: Kind, contrast: Contrast, level: float) -> float:
    """Computes the fewest runs per cell with which a test succeeds with probability ``POWER``.

    Args:
      kind: kind of test.
      contrast: the means and standard deviations, taken as true.
      level: level of the test.

    Returns:
      2 or more; infinity beyond ``MOST_RUNS``; NaN if a standard deviation is unknown.
    """
    if not contrast.testable:
        return math.nan
    return fewest_runs(lambda runs: power(kind, contrast, level, runs))


def fewest_runs(power_of: Callable[[int], float]) -> float:
    """Returns the fewest runs, 2 or more, with power ``POWER``; infinity beyond ``MOST_RUNS``.

    Args:
      power_of: power as an increasing function of the number of runs.
    """
    found = bisect.bisect_left(range(MOST_RUNS + 1), POWER, lo=2, key=power_of)
    return float(found) if found <= MOST_RUNS else math.inf


def power(kind: Kind, contrast: Contrast, level: float, runs: int) -> float:
    """Computes the probability that a test succeeds.

    Args:
      kind: kind of test.
      contrast: the means and standard deviations, taken as true.
      level: level of the test.
      runs: number of runs per cell.

    >>> from analysis.paper.evidence import Cell
    >>> from analysis.tests import Sample
    >>> ours, plain = Cell("base", "250K", 500_000, "glue"), Cell("base", "0", 500_000, "glue")
    >>> samples = {ours: Sample(86.46, 0.17, 5), plain: Sample(85.89, 0.17, 5)}
    >>> contrast = Contrast("", {ours: 1.0, plain: -1.0}, samples)
    >>> round(power("higher", contrast, 0.05, 3), 3)
    0.953
    """
    above, below, known = contrast.sides(kind)

    def beyond(side: Weights, tail: float) -> float:
        parts = contrast.parts(side)
        effect = math.fsum(part.mean for part in parts) + known
        variances = [part.std**2 for part in parts]
        error = math.sqrt(math.fsum(variances) / runs)
        if error == 0.0:
            # Without spread, ``analysis.tests.paired`` uses the sign test.
            enough = not contrast.by_seed or len(parts) > 1 or 2.0**-runs < tail
            return float(effect > 0.0 and enough)
        degrees = (runs - 1) * math.fsum(variances) ** 2 / math.fsum(v**2 for v in variances)
        return power_of_t(effect / error, degrees, tail)

    if kind == "higher":
        return beyond(above, level)
    if kind == "within":
        # Both one-sided tests must succeed; this is a lower bound (Bonferroni).
        return max(0.0, beyond(above, level) + beyond(below, level) - 1.0)
    return beyond(above, level / 2) + beyond(below, level / 2)


def power_of_t(noncentrality: float, degrees: float, tail: float) -> float:
    """Computes the probability that a one-sided t-test succeeds.

    Args:
      noncentrality: the effect over the standard error of its estimate.
      degrees: degrees of freedom.
      tail: level of the test.
    """
    bound = -scipy.special.stdtrit(degrees, tail)
    # ``nctdtr`` is ten times as fast as ``scipy.stats.nct``, but NaN in the far tails.
    rest = scipy.special.nctdtr(degrees, noncentrality, bound)
    if math.isnan(rest):
        if noncentrality < 0.0:
            return 0.0
        # A failure needs an estimate 8 standard errors too low, or a standard deviation too large
        # by ``ratio``.
        ratio = (noncentrality - 8.0) / bound
        if scipy.special.chdtrc(degrees, degrees * ratio**2) < 1e-9:
            return 1.0
        # ``scipy.stats`` takes a second to import.
        from scipy.stats import nct

        return float(nct.sf(bound, degrees, noncentrality))
    return 1.0 - float(rest)


def shown_count(count: float) -> str:
    """Formats a number of runs; infinity is "never"."""
    if math.isnan(count):
        return "no spread known"
    return "never" if math.isinf(count) else f"{count:.0f}"
