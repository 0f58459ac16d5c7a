"""Patterns in the differences between suite averages and their breakdowns, over a suite's rows.

Under the usual rule a task's metrics are averaged first, then the tasks. There are three checks:

* grouping: whether another rule, with a task's metrics as tasks of their own, fits better;
* signs: whether averages are as often above the mean of their breakdown as below it;
* equal: whether more averages equal that mean than is likely for a mean against medians over runs.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.special

from analysis.paper.breakdown import Breakdown, Row, consistent, exact, half_unit, headings
from analysis.paper.statement import Finding, Judgement, Passage
from analysis.schema.facts import FLAN_SUITES, SIZES, SUITE_HEADINGS
from analysis.tests import ALPHA

USUAL_GAP = {5: 0.295, 3: 0.340}
"""Standard deviation of mean − median over normal runs, by number of runs, in standard deviations
of a run: √(0.2868 − 1/5) and √(0.4487 − 1/3)."""


@dataclass(frozen=True)
class Gap:
    """Difference between a suite average and the mean of its breakdown.

    Attributes:
      row, suite, record: the average.
      terms: terms of the mean: one per task, or one per metric of a divided task.
      value: average minus mean of the terms.
    """

    row: Row
    suite: str
    record: Any
    terms: Mapping[tuple[str, str], Fraction]
    value: Fraction

    @property
    def usual(self) -> float:
        """Expected standard deviation of the gap between a mean and medians over runs."""
        return USUAL_GAP[int(self.record.runs)] * float(self.record.std)


def terms_of(
    cells: list[Any], divided: frozenset[str] = frozenset()
) -> dict[tuple[str, str], Fraction]:
    """Returns the terms that a suite average is the mean of; tasks with a lost cell are left out.

    Args:
      cells: task records of one row and suite.
      divided: tasks with every metric as a term; other tasks have one term, the metrics' mean.

    Returns:
      Exact terms by task and metric; the metric is "" for a mean of metrics.
    """
    lost = {str(cell.task) for cell in cells if math.isnan(cell.value)}
    values: dict[tuple[str, str], list[Fraction]] = {}
    for cell in cells:
        if cell.task not in lost:
            key = (str(cell.task), str(cell.metric) if cell.task in divided else "")
            values.setdefault(key, []).append(exact(cell.value, cell.decimals))
    return {key: sum(parts, Fraction(0)) / len(parts) for key, parts in values.items()}


def mean_of(terms: Mapping[tuple[str, str], Fraction]) -> Fraction:
    """Computes the exact mean of the terms that ``terms_of`` returns."""
    return sum(terms.values(), Fraction(0)) / len(terms)


def gaps(printed: Breakdown, suite: str, divided: frozenset[str] = frozenset()) -> list[Gap]:
    """Returns the gaps of a suite's rows that have a breakdown without lost cells."""
    found = []
    for row, of, record in printed.averages():
        cells = printed.cells(row, of)
        if of != suite or not cells or any(math.isnan(cell.value) for cell in cells):
            continue
        terms = terms_of(cells, divided)
        value = exact(record.value, record.decimals) - mean_of(terms)
        found.append(Gap(row, suite, record, terms, value))
    return found


def rounding(record: Any) -> Fraction:
    """Largest difference by rounding alone between an average and the mean of its cells."""
    return 2 * half_unit(record.decimals)


def divided_tasks(printed: Breakdown) -> dict[str, frozenset[str]]:
    """Returns, by suite, the tasks whose metrics the averages count as tasks of their own.

    The set is empty unless another rule fits decisively better: the gaps must be more likely than
    under the usual rule by a factor of 1/``ALPHA`` times the number of rules.
    """
    return {suite: _best(printed, suite)[0] for suite in SUITE_HEADINGS}


def check(printed: Breakdown) -> list[Judgement]:
    """Judges the groupings, signs and equal averages of every suite."""
    return [*_check_groupings(printed), *_check_signs(printed), *_check_equal(printed)]


def _rules(printed: Breakdown, suite: str) -> list[frozenset[str]]:
    """Returns every set of tasks that could be divided into metrics."""
    metrics: dict[str, set[str]] = {}
    for _, of, cells in printed.groups():
        if of == suite:
            for cell in cells:
                metrics.setdefault(cell.task, set()).add(cell.metric)
    several = [task for task, names in metrics.items() if len(names) > 1]
    if len(metrics) == 1:
        return [frozenset()]
    return [
        frozenset(chosen)
        for size in range(len(several) + 1)
        for chosen in itertools.combinations(several, size)
    ]


def _misfit(found: list[Gap]) -> float:
    """Sum of squared gaps in units of the usual gap, which is −2 log likelihood."""
    return math.fsum((float(gap.value) / gap.usual) ** 2 for gap in found if gap.usual)


def _best(printed: Breakdown, suite: str) -> tuple[frozenset[str], float, float, int]:
    """Returns the chosen rule, its misfit, that of the usual rule, and the number of rules."""
    misfits = {rule: _misfit(gaps(printed, suite, rule)) for rule in _rules(printed, suite)}
    usual = misfits[frozenset()]
    best = min(misfits, key=lambda rule: misfits[rule])
    decisive = 2 * math.log(len(misfits) / ALPHA)
    if usual - misfits[best] <= decisive:
        best = frozenset()
    return best, misfits[best], usual, len(misfits)


def _check_groupings(printed: Breakdown) -> list[Judgement]:
    judgements = []
    for suite, name in SUITE_HEADINGS.items():
        rule, misfit, usual, rules = _best(printed, suite)
        if rules == 1:
            continue
        count = len(gaps(printed, suite))
        sentence = (
            f"sum of (gap / usual gap)² over {count} rows: {usual:.1f} with metrics averaged "
            "within each task first"
        )
        remark = ""
        if rule:
            tasks = ", ".join(headings()[suite, task] for task in sorted(rule))
            terms = len(gaps(printed, suite, rule)[0].terms)
            sentence += f", {misfit:.1f} with every metric of {tasks} as a task ({terms} terms)"
            column = ", which Tables 6 and 7 print as one column" if suite == "glue" else ""
            remark = f"the averages divide {tasks}{column}"
        else:
            sentence += f"; none of {rules - 1} other rules is decisively better"
        place, text = f"Tables 2 and 4, column {name}", "one column per task in the breakdown"
        passage = Passage(f"average/grouping/{suite}", place, text)
        judgements.append(Judgement(passage, Finding(consistent(not rule), sentence, remark)))
    return judgements


def _check_signs(printed: Breakdown) -> list[Judgement]:
    """Tests the signs of the usual rule's gaps exactly, with Bonferroni over suites."""
    judgements = []
    for suite, name in SUITE_HEADINGS.items():
        values = [gap.value for gap in gaps(printed, suite)]
        above, below = sum(gap > 0 for gap in values), sum(gap < 0 for gap in values)
        tail = float(scipy.special.bdtrc(max(above, below) - 1, above + below, 0.5))
        p = min(1.0, 2.0 * tail * len(SUITE_HEADINGS))
        passage = Passage(
            f"average/sign/{suite}",
            f"Tables 2 and 4, column {name}",
            f"{above} averages above the mean of their tasks, {below} below",
        )
        finding = Finding(
            consistent(p >= ALPHA),
            f"exact sign test, times {len(SUITE_HEADINGS)} suites (Bonferroni): p = {p:.2g}",
            "" if p >= ALPHA else "all on one side, which medians do not explain",
        )
        judgements.append(Judgement(passage, finding))
    return judgements


def _check_equal(printed: Breakdown) -> list[Judgement]:
    """Tests the number of averages that equal their breakdown against that expected by chance."""
    groups = [
        (size, kind, suites)
        for size in SIZES
        for kind, suites in (
            ("other", tuple(suite for suite in SUITE_HEADINGS if suite not in FLAN_SUITES)),
            ("FLAN", FLAN_SUITES),
        )
    ]
    divided = divided_tasks(printed)
    judgements = []
    for size, kind, suites in groups:
        chances, equal = [], []
        for suite in suites:
            for gap in gaps(printed, suite, divided[suite]):
                limit = rounding(gap.record)
                if gap.row.size == size and gap.usual:
                    chances.append(math.erf(float(limit) / gap.usual / math.sqrt(2)))
                    if abs(gap.value) <= limit:
                        equal.append(f"{SUITE_HEADINGS[suite]} {gap.row.text}")
        p = min(1.0, _at_least(len(equal), chances) * len(groups))
        columns = ", ".join(SUITE_HEADINGS[suite] for suite in suites)
        passage = Passage(
            f"average/equal/{size}-{kind.lower()}",
            f"Table {2 if size == 'base' else 4}, {columns}",
            f"{len(equal)} of {len(chances)} averages equal the mean of the breakdown",
        )
        finding = Finding(
            consistent(p >= ALPHA),
            f"expected of means against medians: {math.fsum(chances):.1f}; {len(equal)} or more by "
            f"chance: p = {p:.2g} (× {len(groups)} groups)",
            ""
            if p >= ALPHA
            else f"some averages were computed from the printed cells: {'; '.join(equal)}",
        )
        judgements.append(Judgement(passage, finding))
    return judgements


def _at_least(count: int, chances: list[float]) -> float:
    """Probability of ``count`` or more successes of independent trials.

    >>> _at_least(2, [0.5, 0.5]), _at_least(0, [])
    (0.25, 1.0)
    """
    trials = [np.array([1.0 - chance, chance]) for chance in chances]
    return float(functools.reduce(np.convolve, trials, np.ones(1))[count:].sum())
