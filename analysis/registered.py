"""Tests of the study that were registered before its first seed ran (``results/study/README.md``).

Every test is of a value that each seed of Base has once, positive if the seed agrees with the
paper's claim. A two-sided t-test over seeds decides, with p-values adjusted by Holm over the tests
of a family. The families answer different questions and have an α of 0.05 each.

``LOSS``, validation losses (span corruption on X_c, in nats per target token):

* ``fewer steps``, ``fewer FLOPs``: share of the budget that SPACTOR(250K) saves to reach the
  baseline's final validation loss for good (``analysis.leads.saved_for_good``). If the baseline
  ends lower in a seed, the value is minus the share that the baseline saves to reach
  SPACTOR(250K)'s final loss, so that the expected value for two equal models is zero;
* ``two stages over one``: final loss of SPACTOR(∞) minus that of SPACTOR(250K);
* ``lead of one stage lost``: the lead of SPACTOR(∞) over the baseline, averaged over 120K to 250K,
  minus its average over 900K to 1M. These ranges are fixed in advance, because a lead "at its best"
  would be too large by chance.

``LEARNING``: for each suite, the score of the baseline at 1M minus that of the same model
fine-tuned from scratch.

``DOWNSTREAM``: the zero-shot cloze and each suite at 500K and at 1M, SPACTOR(250K) minus the
baseline.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import leads, scores, trend
from analysis.paper.evidence import FULL, HALF
from analysis.paper.statement import Verdict, decided
from analysis.power import fewest_runs, power_of_t
from analysis.schema import rows
from analysis.schema.facts import FROM_SCRATCH, SUITE_SHORT_NAMES, SUITES, step_label
from analysis.schema.quantities import CLOZE, CLOZE_ACCURACY
from analysis.schema.records import sole_profile
from analysis.tests import ALPHA, SeedDifferences, format_p, holm, paired, seed_values
from spactor.text_table import align, wrap

READS = rows.of_metrics(trend.CLEAN, "cost/", CLOZE) | rows.SCORES
LOSS = "loss"
LEARNING = "pre-training over scratch"
DOWNSTREAM = "SPACTOR(250K) over the baseline, downstream"
FAMILIES = (LOSS, LEARNING, DOWNSTREAM)

SMALLEST = {"share": 0.05, "nats": 0.02, "points": 2.0}
"""Smallest effect of interest, by unit."""

SEEDS = range(200, 208)
"""Registered pre-training seeds of Base (``results/study/README.md``)."""
_NOTES = (
    "Two-sided t-tests over n seeds, paired; p is adjusted by Holm over a family.",
    "n80: seeds for a power of 0.8 at this mean and spread and at α over the family.",
    "*: below the smallest effect of interest (5 % of the budget, 0.02 nats, 2 points),",
    "by two one-sided tests.",
)

BySeed = Mapping[int, float]
SuiteScores = Mapping[tuple[str, str, int, str], BySeed]
"""Result of ``scores.seed_scores``."""


@dataclass(frozen=True)
class RegisteredTest:
    """A registered test and its outcome.

    Attributes:
      family: one of ``FAMILIES``.
      name: short name, unique in the family.
      unit: unit of the values: share, nats or points.
      values: a value for each seed, positive if the seed agrees with the paper's claim.
      p_holm: two-sided p-value, adjusted by Holm over the family; NaN for fewer than two seeds.
    """

    family: str
    name: str
    unit: str
    values: tuple[float, ...]
    p_holm: float

    @property
    def difference(self) -> SeedDifferences:
        """The values, with their mean and its interval, which is not adjusted."""
        return SeedDifferences(self.values)

    @property
    def verdict(self) -> Verdict:
        """Holds or contradicted by the sign of the mean if the adjusted p-value is below α."""
        return decided(self.difference.mean, self.p_holm)

    @property
    def below_smallest(self) -> bool:
        """Whether the mean is shown to be smaller than the smallest effect of interest.

        The two one-sided tests have level α, not adjusted.
        """
        low, high = self.difference.interval(1.0 - 2.0 * ALPHA)
        return -SMALLEST[self.unit] < low and high < SMALLEST[self.unit]

    def seeds_needed(self, tests: int) -> float:
        """Seeds that give power 0.8 at this mean and standard deviation, at α / ``tests``."""
        if len(self.values) < 2:
            return math.nan
        spread = float(np.std(self.values, ddof=1))
        return seeds_needed(self.difference.mean / spread if spread else math.inf, ALPHA / tests)

    def shown(self, tests: int) -> tuple[str, str, str, str, str, str]:
        """Formats number of seeds, mean, 95 % interval, p-value, seeds needed and verdict.

        Args:
          tests: number of tests in the family.
        """
        times, digits = {"share": (100.0, 1), "nats": (1.0, 3), "points": (1.0, 1)}[self.unit]

        def text(value: float) -> str:
            return "-" if math.isnan(value) else f"{times * value:.{digits}f}"

        low, high = self.difference.interval()
        needed = self.seeds_needed(tests)
        return (
            str(len(self.values)),
            text(self.difference.mean) + (" %" if self.unit == "share" and self.values else ""),
            f"{text(low)} to {text(high)}" if len(self.values) > 1 else "-",
            "-" if math.isnan(self.p_holm) else format_p(self.p_holm),
            "-" if math.isnan(needed) else f"{needed:.0f}" if needed < 1000 else ">999",
            self.verdict.value + ("*" if self.below_smallest else ""),
        )


@dataclass(frozen=True)
class RegisteredResult:
    """All registered tests on the records of one profile.

    Attributes:
      profile: name of the profile.
      tests: the tests, family after family.
      seeds: pre-training seeds with values of loss tests: those with finished pre-training.
    """

    profile: str
    tests: tuple[RegisteredTest, ...]
    seeds: frozenset[int]

    @property
    def notes(self) -> tuple[str, ...]:
        """Whether the tests are confirmatory or exploratory, and the meaning of the columns."""
        if self.seeds == set(SEEDS):
            standing = f"All {len(SEEDS)} registered seeds: the tests are confirmatory."
        elif self.seeds <= set(SEEDS):
            standing = (
                f"Interim: {len(self.seeds)} of the {len(SEEDS)} registered seeds. The verdicts "
                "are final when all have run."
            )
        else:
            standing = (
                f"Exploratory: the registered seeds are {SEEDS[0]} to {SEEDS[-1]} "
                "(results/study), not these."
            )
        return (standing, *_NOTES)

    @property
    def families(self) -> dict[str, list[RegisteredTest]]:
        """The tests by family."""
        return {
            family: [test for test in self.tests if test.family == family] for family in FAMILIES
        }

    def text(self) -> str:
        """Formats a summary line and one line per test for the terminal."""
        verdicts = [test.verdict for test in self.tests]
        counts = ", ".join(
            f"{verdicts.count(verdict)} {verdict}" for verdict in Verdict if verdict in verdicts
        )
        lines = wrap(f"Registered tests of {self.profile or 'no'} profile, Base: {counts}")
        lines += wrap(" ".join(self.notes))
        heads = ("test", "n", "mean", "95 % interval", "p", "n80", "verdict")
        for family, own in self.families.items():
            rows = [heads, *((test.name, *test.shown(len(own))) for test in own)]
            lines += ["", family, *align(rows, right=range(1, 6))]
        return "\n".join(lines)

    def rows(self) -> list[dict[str, object]]:
        """Returns a row per test, with a 95 % interval, for JSON and CSV."""
        return [
            {
                **dataclasses.asdict(test),
                **{"mean": test.difference.mean, "low": low, "high": high, "verdict": test.verdict},
                "below_smallest": test.below_smallest,
            }
            for test in self.tests
            for low, high in [test.difference.interval()]
        ]


def seeds_needed(effect: float, level: float) -> float:
    """Returns the fewest seeds with which a two-sided paired t-test has a power of 0.8.

    Args:
      effect: mean difference over its standard deviation.
      level: level of the test.

    Returns:
      2 or more; infinity beyond ``analysis.power.MOST_RUNS``.

    >>> seeds_needed(0.5, 0.05), seeds_needed(2.0, 0.05), seeds_needed(0.0, 0.05)
    (34.0, 5.0, inf)
    """
    effect = abs(effect)
    if math.isinf(effect):
        return 2.0

    # At a power of 0.8 the tail of the wrong sign is negligible.
    return fewest_runs(lambda n: power_of_t(effect * math.sqrt(n), n - 1, level / 2.0))


def run(records: pd.DataFrame) -> RegisteredResult:
    """Runs the tests on measured records of one profile; tests without runs have no values.

    Raises:
      UserError: the records mix profiles, or a run's scores are incomplete.
    """
    _, profile = sole_profile(records)
    plain = records[records["variant"] == ""]
    by_suite = scores.seed_scores(plain)
    losses = list(_losses(plain))
    families: dict[str, Iterable[tuple[str, str, BySeed]]] = {
        LOSS: losses,
        LEARNING: _over_scratch(by_suite),
        DOWNSTREAM: _downstream(plain, by_suite),
    }
    tests: list[RegisteredTest] = []
    for family, values_of in families.items():
        found = list(values_of)
        adjusted = holm([paired(tuple(values.values())) for _, _, values in found])
        tests += [
            RegisteredTest(family, name, unit, tuple(values.values()), p_holm)
            for (name, unit, values), p_holm in zip(found, adjusted, strict=True)
        ]
    seeds = frozenset(seed for _, _, values in losses for seed in values)
    return RegisteredResult(profile, tuple(tests), seeds)


def _losses(records: pd.DataFrame) -> Iterator[tuple[str, str, BySeed]]:
    pair = leads.two_stages(records)

    def saved(cost: float | None) -> BySeed:
        if pair is None or cost is None or FULL not in pair[0].index:
            return {}
        return _plain(leads.saved_by_seed(*pair, cost))

    yield "fewer steps", "share", saved(1.0)
    yield "fewer FLOPs", "share", saved(leads.hybrid_cost(records))
    over_one = trend.differences(records, trend.HYBRID_CLEAN, leads.TWO_STAGES)
    yield "two stages over one", "nats", _at(over_one, FULL)
    spans = leads.one_stage(records)
    lost = _plain((spans[0] - spans[1]).dropna()) if spans else {}
    yield "lead of one stage lost", "nats", lost


def _over_scratch(found: SuiteScores) -> Iterator[tuple[str, str, BySeed]]:
    for suite in SUITES:
        values = _difference(found, suite, ("0", FULL), ("0", FROM_SCRATCH))
        yield SUITE_SHORT_NAMES[suite], "points", values


def _downstream(records: pd.DataFrame, found: SuiteScores) -> Iterator[tuple[str, str, BySeed]]:
    ours, baseline = (trend.Curve(tau, CLOZE_ACCURACY, "") for tau in (leads.TAU, "0"))
    cloze = trend.differences(records, ours, baseline)
    for at in (HALF, FULL):
        yield f"cloze at {step_label(at)}", "points", _at(cloze, at)
        for suite in SUITES:
            name = f"{SUITE_SHORT_NAMES[suite]} at {step_label(at)}"
            yield name, "points", _difference(found, suite, (leads.TAU, at), ("0", at))


def _difference(
    found: SuiteScores,
    suite: str,
    first: tuple[str, int],
    second: tuple[str, int],
) -> BySeed:
    """Returns a suite's score at one τ and checkpoint minus that at another, by seed."""
    named = {at: found.get((trend.SIZE, *at, suite), {}) for at in (first, second)}
    return seed_values({first: 1.0, second: -1.0}, named)


def _at(by_seed: pd.DataFrame, step: float) -> BySeed:
    """Returns the row of a step in a table with a column per seed; {} if there is none."""
    return _plain(by_seed[by_seed.index == step].mean()) if step in by_seed.index else {}


def _plain(values: pd.Series) -> BySeed:
    return dict(zip(values.index.astype(int).tolist(), values.tolist(), strict=True))
