"""Suite averages of Tables 2 and 4 against the breakdowns of Tables 6 to 17, and their bold.

An average is a mean over runs of the mean over tasks; a breakdown cell is a median over runs
(captions of Tables 6 to 11). The mean over tasks of medians is therefore not quite the average:
for independent normal runs, Var(mean − median) = Var(median) − Var(mean), so one task's gap
spreads by ``USUAL_GAP`` times the spread of its runs, and the suite's gap by at most as many
printed standard deviations. Within one of these, three times the usual gap, a difference counts as
explained.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pandas as pd

from analysis.audit.finding import (
    SUITE_NAMES,
    Finding,
    Printed,
    Row,
    Suspect,
    exact,
    examples,
    half_unit,
    headings,
    shown,
    verdict_of,
)
from analysis.scores import BASELINE_TAU, strictly_higher

USUAL_GAP = {5: 0.295, 3: 0.340}
"""Standard deviation of mean − median over so many normal runs, in standard deviations of a run:
√(0.2868 − 1/5) and √(0.4487 − 1/3)."""
OUTLIER = 3
"""A cell stands out when it is this many spreads of its column's other cells from the nearest."""
WRITTEN_OUT = 8
"""Sums of more terms are abbreviated."""
SIGNIFICANT = 0.05


def check(printed: Printed) -> list[Finding]:
    """A finding per average, then one per suite on the signs of its differences."""
    findings: list[Finding] = []
    gaps: dict[str, list[Fraction]] = {}
    for row, suite, record in printed.averages():
        cells = printed.cells(row, suite)
        finding, gap = _check_average(printed, row, suite, record, cells)
        findings.append(finding)
        if gap is not None:
            gaps.setdefault(suite, []).append(gap)
    return [*findings, *_check_signs(gaps)]


def check_bold(printed: Printed) -> list[Finding]:
    """Every cell's bold against the rule: strictly higher mean than the baseline beside it."""
    findings = []
    for row, suite, record in printed.averages():
        baseline = printed.average(Row(row.size, BASELINE_TAU, row.checkpoint), suite)
        expected = strictly_higher(record.value, baseline.value)
        bold = False if pd.isna(record.bold) else bool(record.bold)
        if row.tau == BASELINE_TAU:
            arithmetic = "the baseline itself is never higher"
        else:
            sign = ">" if expected else "not >"
            arithmetic = f"{record.value:.2f} {sign} {baseline.value:.2f}"
        findings.append(
            Finding(
                id=f"bold/{row.id}/{suite}",
                kind="bold",
                where=f"{record.place}, {row.text}, {SUITE_NAMES[suite]}",
                said="bold" if bold else "not bold",
                arithmetic=arithmetic,
                verdict=verdict_of(bold == expected),
            )
        )
    return findings


def task_means(cells: list[Any]) -> dict[str, Fraction]:
    """Mean of the metrics of each task, exactly; tasks with a lost cell are left out."""
    values: dict[str, list[Fraction]] = {}
    lost = {str(cell.task) for cell in cells if math.isnan(cell.value)}
    for cell in cells:
        if cell.task not in lost:
            values.setdefault(cell.task, []).append(exact(cell.value, cell.decimals))
    return {task: sum(parts, Fraction(0)) / len(parts) for task, parts in values.items()}


def _check_average(
    printed: Printed, row: Row, suite: str, record: Any, cells: list[Any]
) -> tuple[Finding, Fraction | None]:
    where = f"{record.place}, {row.text}, {SUITE_NAMES[suite]}"
    said = f"{record.value:.2f} ± {record.std:.2f}"
    common: dict[str, Any] = {
        "id": f"average/{row.id}/{suite}",
        "kind": "average",
        "where": where,
        "said": said,
    }
    if not cells:
        remark = "the appendix breaks this row down nowhere"
        return Finding(**common, arithmetic="no breakdown", verdict="open", remark=remark), None
    target = exact(record.value, record.decimals)
    std = exact(record.std, record.decimals)
    means = task_means(cells)
    count = len({cell.task for cell in cells})
    total = sum(means.values(), Fraction(0))
    if len(means) < count:
        return _implied(common, cells, means, target, std), None
    recomputed = total / count
    gap = target - recomputed
    rounding = half_unit(record.decimals) + max(half_unit(cell.decimals) for cell in cells)
    sums = f"sum of {count} tasks {shown(total, 4)}"
    if 1 < count <= WRITTEN_OUT:
        sums = f"({' + '.join(shown(mean, 4) for mean in means.values())})"
    if count == 1:
        parts = [shown(exact(cell.value, cell.decimals)) for cell in cells]
        arithmetic = f"({' + '.join(parts)}) / {len(parts)} = {shown(recomputed)}"
    else:
        arithmetic = f"{sums} / {count} = {shown(recomputed)}"
    deviations = f" = {float(gap / std):+.2f} printed standard deviations" if std else ""
    arithmetic += (
        f"; {record.value:.2f} − {shown(recomputed)} = {float(gap):+.3f}{deviations}"
    )
    suspect = None
    remark = ""
    if abs(gap) <= rounding:
        verdict = "agrees"
    elif abs(gap) <= std:
        verdict = "explained"
        remark = "a mean over runs against medians over runs"
    else:
        verdict = "disagrees"
        suspect = _suspect(printed, row, suite, cells, gap, std)
        remark = "more than medians for means explain"
    return Finding(**common, arithmetic=arithmetic, verdict=verdict, remark=remark, suspect=suspect), gap


def _implied(
    common: dict[str, Any],
    cells: list[Any],
    means: dict[str, Fraction],
    target: Fraction,
    std: Fraction,
) -> Finding:
    """What the average says of the one task whose cell was lost."""
    lost = [cell for cell in cells if cell.task not in means]
    count = len(means) + len({cell.task for cell in lost})
    total = sum(means.values(), Fraction(0))
    names = headings()
    if len(lost) > 1:
        named = ", ".join(names[cell.suite, cell.task] for cell in lost)
        return Finding(**common, arithmetic=f"cells lost: {named}", verdict="open")
    cell = lost[0]
    implied = target * count - total
    n = examples().get((cell.suite, cell.task, cell.metric))
    arithmetic = (
        f"{count} × {shown(target, 2)} − {shown(total, 2)} (the other {len(means)}) "
        f"= {shown(implied, 2)} for {names[cell.suite, cell.task]}"
    )
    remark = f"the cell is missing in the text: {cell.note}"
    if n:
        k = min(range(n + 1), key=lambda k: abs(Fraction(100 * k, n) - implied))
        arithmetic += f", nearest {k}/{n} = {shown(Fraction(100 * k, n), 2)}"
        low, high = implied - std * count, implied + std * count
        fits = [k for k in range(n + 1) if low <= Fraction(100 * k, n) <= high]
        if fits:
            remark += (
                f"; within one standard deviation of the average {fits[0]}/{n} to {fits[-1]}/{n} "
                "fit, so it can't be filled in"
            )
    return Finding(**common, arithmetic=arithmetic, verdict="open", remark=remark)


def _suspect(
    printed: Printed, row: Row, suite: str, cells: list[Any], gap: Fraction, std: Fraction
) -> Suspect | None:
    """The only cell that stands out of its column and, mended, mends the average; or none."""
    per_task: dict[str, int] = {}
    for cell in cells:
        per_task[cell.task] = per_task.get(cell.task, 0) + 1
    found = []
    for cell in cells:
        others = [
            exact(other.value, other.decimals)
            for other_row, other_suite, records in printed.breakdown()
            if other_row.size == row.size and other_suite == suite and other_row != row
            for other in records
            if (other.task, other.metric) == (cell.task, cell.metric)
            and not math.isnan(other.value)
        ]
        weight = len(per_task) * per_task[cell.task]
        suspect = _mended(cell, row, others, gap * weight, std * weight, gap)
        if suspect is not None:
            found.append(suspect)
    return found[0] if len(found) == 1 else None


def _mended(
    cell: Any, row: Row, others: list[Fraction], lacking: Fraction, slack: Fraction, gap: Fraction
) -> Suspect | None:
    if len(others) < 2:
        return None
    n = examples().get((cell.suite, cell.task, cell.metric))
    lowest, highest = min(others), max(others)
    spread = max(highest - lowest, Fraction(100, n) if n else Fraction(1, 2))
    value = exact(cell.value, cell.decimals)
    apart = max(lowest - value, value - highest)
    if apart <= OUTLIER * spread:
        return None
    needed = value + lacking
    bottom = max(needed - slack, lowest - spread, Fraction(0))
    top = min(needed + slack, highest + spread, Fraction(100))
    decimals = int(cell.decimals)
    possible = [
        number
        for number in (
            (Fraction(100 * k, n) for k in range(n + 1)) if n else _grid(bottom, top, decimals)
        )
        if bottom <= number <= top
    ]
    if not possible:
        return None
    nearest = min(possible, key=lambda number: abs(number - needed))
    text = f"{cell.value:.{decimals}f}"
    slips = [
        number for number in possible if f"{float(number):.{decimals}f}" in one_digit_away(text)
    ]
    slip = ""
    if slips:
        best = min(slips, key=lambda number: abs(number - needed))
        # A task's weight in the average is that of ``lacking`` over ``gap``.
        left = gap - (best - value) * gap / lacking
        slip = f"{_as_count(best, n, decimals)}, which leaves {float(left):+.3f} of the difference"
    return Suspect(
        where=f"{cell.place}, {row.text}, {headings()[cell.suite, cell.task]} ({cell.metric})",
        printed=text,
        needed=shown(needed, 2),
        nearest=_as_count(nearest, n, decimals),
        slip=slip,
        reason=f"the column's other {len(others)} cells read {shown(lowest, 2)} to "
        f"{shown(highest, 2)}",
    )


def _grid(bottom: Fraction, top: Fraction, decimals: int) -> Iterator[Fraction]:
    scale = 10**decimals
    return (Fraction(k, scale) for k in range(math.ceil(bottom * scale), int(top * scale) + 1))


def _as_count(value: Fraction, n: int | None, decimals: int) -> str:
    text = f"{float(value):.{decimals}f}"
    return f"{int(value * n / 100)}/{n} = {text}" if n else text


def one_digit_away(text: str) -> set[str]:
    """Every printed number that becomes ``text`` when one digit is lost, gained or mistaken.

    >>> away = one_digit_away("4.80")
    >>> "34.80" in away, "4.30" in away, ".80" in away, "35.80" in away
    (True, True, False, False)
    """
    digits = "0123456789"
    away: set[str] = set()
    for at in range(len(text) + 1):
        away |= {text[:at] + digit + text[at:] for digit in digits}
        if at < len(text) and text[at] in digits:
            away |= {text[:at] + digit + text[at + 1 :] for digit in digits}
            away.add(text[:at] + text[at + 1 :])
    places = len(text.partition(".")[2])
    return {
        one
        for one in away - {text}
        if one.partition(".")[0] and len(one.partition(".")[2]) == places
    }


def _check_signs(gaps: dict[str, list[Fraction]]) -> list[Finding]:
    """Are a suite's differences as often above as below? Exact sign test, Bonferroni over suites."""
    findings = []
    for suite, values in gaps.items():
        above = sum(gap > 0 for gap in values)
        below = sum(gap < 0 for gap in values)
        n = above + below
        tail = sum(math.comb(n, k) for k in range(max(above, below), n + 1))
        p = min(1.0, 2 * tail / 2**n * len(gaps))
        name = SUITE_NAMES[suite]
        findings.append(
            Finding(
                id=f"average/sign/{suite}",
                kind="average",
                where=f"Tables 2 and 4, column {name}",
                said=f"{above} averages above their breakdown, {below} below",
                arithmetic=f"sign test: 2 × {tail}/{2**n} × {len(gaps)} suites → p = {p:.3g}",
                verdict=verdict_of(p >= SIGNIFICANT),
                remark=""
                if p >= SIGNIFICANT
                else f"one-sided: {name} was not averaged as its breakdown suggests",
            )
        )
    return findings
