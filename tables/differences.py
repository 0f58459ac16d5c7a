"""Any of the paper's tables, ours beside published: a row for every number the paper prints.

Both sides are computed by the table's own module, so what is compared is what is printed.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

import tables
from analysis import diff
from analysis.statistics import ALPHA
from repro import published
from repro.records import sole_profile
from spactor.errors import UserError
from tables.breakdowns import METRIC_NAMES
from tables.cells import DIVERGED, ILLEGIBLE, MISSING, Cell, Column, Row, Style, Table, rounded
from tables.score_table import describe

CELL = Column("cell", "Cell", words=True)
COLUMNS = (
    Column("ours", "Ours", spread=True),
    Column("published", "Published", spread=True),
    Column("difference", "Difference"),
    Column("test", "Test", words=True),
    Column("p", "p"),
    Column("p_holm", "p (Holm)"),
    Column("verdict", "Verdict", words=True),
)
NOTHING = Cell(words="–")
PAPER_PROFILE = "paper"


@dataclass(frozen=True)
class _Place:
    """One number of a table: its row, its column, and its metric where it shares its cell."""

    labels: tuple[str, ...]
    column: str
    heading: str
    part: str


def compute(number: int, records: pd.DataFrame) -> Table:
    """A table's diff.

    Args:
      number: of the paper's table.
      records: measured records of one profile.

    Raises:
      UserError: there is no such table, the records are the paper's own or of several profiles,
        or a run's scores are incomplete.
    """
    module = tables.get(number)
    source, profile = sole_profile(records) or ("", "")
    if source == "published":
        raise UserError("these are the published numbers: a diff holds measured ones against them")
    theirs = dict(_cells(paper := module.compute(published.load(number))))
    ours = dict(_cells(module.compute(records)))
    legible = {place: cell for place, cell in theirs.items() if cell.words != ILLEGIBLE}
    pairs = [_pair(ours.get(place), cell) for place, cell in legible.items()]
    comparable = profile in (PAPER_PROFILE, "")
    verdicts = diff.judge(pairs, comparable=comparable)
    rows = tuple(
        Row((*place.labels, place.heading), _row(ours.get(place), cell, verdict))
        for (place, cell), verdict in zip(legible.items(), verdicts, strict=True)
    )
    counts = Counter(verdict.verdict for verdict in verdicts)
    tally = ", ".join(f"{counts[words]} {words}" for words in diff.VERDICTS if counts[words])
    return Table(
        number=number,
        source=source,
        profile=profile,
        caption=f"Table {number}, ours ({describe(source, profile)}) beside published. "
        f"{len(rows)} numbers: {tally}.",
        label_columns=(*paper.label_columns, CELL),
        columns=COLUMNS,
        rows=rows,
        footnotes=_footnotes(verdicts, pairs, theirs, legible, ours),
        flat=True,
    )


def _cells(table: Table) -> Iterator[tuple[_Place, Cell]]:
    """Every comparable number of a table, one by one."""
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            if not column.compared or cell.missing:
                continue
            for part in cell.numbers:
                shared = len(cell.parts) > 1
                heading = f"{column.heading}, {_name(part)}" if shared else column.heading
                yield _Place(row.labels, column.key, heading, part.name), part


def _name(part: Cell) -> str:
    return METRIC_NAMES.get(part.name, part.name.replace("_", " "))


def _pair(ours: Cell | None, theirs: Cell) -> diff.Pair:
    if ours is None or ours.missing or ours.words == DIVERGED:
        return diff.Pair(_number(theirs), None, equal=False, kind=theirs.statistic)
    if ours.value is None or theirs.value is None:
        # A setting that is a word on either side.
        return diff.Pair(_number(theirs), _number(ours), ours.text() == theirs.text(), "exact")
    same = rounded(ours.value, theirs.decimals, theirs.style) == theirs.mean_text
    return diff.Pair(_number(theirs), _number(ours), same, theirs.statistic)


def _number(cell: Cell) -> diff.Number:
    return diff.Number(cell.value, cell.std, cell.runs)


def _row(ours: Cell | None, theirs: Cell, found: diff.Verdict) -> tuple[Cell, ...]:
    ours = ours or MISSING
    difference = NOTHING
    if found.difference is not None:
        decimals = max(ours.decimals, theirs.decimals)
        style: Style = "signed" if theirs.style in ("plain", "thousands") else theirs.style
        difference = Cell(found.difference, decimals=decimals, style=style)
    return (
        # Bold says which is above its baseline; here it would seem to say which side is better.
        dataclasses.replace(ours, bold=False),
        dataclasses.replace(theirs, bold=False),
        difference,
        Cell(words=found.test or NOTHING.words),
        NOTHING if found.p is None else Cell(found.p, decimals=3, style="p"),
        NOTHING if found.p_holm is None else Cell(found.p_holm, decimals=3, style="p"),
        Cell(words=ours.words if ours.words == DIVERGED else found.verdict),
    )


def _footnotes(
    verdicts: tuple[diff.Verdict, ...],
    pairs: list[diff.Pair],
    theirs: dict[_Place, Cell],
    legible: dict[_Place, Cell],
    ours: dict[_Place, Cell],
) -> tuple[str, ...]:
    """The test and its family; what was compared without one; what is not in the diff."""
    tests = Counter(verdict.test for verdict in verdicts if verdict.test)
    found = {verdict.verdict for verdict in verdicts}
    notes = []
    if tests:
        notes.append(
            f"Tests: two-sided, α = {ALPHA:g}, p adjusted by Holm over the {sum(tests.values())} "
            f"numbers of this table that can be tested; {diff.DIFFERS}: p (Holm) < {ALPHA:g}."
        )
    else:
        notes.append(
            f"No number of this table was tested. Where one can be: Welch's test, two-sided, "
            f"α = {ALPHA:g}, p adjusted by Holm over the numbers of the table that can be tested."
        )
    if tests["Welch"]:
        notes.append(f"Welch ({tests['Welch']}): on mean, standard deviation and runs of each.")
    if tests["borrowed spread"]:
        notes.append(
            f"Borrowed spread ({tests['borrowed spread']}): only one side has a spread over runs; "
            "the other is taken to vary as much, with the degrees of freedom of the one."
        )
    if any(pair.kind == "median" and v.test for pair, v in zip(pairs, verdicts, strict=True)):
        notes.append(
            "Medians are tested as means of a standard deviation greater by √(π/2) = 1.25, the "
            "most by which a median's error exceeds a mean's when scores are normal."
        )
    if any(pair.kind == "exact" for pair in pairs):
        notes.append("Counted numbers and settings are equal or differ without a test.")
    if diff.WITHIN_NOISE in found:
        notes.append(
            f"{diff.WITHIN_NOISE}: no difference was found, which does not prove equality."
        )
    if diff.UNTESTED in found:
        notes.append(f"{diff.UNTESTED}: neither side has a spread over runs.")
    if diff.SCALED in found:
        notes.append(
            f"{diff.SCALED}: no number of a scaled profile stands for one of the paper's; "
            "differences are for orientation and nothing is tested."
        )
    if diff.NOT_RUN in found:
        notes.append(f"{diff.NOT_RUN}: the records hold no such number.")
    if len(theirs) > len(legible):
        notes.append(f"Left out: {len(theirs) - len(legible)} published, illegible.")
    if beyond := len(ours.keys() - theirs.keys()):
        notes.append(f"Left out: {beyond} of ours that the paper does not print.")
    return tuple(notes)
