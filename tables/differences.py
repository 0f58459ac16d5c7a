"""Any of the paper's tables, ours beside published: a row for every number the paper prints.

Both sides are computed by the table's own module, so what is compared is what is printed.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

import tables
from analysis import tests
from analysis.rounding import rounded
from analysis.schema import published
from analysis.schema.facts import metric_label
from analysis.schema.records import sole_profile
from analysis.tests import ALPHA
from spactor.errors import UserError
from tables.cells import DIVERGED, ILLEGIBLE, MISSING, NOTHING, Cell, Column, Row, Table
from tables.notes import origin_label

CELL = Column("cell", "Cell", words=True)
COLUMNS = (
    Column("ours", "Ours", spread=True),
    Column("published", "Paper", spread=True),
    Column("difference", "Diff."),
    Column("test", "Test", words=True, detail=True),
    Column("p", "p", detail=True),
    Column("p_holm", "p (Holm)"),
    Column("verdict", "Verdict", words=True),
)
NO_CELL = Cell(words=NOTHING)
PAPER_PROFILE = "paper"
REASONS = {
    tests.EQUAL: "at the decimals that the paper prints",
    tests.WITHIN_NOISE: "no difference was found, which does not prove equality",
    tests.UNTESTED: "neither side has a spread over runs",
    tests.SCALED: "a scaled profile's numbers do not stand for the paper's; differences are for "
    "orientation and nothing is tested",
    tests.NOT_RUN: "the records hold no such number",
}
"""What a verdict means, where the notes on the tests do not say it."""


@dataclass(frozen=True)
class NumberPlace:
    """One number of a table.

    Attributes:
      labels: of its row.
      column: key of its column.
      heading: what its column is called, with the metric where it shares its cell.
      part: the metric, "" where the number has its cell to itself.
    """

    labels: tuple[str, ...]
    column: str
    heading: str
    part: str


@dataclass(frozen=True)
class Compared:
    """A published number, ours, and what came of holding them against each other.

    Attributes:
      place: of both.
      ours: None where our table has no such place.
      published: as printed.
      pair: what was judged.
      found: the verdict.
    """

    place: NumberPlace
    ours: Cell | None
    published: Cell
    pair: tests.Pair
    found: tests.Comparison

    @property
    def diverged(self) -> bool:
        """Whether ours is of a run whose numbers went bad."""
        return self.ours is not None and self.ours.words == DIVERGED

    @property
    def difference(self) -> Cell:
        """Ours minus published, as precise as the more precise of both."""
        if self.found.difference is None:
            return NO_CELL
        decimals = max((self.ours or MISSING).decimals, self.published.decimals)
        style = self.published.style
        return Cell(
            self.found.difference,
            decimals=decimals,
            style="signed" if style in ("plain", "thousands") else style,
        )


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
    source, profile = sole_profile(records)
    if source == "published":
        raise UserError("these are the published numbers: a diff holds measured ones against them")
    ours, paper = module.compute(records), module.compute(published.load(number))
    compared = judge(ours, paper)
    counts = Counter(one.found.verdict for one in compared)
    tally = ", ".join(f"{counts[words]} {words}" for words in tests.VERDICTS if counts[words])
    # Of a single verdict the caption has the reason, as text then has no column of verdicts.
    only = next(iter(counts)) if len(counts) == 1 else ""
    reason = f": {REASONS[only]}" if only in REASONS else ""
    whose = origin_label(source, profile).partition(":")[0]
    return Table(
        number=number,
        source=source,
        profile=profile,
        caption=f"Table {number}, ours ({whose}) beside published. {len(compared)} numbers"
        + (f", all {only}{reason}." if only else f": {tally}."),
        label_columns=(*paper.label_columns, CELL),
        columns=COLUMNS,
        rows=tuple(Row((*one.place.labels, one.place.heading), _row(one)) for one in compared),
        footnotes=notes(compared, ours, paper, explained=only),
        flat=True,
    )


def judge(ours: Table, paper: Table) -> tuple[Compared, ...]:
    """A verdict on every number of a table that the paper prints legibly.

    Args:
      ours, paper: the same table, of measured and of published records.
    """
    own = dict(numbers(ours))
    legible = [pair for pair in numbers(paper) if pair[1].words != ILLEGIBLE]
    pairs = [_pair(own.get(place), cell) for place, cell in legible]
    verdicts = tests.compare_with_published(pairs, comparable=ours.profile in (PAPER_PROFILE, ""))
    return tuple(
        Compared(place, own.get(place), cell, pair, found)
        for (place, cell), pair, found in zip(legible, pairs, verdicts, strict=True)
    )


def numbers(table: Table) -> Iterator[tuple[NumberPlace, Cell]]:
    """Every comparable number of a table, one by one."""
    for row, column, cell in table.all_cells():
        if not column.compared or cell.missing:
            continue
        for part in cell.numbers:
            heading = column.heading
            if len(cell.parts) > 1:
                heading += f", {metric_label(part.name)}"
            yield NumberPlace(row.labels, column.key, heading, part.name), part


def _pair(ours: Cell | None, theirs: Cell) -> tests.Pair:
    if ours is None or ours.missing or ours.words == DIVERGED:
        return tests.Pair(_number(theirs), None, equal=False, kind=theirs.statistic)
    if ours.value is None or theirs.value is None:
        # A setting that is a word on either side.
        return tests.Pair(_number(theirs), _number(ours), ours.text() == theirs.text(), "exact")
    same = rounded(ours.value, theirs.decimals, theirs.style) == theirs.mean_text
    return tests.Pair(_number(theirs), _number(ours), same, theirs.statistic)


def _number(cell: Cell) -> tests.Number:
    return tests.Number(cell.value, cell.std, cell.runs)


def _row(one: Compared) -> tuple[Cell, ...]:
    found = one.found
    return (
        # Bold marks what is above its baseline; here it would look like a comparison of the sides.
        dataclasses.replace(one.ours or MISSING, bold=False),
        dataclasses.replace(one.published, bold=False),
        one.difference,
        Cell(words=found.test or NOTHING),
        NO_CELL if found.p is None else Cell(found.p, decimals=3, style="p"),
        NO_CELL if found.p_holm is None else Cell(found.p_holm, decimals=3, style="p"),
        Cell(words=DIVERGED if one.diverged else found.verdict),
    )


def notes(
    compared: Sequence[Compared], ours: Table, paper: Table, *, explained: str = ""
) -> tuple[str, ...]:
    """The test and its family; what was compared without one; what is not in the diff.

    Args:
      compared: result of ``judge``.
      ours, paper: the tables.
      explained: a verdict whose reason is printed elsewhere.
    """
    counts = Counter(one.found.test for one in compared if one.found.test)
    found = {one.found.verdict for one in compared}
    written = []
    if counts:
        written.append(
            f"Tests: two-sided, α = {ALPHA:g}, p adjusted by Holm over the {sum(counts.values())} "
            f"numbers of this table that can be tested; {tests.DIFFERS}: p (Holm) < {ALPHA:g}."
        )
    elif tests.SCALED not in found:
        written.append(
            f"No number of this table was tested. Where one can be: Welch's test, two-sided, "
            f"α = {ALPHA:g}, p adjusted by Holm over the numbers of the table that can be tested."
        )
    if counts["Welch"]:
        written.append(
            f"Welch ({counts['Welch']}): on mean, standard deviation and runs of each; the paper "
            "prints no single runs, so none can be paired by seed."
        )
    if counts["borrowed spread"]:
        written.append(
            f"Borrowed spread ({counts['borrowed spread']}): only one side has a spread over runs; "
            "the other is taken to vary as much, with the degrees of freedom of the one."
        )
    if any(one.pair.kind == "median" and one.found.test for one in compared):
        written.append(
            "Medians are tested as means of a standard deviation greater by √(π/2) = 1.25, the "
            "most by which a median's error exceeds a mean's when scores are normal."
        )
    if tests.SCALED not in found and any(one.pair.kind == "exact" for one in compared):
        written.append("Counted numbers and settings are equal or differ without a test.")
    written += [
        f"{verdict}: {reason}."
        for verdict, reason in REASONS.items()
        if verdict in found and verdict != explained
    ]
    theirs = dict(numbers(paper))
    if len(theirs) > len(compared):
        written.append(f"Left out: {len(theirs) - len(compared)} published, illegible.")
    if beyond := len(dict(numbers(ours)).keys() - theirs.keys()):
        written.append(f"Left out: {beyond} of ours that the paper does not print.")
    return tuple(written)
