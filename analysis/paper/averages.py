"""Suite averages of Tables 2 and 4 against the breakdowns of Tables 6 to 17.

An average is a mean over runs of the mean over tasks; a breakdown cell is a median over runs
(captions of Tables 6 to 11). The mean over tasks of these medians therefore differs from the
average: for independent normal runs, Var(mean − median) = Var(median) − Var(mean), so the standard
deviation of one task's gap is ``patterns.USUAL_GAP`` times that of its runs, and that of the
suite's gap at most ``USUAL_GAP`` printed standard deviations. A difference of up to one printed
standard deviation, three times the usual gap, counts as explained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from analysis.paper import suspects
from analysis.paper.breakdown import Breakdown, Row, exact, examples, headings, shown
from analysis.paper.patterns import divided_tasks, mean_of, rounding, terms_of
from analysis.paper.statement import Finding, Judgement, Passage, Verdict
from analysis.schema.facts import SUITE_HEADINGS

WRITTEN_OUT = 9
"""Largest number of terms of a sum that is written out."""


def check(printed: Breakdown) -> list[Judgement]:
    """Judges every printed average by its breakdown."""
    divided = divided_tasks(printed)
    return [
        _check_average(printed, row, suite, record, divided[suite])
        for row, suite, record in printed.averages()
    ]


def _check_average(
    printed: Breakdown, row: Row, suite: str, record: Any, divided: frozenset[str]
) -> Judgement:
    passage = Passage(
        f"average/{row.id}/{suite}",
        f"{record.place}, {row.text}, {SUITE_HEADINGS[suite]}",
        f"{record.value:.2f} ± {record.std:.2f}",
    )
    cells = printed.cells(row, suite)
    if not cells:
        remark = "no table of the appendix has this row"
        return Judgement(passage, Finding(Verdict.NOT_TESTABLE, "no breakdown", remark))
    target = exact(record.value, record.decimals)
    std = exact(record.std, record.decimals)
    lost = {str(cell.task) for cell in cells if math.isnan(cell.value)}
    if lost:
        return Judgement(passage, _implied(cells, lost, target, std))
    usual, other = terms_of(cells), terms_of(cells, divided)
    gap = target - mean_of(usual)
    sentence = f"{_division(cells, usual)}; {_difference(target, mean_of(usual), std)}"
    limit = rounding(record)
    verdict = Verdict.INCONSISTENT
    remark, suspect = "more than medians instead of means can explain", None
    if abs(gap) <= limit:
        verdict, remark = Verdict.HOLDS, ""
    elif abs(gap) <= std:
        verdict, remark = Verdict.EXPLAINED, "a mean over runs against medians over runs"
    if divided:
        names = ", ".join(headings()[suite, task] for task in sorted(divided))
        sentence += (
            f". With every metric of {names} as a task: {_division(cells, other)}; "
            f"{_difference(target, mean_of(other), std)}"
        )
        left = abs(target - mean_of(other))
        if left <= limit:
            verdict, remark = Verdict.EXPLAINED, f"equal, since the averages divide {names}"
        elif left <= std:
            verdict = Verdict.EXPLAINED
            remark = f"the averages divide {names}; medians instead of means explain the rest"
    if verdict is Verdict.INCONSISTENT:
        suspect = suspects.find(printed, row, suite, cells, gap, std)
    return Judgement(passage, Finding(verdict, sentence, remark, suspect))


def _division(cells: list[Any], terms: Mapping[tuple[str, str], Fraction]) -> str:
    if len(terms) == 1:
        parts = [shown(exact(cell.value, cell.decimals)) for cell in cells]
        return f"({' + '.join(parts)}) / {len(parts)} = {shown(mean_of(terms))}"
    if len(terms) > WRITTEN_OUT:
        total = shown(sum(terms.values(), Fraction(0)), 4)
        return f"sum of {len(terms)} tasks {total} / {len(terms)} = {shown(mean_of(terms))}"
    parts = [shown(term, 4) for term in terms.values()]
    return f"({' + '.join(parts)}) / {len(terms)} = {shown(mean_of(terms))}"


def _difference(target: Fraction, mean: Fraction, std: Fraction) -> str:
    gap = float(target - mean)
    deviations = f" = {gap / float(std):+.2f} printed standard deviations" if std else ""
    return f"{float(target):.2f} − {shown(mean)} = {gap:+.3f}{deviations}".replace("-", "−")


def _implied(cells: list[Any], lost: set[str], target: Fraction, std: Fraction) -> Finding:
    """Computes the value that the average implies for a task with no cell in the paper's text."""
    names = headings()
    gone = [cell for cell in cells if cell.task in lost]
    if len(gone) > 1:
        named = ", ".join(f"{names[cell.suite, cell.task]} ({cell.metric})" for cell in gone)
        return Finding(Verdict.NOT_TESTABLE, f"cells lost: {named}")
    cell = gone[0]
    means = terms_of(cells)
    count = len(means) + 1
    total = sum(means.values(), Fraction(0))
    implied = target * count - total
    n = examples().get((cell.suite, cell.task, cell.metric))
    sentence = (
        f"{count} × {shown(target, 2)} − {shown(total, 2)} (the other {len(means)}) "
        f"= {shown(implied, 2)} for {names[cell.suite, cell.task]}"
    )
    remark = f"the cell is missing in the text: {cell.note}"
    if n:
        k = min(range(n + 1), key=lambda k: abs(Fraction(100 * k, n) - implied))
        sentence += f", nearest {k}/{n} = {shown(Fraction(100 * k, n), 2)}"
        low, high = implied - std * count, implied + std * count
        fits = [k for k in range(n + 1) if low <= Fraction(100 * k, n) <= high]
        if fits:
            remark += (
                f"; within one standard deviation of the average {fits[0]}/{n} to {fits[-1]}/{n} "
                "fit, so it can't be filled in"
            )
    return Finding(Verdict.NOT_TESTABLE, sentence, remark)
