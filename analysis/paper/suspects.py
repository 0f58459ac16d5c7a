"""Search for the only printed cell whose error would explain an inconsistent suite average."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from analysis.paper.breakdown import Breakdown, Row, exact, examples, headings, shown
from analysis.paper.statement import Suspect

OUTLIER = 3
"""Distance of an outlier from the nearest other cell of its column, in ranges of those cells."""


def find(
    printed: Breakdown, row: Row, suite: str, cells: list[Any], gap: Fraction, std: Fraction
) -> Suspect | None:
    """Returns the only cell that is an outlier of its column and whose correction fits the average.

    Args:
      printed: the published numbers.
      row, suite: row and suite of the average.
      cells: task records of the row and suite.
      gap: average minus mean of the cells.
      std: printed standard deviation of the average, the tolerance of a corrected gap.

    Returns:
      The cell, or None if there is none or several.
    """
    per_task: dict[str, int] = {}
    for cell in cells:
        per_task[cell.task] = per_task.get(cell.task, 0) + 1
    found = []
    for cell in cells:
        others = [
            exact(other.value, other.decimals)
            for other_row, other_suite, records in printed.groups()
            if other_row.size == row.size and other_suite == suite and other_row != row
            for other in records
            if (other.task, other.metric) == (cell.task, cell.metric)
            and not math.isnan(other.value)
        ]
        weight = len(per_task) * per_task[cell.task]
        suspect = _corrected(cell, row, others, gap * weight, std * weight, gap)
        if suspect is not None:
            found.append(suspect)
    return found[0] if len(found) == 1 else None


def _corrected(
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
    written = []
    for slip in sorted(slips, key=lambda number: abs(number - needed)):
        # The task's weight in the average is gap / lacking.
        left = gap - (slip - value) * gap / lacking
        written.append(f"{_as_count(slip, n, decimals)}, which leaves {float(left):+.3f}")
    return Suspect(
        where=f"{cell.place}, {row.text}, {headings()[cell.suite, cell.task]} ({cell.metric})",
        printed=text,
        needed=shown(needed, 2),
        nearest=_as_count(nearest, n, decimals),
        slip=" or ".join(written),
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
    """Returns the numbers that become ``text`` when one digit is lost, inserted or replaced.

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
