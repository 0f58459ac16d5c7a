"""Check that each printed accuracy is k/n for a whole k and the n examples of its evaluation set.

A median over an odd number of runs is the score of one of them, so it must be k/n too; a mean over
runs need not be. The check therefore also shows whether a table prints medians or means.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from analysis.paper.breakdown import (
    Breakdown,
    Row,
    consistent,
    exact,
    examples,
    half_unit,
    headings,
    shown,
)
from analysis.paper.statement import Finding, Judgement, Passage
from analysis.paper.suspects import one_digit_away


def check(printed: Breakdown) -> list[Judgement]:
    """Judges every accuracy with a known evaluation set, and then the rounding of halves."""
    judgements = []
    halves: list[tuple[str, Fraction, Fraction]] = []
    for row, suite, cells in printed.groups():
        for cell in cells:
            n = examples().get((suite, cell.task, cell.metric))
            if n is None or math.isnan(cell.value):
                continue
            judgements.append(_check_count(cell, row, n))
            value = exact(cell.value, cell.decimals)
            half = half_unit(cell.decimals)
            for k in counts(value, n, half):
                if abs(Fraction(100 * k, n) - value) == half:
                    name = headings()[suite, cell.task]
                    halves.append((f"{cell.place} {name}", Fraction(100 * k, n), value))
    return [*judgements, _check_halves(halves)]


def counts(value: Fraction, n: int, half: Fraction) -> list[int]:
    """Returns every k for which 100·k/n rounds to ``value``, with halves rounded up or down.

    >>> half = Fraction(1, 200)
    >>> counts(Fraction("40.63"), 32, half), counts(Fraction("91.94"), 277, half)
    ([13], [])
    """
    lowest = max(math.ceil((value - half) * n / 100), 0)
    highest = min(math.floor((value + half) * n / 100), n)
    return list(range(lowest, highest + 1))


def _check_count(cell: Any, row: Row, n: int) -> Judgement:
    value = exact(cell.value, cell.decimals)
    half = half_unit(cell.decimals)
    fits = counts(value, n, half)
    remark = ""
    if fits:
        sentence = f"{fits[0]}/{n} = {shown(Fraction(100 * fits[0], n))}"
    else:
        below = math.floor(value * n / 100)
        near = [f"{k}/{n} = {shown(Fraction(100 * k, n))}" for k in (below, below + 1) if k <= n]
        sentence = f"no k/{n} rounds to it: {', '.join(near)}"
        remark = _how_else(cell, n, half)
    name = headings()[cell.suite, cell.task]
    passage = Passage(
        f"k-of-n/{row.id}/{cell.suite}/{cell.task}/{cell.metric}",
        f"{cell.place}, {row.text}, {name} ({cell.metric})",
        f"{cell.value:.2f}",
    )
    return Judgement(passage, Finding(consistent(bool(fits)), sentence, remark))


def _how_else(cell: Any, n: int, half: Fraction) -> str:
    """Describes whether a mean over runs, or an error in one digit, could explain a number."""
    value = exact(cell.value, cell.decimals)
    ways = []
    runs = int(cell.runs)
    total = counts(value, n * runs, half)
    if total:
        mean = shown(Fraction(100 * total[0], n * runs))
        ways.append(f"a mean over {runs} runs could: {total[0]}/({runs}·{n}) = {mean}")
    else:
        ways.append(f"nor is it a mean over {runs} runs")
    text = f"{cell.value:.{int(cell.decimals)}f}"
    # An error before the decimal point would have moved the cell far from its column.
    slips = [
        f"{k}/{n} = {one}"
        for one in sorted(one_digit_away(text), key=lambda one: abs(float(one) - cell.value))
        if abs(float(one) - cell.value) < 1.0
        for k in counts(Fraction(one), n, half)
    ]
    if slips:
        ways.append(f"one digit away: {', '.join(slips)}")
    return "; ".join(ways)


def _check_halves(halves: list[tuple[str, Fraction, Fraction]]) -> Judgement:
    up = [half for half in halves if half[2] > half[1]]
    even = [half for half in halves if int(half[2] * 100) % 2 == 0]
    odd = [half for half in halves if half not in even]
    written = [f"{place}: {shown(at)} → {shown(value, 2)}" for place, at, value in halves]
    text = f"{len(halves)} cells are exact halves at the printed precision"
    finding = Finding(
        consistent(len(up) == len(halves) or len(even) == len(halves)),
        f"{'; '.join(dict.fromkeys(written)) or 'none'}; rounded up: {len(up)}, to the even digit: "
        f"{len(even)}",
        f"halves are rounded up, as {odd[0][0]} shows; formatting a float rounds to even"
        if odd and len(up) == len(halves)
        else "",
    )
    return Judgement(Passage("k-of-n/halves", "Tables 6 to 17", text), finding)
