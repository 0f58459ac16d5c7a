"""Pre-training that SPACTOR(τ) saves until it reaches the baseline's final score.

The paper's abstract states 50 % of the iterations and 40 % of the FLOPs. Here both are estimated
with an interval: scores are taken as linear in the step between two scored checkpoints, and the
estimate is the first step at which SPACTOR(τ)'s mean over runs reaches the baseline's mean at 1M.
There is no score before the first scored checkpoint, so a model that reaches the target there saves
*at least* that much; for a model that never reaches it there is no estimate.

The interval is a bootstrap over runs (:func:`_measured_curves` and :func:`_published_curves`):
measured runs are drawn with replacement, each with all its checkpoints; published means are redrawn
from Student's t with their printed deviation. Every model's runs, the baseline's too, are drawn
independently, not paired by seed.

FLOPs depend on the cost of a hybrid step relative to a plain one, by four conventions: ``paper``
(Table 3; Large by Table 4's FLOPs column), ``analytic`` (``analysis.flops``), ``compiled``
(``analysis.compiled``), ``wall clock`` (the inverse ratio of sequences per second). ``paper`` and
``compiled`` are those of the paper's sizes; for a scaled profile they give the saving that its runs
would have had at that cost of a step.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import scores
from analysis.compiled import local_step
from analysis.flops import step_flops
from analysis.paper.evidence import FULL, SUITE_NAMES, Evidence, Missing, describe, steps
from analysis.schema import published, rows
from analysis.schema.facts import CHECKPOINTS, SIZES, SUITES, TAUS
from analysis.tests import CONFIDENCE
from spactor.config import PAPER
from spactor.text_table import align

DRAWS = 1999
SEED = 0
_TABLE_4_TAU = 120_000
READS = rows.of_metrics("cost/", "timing/") | rows.SCORES
CONVENTIONS = ("paper", "analytic", "compiled", "wall clock")

Curve = Mapping[int, np.ndarray]
"""Mean scores by checkpoint, on the paper's scale: [1 + draws], the first the estimate itself."""


@dataclass(frozen=True)
class Estimate:
    """A share of the baseline's budget that is saved, with a 95 % bootstrap interval.

    Attributes:
      value, low, high: fractions of the baseline's; NaN where its score is never reached.
      at_least: the score is reached at the first scored checkpoint, so ``value`` is a bound.
      reached: share of the bootstrap's draws in which the score is reached.
      single: whether a single run, without a spread, leaves no interval.
    """

    value: float
    low: float
    high: float
    at_least: bool
    reached: float
    single: bool = False

    def text(self) -> str:
        """The estimate as printed, in per cent.

        >>> Estimate(0.5, 0.31, 0.5, True, 1.0).text()
        '≥ 50 [31, 50]'
        >>> Estimate(0.3, math.nan, 0.5, False, 0.9).text()
        '30 [none, 50]'
        >>> Estimate(math.nan, math.nan, math.nan, False, 0.02).text()
        'not reached'
        """
        if math.isnan(self.value):
            return "not reached"
        bound = "≥ " if self.at_least else ""
        if self.single:
            return f"{bound}{_percent(self.value)}"
        low = "none" if math.isnan(self.low) else _percent(self.low)
        return f"{bound}{_percent(self.value)} [{low}, {_percent(self.high)}]"


def _percent(share: float) -> str:
    return str(round(100 * share))


@dataclass(frozen=True)
class Saving:
    """The saving of one model on one suite.

    Attributes:
      size, tau, suite: of the model and the score.
      target: the baseline's mean score at 1M.
      iterations: saved share of the baseline's steps.
      flops: saved share of its FLOPs by convention; conventions without numbers are absent.
      runs: numbers of runs of the model and of the baseline at the checkpoints compared.
    """

    size: str
    tau: str
    suite: str
    target: float
    iterations: Estimate
    flops: Mapping[str, Estimate]
    runs: tuple[int, ...]


@dataclass(frozen=True)
class SavingsResult:
    """Every saving that the records allow, and the cost of a hybrid step by each convention."""

    source: str
    profile: str
    savings: tuple[Saving, ...]
    overheads: Mapping[str, Mapping[str, float]]

    @property
    def conventions(self) -> tuple[str, ...]:
        """Those of ``CONVENTIONS`` by which any saving has a number."""
        return tuple(name for name in CONVENTIONS if any(name in s.flops for s in self.savings))

    def text(self) -> str:
        """A table for the terminal."""
        whose = "published" if self.source == "published" else f"{self.profile or 'no'} profile"
        title = f"Savings until the baseline's score at {steps(FULL)} is reached, {whose}"
        if not self.savings:
            return f"{title}\nnot run: no suite has scores of τ = 0 at {steps(FULL)} and of a τ"
        lines = [title]
        for size, ratios in self.overheads.items():
            costs = ", ".join(f"{name} {ratio:.3f}" for name, ratio in ratios.items())
            lines.append(f"a hybrid step over a plain one, {size.capitalize()}: {costs}")
        known = self.conventions
        rows = [
            ["suite", "model", "runs", "reached", "iterations", *(f"FLOPs, {n}" for n in known)]
        ]
        for saving in self.savings:
            flops = (saving.flops.get(name) for name in known)
            rows.append(
                [
                    f"{SUITE_NAMES[saving.suite]} ({saving.target:.2f})",
                    describe(saving.size, saving.tau),
                    "–".join(map(str, saving.runs)),
                    f"{saving.iterations.reached:.0%}",
                    saving.iterations.text(),
                    *("" if one is None else one.text() for one in flops),
                ]
            )
        return "\n".join([*lines, "", *align(rows), "", *_NOTES])


_NOTES = (
    "A step's cost by 'paper' and 'compiled' is that of the paper's sizes, whatever the profile.",
    "In per cent of the baseline's, with a 95 % bootstrap interval over runs; (its final score).",
    "≥: there already at the first scored checkpoint. none: the interval has runs that never",
    "get there; 'reached' is the share of the bootstrap's draws that do. One run has no interval.",
)


def run(records: pd.DataFrame, *, draws: int = DRAWS, seed: int = SEED) -> SavingsResult:
    """Savings of every size, τ and suite.

    Args:
      records: of one source and profile.
      draws: of the bootstrap.
      seed: of its random numbers.

    Raises:
      UserError: the records mix profiles, or a run's scores are incomplete.
    """
    evidence = Evidence.of(records)
    generator = np.random.default_rng(seed)
    published_source = evidence.source == "published"
    curves = (_published_curves if published_source else _measured_curves)(
        evidence, draws, generator
    )
    overheads = {
        size: found for size in SIZES if (found := overheads_of(evidence, size)) is not None
    }
    savings = []
    for size in SIZES:
        for suite in SUITES:
            baseline = curves.get((size, "0", suite), {})
            for tau in TAUS[1:]:
                curve = curves.get((size, tau, suite))
                if curve is None or FULL not in baseline:
                    continue
                savings.append(
                    _saving(evidence, (size, tau, suite), curve, baseline[FULL], overheads[size])
                )
    return SavingsResult(evidence.source, evidence.profile, tuple(savings), overheads)


def overheads_of(evidence: Evidence, size: str) -> dict[str, float] | None:
    """Cost of a hybrid step over a plain one by each convention that has a number.

    Measured records have their own analytic count and wall clock. The paper's numbers, and those of
    XLA, are of the paper's sizes whatever the profile.
    """
    if not evidence.checkpoints(size, "0"):
        return None
    found: dict[str, float] = {}
    published_evidence = Evidence.of(published.load_all())
    if size == "base":
        found["paper"] = 1.0 + published_evidence.step_overhead(size)
    else:
        share = _TABLE_4_TAU / CHECKPOINTS[0]
        printed = published_evidence.relative_flops(size, "120K", CHECKPOINTS[0])
        found["paper"] = 1.0 + (printed - 1.0) / share
    if evidence.source == "published":
        config = PAPER[size]
        found["analytic"] = step_flops(config, "hybrid") / step_flops(config, "span_corruption")
    else:
        with contextlib.suppress(Missing):
            found["analytic"] = 1.0 + evidence.step_overhead(size)
    by_xla = local_step.ratio(local_step.load(), size, "ours")
    if by_xla is not None:
        found["compiled"] = by_xla
    with contextlib.suppress(Missing):
        found["wall clock"] = 1.0 / evidence.relative_speed(size)
    return found


def crossing(curve: Curve, target: np.ndarray) -> np.ndarray:
    """First paper step at which each draw's curve reaches its target; infinity where it doesn't.

    Args:
      curve: scores by checkpoint, [draws] each.
      target: [draws].

    >>> curve = {500_000: np.array([80.0, 90.0, 80.0]), 1_000_000: np.array([90.0, 91.0, 81.0])}
    >>> crossing(curve, np.array([85.0, 85.0, 85.0]))
    array([750000., 500000.,     inf])
    """
    checkpoints = sorted(curve)
    found = np.where(curve[checkpoints[0]] >= target, float(checkpoints[0]), math.inf)
    for before, after in itertools.pairwise(checkpoints):
        low, high = curve[before], curve[after]
        with np.errstate(divide="ignore", invalid="ignore"):
            at = before + (after - before) * (target - low) / (high - low)
        here = np.isinf(found) & (low < target) & (high >= target)
        found = np.where(here, at, found)
    return found


def spent(paper_steps: np.ndarray, tau_steps: float, overhead: float) -> np.ndarray:
    """FLOPs up to a step, in units of a plain step: the first τ steps cost ``overhead`` each.

    >>> spent(np.array([500_000.0]), 250_000, 1.4)
    array([600000.])
    """
    return paper_steps + (overhead - 1.0) * np.minimum(paper_steps, tau_steps)


def _saving(
    evidence: Evidence,
    which: tuple[str, str, str],
    curve: Curve,
    target: np.ndarray,
    overheads: Mapping[str, float],
) -> Saving:
    size, tau, suite = which
    tau_steps = math.inf if tau == "inf" else 1000.0 * int(tau.removesuffix("K"))
    at = crossing(curve, target)
    first = min(curve)
    runs = {evidence.score(size, tau, checkpoint, suite).runs for checkpoint in curve}
    runs.add(evidence.score(size, "0", FULL, suite).runs)
    single = min(runs) < 2
    return Saving(
        size=size,
        tau=tau,
        suite=suite,
        target=float(target[0]),
        iterations=_estimate(at / FULL, at, first, single),
        flops={
            name: _estimate(spent(at, tau_steps, overhead) / FULL, at, first, single)
            for name, overhead in overheads.items()
        },
        runs=tuple(sorted(runs)),
    )


def _estimate(spent_share: np.ndarray, at: np.ndarray, first: int, single: bool) -> Estimate:
    saved = 1.0 - spent_share  # minus infinity where the score is never reached
    ends = [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2]
    low, high = np.quantile(saved[1:], ends, method="nearest")
    value = float(saved[0])
    return Estimate(
        value=value if math.isfinite(value) else math.nan,
        low=float(low) if math.isfinite(low) else math.nan,
        high=float(high) if math.isfinite(high) else math.nan,
        at_least=bool(at[0] == first),
        reached=float(np.isfinite(at[1:]).mean()),
        single=single,
    )


def _measured_curves(
    evidence: Evidence, draws: int, generator: np.random.Generator
) -> dict[tuple[str, str, str], dict[int, np.ndarray]]:
    """Curves by size, τ and suite; each draw is the mean over as many runs drawn again."""
    found: dict[tuple[str, str, str], dict[int, np.ndarray]] = {}
    table = scores.suite_scores(evidence.records)
    for (size, tau, suite), group in table.groupby(["size", "tau", "suite"]):
        wide = group.pivot(
            index=["seed", "finetune_seed"], columns="checkpoint", values="score"
        ).dropna(how="any")
        if wide.empty:
            continue
        rows = generator.integers(len(wide), size=(draws, len(wide)))
        values = wide.to_numpy()
        means = np.vstack([values.mean(axis=0), values[rows].mean(axis=1)])
        found[str(size), str(tau), str(suite)] = {
            int(step): means[:, i] for i, step in enumerate(wide.columns)
        }
    return found


def _published_curves(
    evidence: Evidence, draws: int, generator: np.random.Generator
) -> dict[tuple[str, str, str], dict[int, np.ndarray]]:
    """Curves by size, τ and suite; each draw is a mean from Student's t around the printed one."""
    found: dict[tuple[str, str, str], dict[int, np.ndarray]] = {}
    for size in SIZES:
        for tau in TAUS:
            for checkpoint in evidence.checkpoints(size, tau):
                for suite in SUITES:
                    if not evidence.scored(size, tau, checkpoint, suite):
                        continue
                    score = evidence.score(size, tau, checkpoint, suite)
                    error = score.std / math.sqrt(score.runs)
                    redrawn = score.mean + error * generator.standard_t(score.runs - 1, draws)
                    curve = found.setdefault((size, tau, suite), {})
                    curve[checkpoint] = np.concatenate([[score.mean], redrawn])
    return found
