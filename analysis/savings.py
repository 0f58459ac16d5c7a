"""Share of pre-training that SPACTOR(τ) saves to reach the baseline's final score.

The paper's abstract states 50 % of the iterations and 40 % of the FLOPs. Here both are estimated
with an interval. Scores are interpolated linearly between two scored checkpoints, and the estimate
is the first step at which SPACTOR(τ)'s mean over runs reaches the baseline's mean at 1M. There is
no score before the first scored checkpoint, so a model that reaches the target there saves *at
least* that much. A model that is below the target at 1M is slower than the baseline: its saving is
negative, computed from the step at which the baseline reaches the model's final score. A model with
a last score before 1M, below the target, has an *unknown* saving.

The interval is a bootstrap over runs. Measured runs are drawn with replacement by seed, together
for the model and the baseline and for all checkpoints, since runs of one seed share initialisation
and data; published means are drawn independently from Student's t with their printed standard
deviation. Like every bootstrap of few seeds it is too narrow: with five seeds, the 95 % interval
covers the truth in about 85 % of simulated studies (`tests/analysis/test_savings.py`). Fine-tuning
from scratch (checkpoint 0) does not depend on τ and is left out.

A noisy curve can cross its target early by chance. Each saving therefore has the share of
comparisons in which a model *identical* to the baseline would show ``NOTABLE`` or more, simulated
with the baseline's means and the records' standard deviations (of measured runs, covariances).

FLOPs depend on the cost of a hybrid step relative to a plain one, by four conventions: ``paper``
(Table 3; Large by Table 4's FLOPs column), ``analytic`` (``analysis.flops``), ``compiled``
(``analysis.compiled``), ``wall clock`` (the inverse ratio of sequences per second). ``paper`` and
``compiled`` are costs at the paper's sizes; for a scaled profile they give the saving that its runs
would have at that cost of a step.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import scores
from analysis.compiled import local_step
from analysis.flops import step_flops
from analysis.paper.evidence import FULL, Evidence, Missing, describe
from analysis.rounding import rounded
from analysis.schema import facts, published, rows
from analysis.schema.facts import (
    CHECKPOINTS,
    FROM_SCRATCH,
    SIZES,
    SUITE_SHORT_NAMES,
    SUITES,
    TAUS,
    size_label,
    step_label,
)
from analysis.tests import CONFIDENCE
from spactor.config import PAPER
from spactor.text_table import align, wrap

DRAWS = 1999
SEED = 0
NOTABLE = 0.1
"""Smallest saving, as a share of the baseline's steps, that counts in ``Saving.by_chance``."""
_TABLE_4_TAU = 120_000
READS = rows.of_metrics("cost/", "timing/") | rows.SCORES
CONVENTIONS = ("paper", "analytic", "compiled", "wall clock")

Curve = Mapping[int, np.ndarray]
"""Mean scores [1 + draws] by checkpoint on the paper's scale; the first is the estimate itself."""


@dataclass(frozen=True)
class Estimate:
    """Saved share of the baseline's budget, with a 95 % bootstrap interval.

    Attributes:
      value, low, high: fractions of the baseline's budget, negative for a slower model; NaN if
        unknown.
      bound: "≥" if the model reaches the target at its first scored checkpoint, "≤" if the baseline
        reaches a slower model's final score at its first scored checkpoint, else "".
      unknown: text printed instead of an unknown value.
      single: whether there is a single run, and so no interval.
    """

    value: float
    low: float
    high: float
    bound: str = ""
    unknown: str = "unknown"
    single: bool = False

    def text(self) -> str:
        """Formats the estimate in per cent.

        >>> Estimate(0.5, 0.31, 0.5, "≥").text(), Estimate(-0.2, -0.6, 0.1).text()
        ('≥ 50 [31, 50]', '-20 [-60, 10]')
        >>> Estimate(math.nan, math.nan, 0.5, unknown="unknown after 500K").text()
        'unknown after 500K'
        >>> Estimate(0.5, math.nan, 0.5, "≥").text()
        '≥ 50 [?, 50]'
        """
        if math.isnan(self.value):
            return self.unknown
        value = f"{self.bound} {_percent(self.value)}".lstrip()
        if self.single:
            return value
        low, high = ("?" if math.isnan(x) else _percent(x) for x in (self.low, self.high))
        return f"{value} [{low}, {high}]"


def _percent(share: float) -> str:
    return str(round(100 * share))


@dataclass(frozen=True)
class Saving:
    """The saving of one model on one suite.

    Attributes:
      size, tau, suite: the model and the suite.
      target: the baseline's mean score at 1M over the compared runs, in per cent.
      reached: share of the bootstrap's draws in which the model reaches the target.
      by_chance: share of comparisons in which a model identical to the baseline would show a saving
        of ``NOTABLE`` of the iterations or more; NaN for a single run.
      iterations: saved share of the baseline's steps.
      flops: saved share of the baseline's FLOPs, by convention; unknown conventions are left out.
      runs: numbers of compared runs; for measured records, of seeds that both models have.
    """

    size: str
    tau: str
    suite: str
    target: float
    reached: float
    by_chance: float
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
        """Conventions by which any saving has a number, in the order of ``CONVENTIONS``."""
        return tuple(name for name in CONVENTIONS if any(name in s.flops for s in self.savings))

    def text(self, *, details: bool = True) -> str:
        """Formats a table for the terminal; with details it has FLOPs by every convention."""
        whose = facts.origin_label(self.source, self.profile)
        title = f"Savings until the baseline's score at {step_label(FULL)} is reached, {whose}"
        if not self.savings:
            return (
                f"{title}\nnot run: no suite has scores of τ = 0 at {step_label(FULL)} and of a τ"
            )
        brief = "paper" if self.source == "published" else "analytic"
        models = {
            key: [s for s in self.savings if (s.size, s.tau, s.runs) == key]
            for key in dict.fromkeys((s.size, s.tau, s.runs) for s in self.savings)
        }
        answers = [line for key, own in models.items() for line in wrap(_answer(*key[:2], own))]
        lines = [*answers, *wrap(self.chance), "", title]
        for size, ratios in self.overheads.items():
            costs = ", ".join(f"{name} {ratio:.3f}" for name, ratio in ratios.items())
            lines += wrap(f"cost of a hybrid step over a plain one, {size_label(size)}: {costs}")
        for (size, tau, runs), of_model in models.items():
            count = "–".join(map(str, runs))
            lines += ["", f"{describe(size, tau)}, {count} run{'s' if runs != (1,) else ''}"]
            lines += align(self._table(of_model, self.conventions if details else (brief,)))
        others = _BY_OTHERS if details else _BRIEF
        return "\n".join([*lines, "", *wrap(f"{_NOTES} {others}")]).rstrip()

    def _table(self, savings: Sequence[Saving], known: Sequence[str]) -> list[list[str]]:
        """Formats headings and a row per suite; an unknown saving is printed once in its row."""
        rows = [["suite", "reached", "iterations", *(f"FLOPs, {name}" for name in known)]]
        for saving in savings:
            estimates = [saving.iterations, *(saving.flops.get(name) for name in known)]
            texts = ["" if one is None else one.text() for one in estimates]
            if texts[0] == saving.iterations.unknown and set(texts[1:]) <= {texts[0]}:
                texts[1:] = [""] * len(known)
            name = f"{SUITE_SHORT_NAMES[saving.suite]} ({rounded(saving.target, 2)})"
            rows.append([name, f"{saving.reached:.0%}", *texts])
        filled = [any(row[at] for row in rows[1:]) for at in range(len(rows[0]))]
        return [list(itertools.compress(row, filled)) for row in rows]

    @property
    def chance(self) -> str:
        """Sentence on how often identical models would show a saving; "" if unknown."""
        known = [one.by_chance for one in self.savings if not math.isnan(one.by_chance)]
        if not known:
            return ""
        spread = f"{min(known):.0%} to {max(known):.0%}"
        return (
            f"Two identical models would show a saving of {NOTABLE:.0%} or more in "
            f"{np.mean(known):.0%} of comparisons ({spread} by row), simulated from these spreads."
        )


def _answer(size: str, tau: str, savings: Sequence[Saving]) -> str:
    """Formats a sentence on the number of suites where a model needs fewer iterations."""
    fewer = sum(one.iterations.value > 0.0 for one in savings)
    shown = sum(one.iterations.low > 0.0 for one in savings)
    unknown = sum(math.isnan(one.iterations.value) for one in savings)
    rest = f", unknown on {unknown}" if unknown else ""
    return (
        f"{describe(size, tau)} needs fewer iterations on {fewer} of {len(savings)} suites (with "
        f"an interval above 0 on {shown}){rest}."
    )


_NOTES = (
    "Savings are in per cent of the baseline's iterations or FLOPs, with a 95 % bootstrap interval "
    "over runs (none for one run). In brackets after a suite: the target, the baseline's score at "
    "1M; 'reached' is the share of the bootstrap's draws that reach it. ≥: reached at the first "
    "scored checkpoint. Below 0: slower than the baseline, compared at the model's own final "
    "score; ≤: the baseline has that score at its first scored checkpoint. unknown, ?: not reached "
    "by the model's last checkpoint, which is before 1M."
)
_BY_OTHERS = (
    "The columns 'paper' and 'compiled' use the cost of a step at the paper's sizes, whatever the "
    "profile."
)
_BRIEF = "FLOPs by the other costs of a step: --details."


def run(records: pd.DataFrame, *, draws: int = DRAWS, seed: int = SEED) -> SavingsResult:
    """Estimates the savings of every size, τ and suite.

    Args:
      records: records of one source and profile.
      draws: number of draws of the bootstrap.
      seed: seed of the bootstrap's random numbers.

    Raises:
      UserError: the records mix profiles, or a run's scores are incomplete.
    """
    evidence = Evidence.of(records)
    generator = np.random.default_rng(seed)
    scored = [size for size in SIZES if evidence.checkpoints(size, "0")]
    overheads = {size: overheads_of(evidence, size) for size in scored}
    if evidence.source == "published":
        pairs = _published_pairs(evidence, draws, generator)
    else:
        pairs = _measured_pairs(scores.seed_scores(evidence.records), draws, generator)
    savings = tuple(_saving(pair, overheads[pair.size]) for pair in pairs)
    return SavingsResult(evidence.source, evidence.profile, savings, overheads)


def overheads_of(evidence: Evidence, size: str) -> dict[str, float]:
    """Returns the cost of a hybrid step over that of a plain one, by each known convention.

    ``analytic`` and ``wall clock`` are those of the records; ``paper`` and ``compiled`` are costs
    at the paper's sizes for every profile.
    """
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
    by_xla = local_step.ratio(local_step.ARTIFACT.load(), size, "ours")
    if by_xla is not None:
        found["compiled"] = by_xla
    with contextlib.suppress(Missing):
        found["wall clock"] = 1.0 / evidence.relative_speed(size)
    return found


def crossing(curve: Curve, target: np.ndarray) -> np.ndarray:
    """Finds the first paper step at which each draw's curve reaches its target; infinity if never.

    Args:
      curve: scores [draws] by checkpoint.
      target: [draws] scores to reach.

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
    """Cost of training up to a step, in units of a plain step.

    Args:
      paper_steps: numbers of steps.
      tau_steps: number of hybrid steps at the beginning.
      overhead: cost of a hybrid step.

    >>> spent(np.array([500_000.0]), 250_000, 1.4)
    array([600000.])
    """
    if overhead == 1.0:
        return paper_steps  # avoids 0 · ∞ for infinite steps and τ
    return paper_steps + (overhead - 1.0) * np.minimum(paper_steps, tau_steps)


@dataclass(frozen=True)
class _Pair:
    """The bootstrap's draws of a model and of its baseline on one suite.

    Attributes:
      size, tau, suite: the model and the suite.
      model, baseline: curves; their first element is the estimate.
      twin, twin_of: curves of a model identical to the baseline, and of that baseline.
      runs: see ``Saving``.
    """

    size: str
    tau: str
    suite: str
    model: Curve
    baseline: Curve
    twin: Curve
    twin_of: Curve
    runs: tuple[int, ...]


def saved(
    model: Curve, baseline: Curve, tau_steps: float = 0.0, overhead: float = 1.0
) -> np.ndarray:
    """Share of the baseline's cost that each draw of a model saves; minus infinity if unknown.

    Args:
      model, baseline: curves of equal numbers of draws; the baseline's has a score at ``FULL``.
      tau_steps, overhead: number and cost of the model's hybrid steps, see :func:`spent`.

    >>> baseline = {500_000: np.array([20.0, 20.0]), 1_000_000: np.array([30.0, 30.0])}
    >>> saved({500_000: np.array([26.0, 10.0]), 1_000_000: np.array([34.0, 28.0])}, baseline)
    array([ 0.25      , -0.11111111])
    >>> saved({500_000: np.array([26.0, 30.0])}, baseline)
    array([-inf,  0.5])
    """
    at = crossing(model, baseline[FULL])
    share = 1.0 - spent(at, tau_steps, overhead) / FULL
    if FULL not in model:
        return share
    # The baseline's final score is above a slower model's, so it reaches that score before 1M.
    earlier = crossing(baseline, model[FULL])
    whole = spent(np.full(len(at), float(FULL)), tau_steps, overhead)
    return np.where(np.isinf(at), 1.0 - whole / earlier, share)


def _saving(pair: _Pair, overheads: Mapping[str, float]) -> Saving:
    tau_steps = facts.Tau.parse(pair.tau).end
    at = crossing(pair.model, pair.baseline[FULL])
    bound = "≥" if at[0] == min(pair.model) else ""
    if FULL in pair.model and math.isinf(at[0]):
        bound = "≤" if pair.baseline[min(pair.baseline)][0] >= pair.model[FULL][0] else ""
    single = min(pair.runs) < 2
    early = min(pair.model) < FULL
    last = step_label(max(pair.model))
    unknown = f"unknown after {last}" if early else f"unknown, scored at {last} alone"
    by_chance = math.nan
    if early and pair.twin and not single:
        by_chance = float((saved(pair.twin, pair.twin_of) >= NOTABLE).mean())

    def estimate(overhead: float) -> Estimate:
        if not early:
            return Estimate(math.nan, math.nan, math.nan, unknown=unknown)
        share = saved(pair.model, pair.baseline, tau_steps, overhead)
        ends = [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2]
        low, high = np.quantile(share[1:], ends, method="nearest")
        value, low, high = (
            float(x) if math.isfinite(x) else math.nan for x in (share[0], low, high)
        )
        return Estimate(value, low, high, bound, unknown, single)

    return Saving(
        size=pair.size,
        tau=pair.tau,
        suite=pair.suite,
        target=float(pair.baseline[FULL][0]),
        reached=float(np.isfinite(at[1:]).mean()),
        by_chance=by_chance,
        iterations=estimate(1.0),
        flops={name: estimate(overhead) for name, overhead in overheads.items()},
        runs=pair.runs,
    )


def _measured_pairs(
    table: Mapping[tuple[str, str, int, str], Mapping[int, float]],
    draws: int,
    generator: np.random.Generator,
) -> Iterator[_Pair]:
    """Yields pairs of curves over the seeds that both models have, drawn with replacement.

    Args:
      table: result of ``scores.seed_scores``.
      draws, generator: number of draws, and generator of the random numbers.
    """
    curves: dict[tuple[str, str, str], dict[int, Mapping[int, float]]] = {}
    for (size, tau, checkpoint, suite), values in table.items():
        if checkpoint != FROM_SCRATCH:
            curves.setdefault((size, tau, suite), {})[checkpoint] = values
    for size, tau, suite in itertools.product(SIZES, TAUS[1:], SUITES):
        if (size, tau, suite) not in curves or FULL not in curves.get((size, "0", suite), {}):
            continue
        model, baseline = (_runs_by_seed(curves[size, which, suite]) for which in (tau, "0"))
        seeds = sorted(set(model.index) & set(baseline.index))
        if not seeds:
            continue
        count = len(seeds)
        drawn = generator.integers(count, size=(draws, count))
        one, other = model.loc[seeds], baseline.loc[seeds]
        both = one.columns.intersection(other.columns)
        # Deviations from a mean over n seeds are too small by √((n − 1)/n).
        wide = math.sqrt(count / (count - 1)) if count > 1 else 1.0
        level = other[both].mean()
        twin = level + wide * (one[both] - one[both].mean())
        twin_of = other.mean() + wide * (other - other.mean())
        yield _Pair(
            *(size, tau, suite),
            model=_redrawn(one, drawn),
            baseline=_redrawn(other, drawn),
            twin=_redrawn(twin, drawn),
            twin_of=_redrawn(twin_of, drawn),
            runs=(count,),
        )


def _redrawn(runs: pd.DataFrame, drawn: np.ndarray) -> dict[int, np.ndarray]:
    """Computes the mean scores by checkpoint of all seeds and of each draw.

    Args:
      runs: scores [seeds, checkpoints].
      drawn: row numbers [draws, seeds].
    """
    values = runs.to_numpy()
    means = np.vstack([values.mean(axis=0), values[drawn].mean(axis=1)])
    return {int(step): means[:, index] for index, step in enumerate(runs.columns)}


def _runs_by_seed(curve: Mapping[int, Mapping[int, float]]) -> pd.DataFrame:
    """Returns scores [seeds, checkpoints] of the seeds that have every checkpoint."""
    return pd.DataFrame(dict(curve)).sort_index(axis="columns").dropna(how="any")


def _published_pairs(
    evidence: Evidence, draws: int, generator: np.random.Generator
) -> Iterator[_Pair]:
    """Yields pairs of curves, drawn independently around the printed means."""

    def curve(size: str, tau: str, suite: str, *, like: str = "") -> dict[int, np.ndarray]:
        """Draws a curve by Student's t, or a normal twin of ``like`` at τ's checkpoints."""
        found = {}
        for checkpoint in evidence.checkpoints(size, tau):
            if evidence.scored(size, like or tau, checkpoint, suite):
                score = evidence.score(size, like or tau, checkpoint, suite)
                noise = generator.standard_normal(draws)
                if not like:
                    noise = generator.standard_t(score.runs - 1, draws)
                redrawn = score.mean + score.std / math.sqrt(score.runs) * noise
                found[checkpoint] = np.concatenate([[score.mean], redrawn])
        return found

    for size, suite in itertools.product(SIZES, SUITES):
        baseline = curve(size, "0", suite)
        for tau in TAUS[1:]:
            model = curve(size, tau, suite)
            if not model or FULL not in baseline:
                continue
            samples = [evidence.score(size, tau, at, suite) for at in model]
            samples.append(evidence.score(size, "0", FULL, suite))
            yield _Pair(
                *(size, tau, suite),
                model=model,
                baseline=baseline,
                twin=curve(size, tau, suite, like="0"),
                twin_of=curve(size, "0", suite, like="0"),
                runs=tuple(sorted({sample.runs for sample in samples})),
            )
