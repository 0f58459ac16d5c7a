"""Comparison of a measured table with the paper's: a row for every number that the paper prints.

The table's module computes both sides, so the compared numbers are the printed ones. A number has
the first verdict that applies:

* ``NOT_RUN``: the records have no such number;
* ``SCALED``: the records are of a scaled profile;
* ``EQUAL``: both are the same at the paper's decimals;
* ``DIFFERS`` without a test: a counted number or a setting, which does not vary between runs;
* ``UNTESTED``: neither side has a standard deviation over runs;
* ``DIFFERS`` or ``WITHIN_NOISE``: by Welch's test, or by ``analysis.tests.borrowed_spread`` if only
  one side has a standard deviation; two-sided, at ``ALPHA`` after Holm's correction.

Holm's family is every number of the table that can be tested. It includes numbers that are equal at
printed precision, since leaving them out because of their outcome would make the family too small.
A median over n runs is tested as a mean with a standard deviation that is greater by
``MEDIAN_FACTOR``, the largest ratio of the two standard errors for normal scores (the limit of
large n); the test is therefore conservative: it favours ``WITHIN_NOISE``.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

import tables
from analysis.rounding import rounded
from analysis.schema import published
from analysis.schema.facts import NOT_RUN, UNTESTED, metric_label
from analysis.schema.records import sole_profile
from analysis.tests import ALPHA, Sample, borrowed_spread, holm, welch
from spactor.errors import UserError
from tables.cells import DIVERGED, ILLEGIBLE, MISSING, NOTHING, Cell, Column, Row, Table
from tables.notes import caption_origin

CELL = Column("cell", "Cell", is_text=True)
COLUMNS = (
    Column("ours", "Ours", spread=True),
    Column("published", "Paper", spread=True),
    Column("difference", "Diff."),
    Column("test", "Test", is_text=True, detail=True),
    Column("p", "p", detail=True),
    Column("p_holm", "p (Holm)"),
    Column("verdict", "Verdict", is_text=True),
)
NO_CELL = Cell(label=NOTHING)
PAPER_PROFILE = "paper"
EQUAL = "equal"
WITHIN_NOISE = "within noise"
DIFFERS = "differs"
SCALED = "not comparable"
VERDICTS = (EQUAL, WITHIN_NOISE, DIFFERS, UNTESTED, SCALED, NOT_RUN)
BEYOND = "not in the paper"
"""Verdict on a measured number that the paper does not print."""
MEDIAN_FACTOR = math.sqrt(math.pi / 2)
Test = Literal["Welch", "borrowed spread", ""]
REASONS = {
    EQUAL: "at the decimals that the paper prints",
    WITHIN_NOISE: "no difference was found, which does not prove equality",
    UNTESTED: "neither side has a spread over runs",
    SCALED: "a scaled profile's numbers do not stand for the paper's; differences are for "
    "orientation and nothing is tested",
    NOT_RUN: "the records hold no such number",
}
"""Explanations of verdicts that the notes on the tests do not explain."""


@dataclass(frozen=True)
class NumberPlace:
    """Place of a number in a table.

    Attributes:
      labels: labels of the row.
      column: key of the column.
      heading: heading of the column, with the metric if the cell has several numbers.
      part: the metric, or "" if the cell has one number.
    """

    labels: tuple[str, ...]
    column: str
    heading: str
    part: str


@dataclass(frozen=True)
class Compared:
    """A measured number, the paper's, and the test of their difference.

    Attributes:
      place: place of both numbers in their tables.
      ours: the measured number; ``MISSING`` if there is none.
      published: the printed number; ``MISSING`` if there is none.
      comparable: whether the runs used the published settings (profile ``paper``).
      test: name of the test; "" without a test.
      p, p_holm: p-value, and the p-value adjusted by Holm over the table; None without a test.
    """

    place: NumberPlace
    ours: Cell
    published: Cell
    comparable: bool = True
    test: Test = ""
    p: float | None = None
    p_holm: float | None = None

    @property
    def not_run(self) -> bool:
        """Whether there is no measured number, or the runs diverged."""
        return self.ours.missing or self.diverged

    @property
    def diverged(self) -> bool:
        """Whether a loss or a gradient of the measured runs was not finite."""
        return self.ours.label == DIVERGED

    @property
    def equal(self) -> bool:
        """Whether both are the same at the paper's decimals."""
        theirs = self.published
        if self.ours.value is None or theirs.value is None:
            return self.ours.text() == theirs.text()
        return rounded(self.ours.value, theirs.decimals, theirs.style) == theirs.mean_text

    @property
    def exact(self) -> bool:
        """Whether the number is counted or a setting, which does not vary between runs."""
        if self.published.statistic == "exact":
            return True
        return not self.not_run and None in (self.ours.value, self.published.value)

    @property
    def difference(self) -> Cell:
        """Measured minus published number, with the larger number of decimals."""
        if self.ours.value is None or self.published.value is None:
            return NO_CELL
        style = self.published.style
        return Cell(
            self.ours.value - self.published.value,
            decimals=max(self.ours.decimals, self.published.decimals),
            style="signed" if style in ("plain", "thousands") else style,
        )

    @property
    def verdict(self) -> str:
        """One of ``VERDICTS``, or ``BEYOND``; see the module's docstring."""
        if self.published.missing:
            return BEYOND
        if self.not_run:
            return NOT_RUN
        if not self.comparable:
            return SCALED
        if self.equal:
            return EQUAL
        if self.exact:
            return DIFFERS
        if self.p_holm is None:
            return UNTESTED
        return DIFFERS if self.p_holm < ALPHA else WITHIN_NOISE

    def p_value(self) -> tuple[Test, float]:
        """Returns name and p-value of the test that the numbers allow; "" and NaN for none."""
        if self.not_run or self.exact or not self.comparable:
            return "", math.nan
        factor = MEDIAN_FACTOR if self.published.statistic == "median" else 1.0
        ours, published = (_sample(cell, factor) for cell in (self.ours, self.published))
        if not (ours.runs and published.runs):
            return "", math.nan
        if ours.testable and published.testable:
            return "Welch", welch(ours, published.times(-1.0), alternative="two-sided")
        if ours.testable or published.testable:
            return "borrowed spread", borrowed_spread(ours, published)
        return "", math.nan


def compute(number: int, records: pd.DataFrame) -> Table:
    """Compares a measured table with the published one.

    Args:
      number: number of the paper's table.
      records: measured records of one profile.

    Returns:
      A flat table with a row for each number.

    Raises:
      UserError: there is no such table, the records are published or of several profiles, or a
        run's scores are incomplete.
    """
    module = tables.get(number)
    source, profile = sole_profile(records)
    if source == "published":
        raise UserError("a diff compares measured records with the published ones: give the former")
    ours, paper = module.compute(records), module.compute(published.load(number))
    compared = judge(ours, paper)
    counts = Counter(one.verdict for one in compared)
    tally = ", ".join(f"{counts[words]} {words}" for words in VERDICTS if counts[words])
    # If all verdicts are the same, text has no column of verdicts, and the caption has the reason.
    only = next(iter(counts)) if len(counts) == 1 else ""
    reason = f": {REASONS[only]}" if only in REASONS else ""
    whose = caption_origin(source, profile).partition(":")[0]
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
    """Judges every number of a table that is legible in the paper.

    Args:
      ours, paper: the same table, from measured and from published records.
    """
    own = dict(numbers(ours))
    comparable = ours.profile in (PAPER_PROFILE, "")
    compared = [
        Compared(place, own.get(place, MISSING), cell, comparable)
        for place, cell in numbers(paper)
        if cell.label != ILLEGIBLE
    ]
    tested = [one.p_value() for one in compared]
    adjusted = holm([p for _, p in tested])
    return tuple(
        dataclasses.replace(one, test=test, p=p, p_holm=p_holm) if not math.isnan(p) else one
        for one, (test, p), p_holm in zip(compared, tested, adjusted, strict=True)
    )


def beyond(ours: Table, paper: Table) -> tuple[Compared, ...]:
    """Returns the measured numbers of a table that the paper does not print."""
    printed = {place for place, _ in numbers(paper)}
    return tuple(
        Compared(place, cell, MISSING) for place, cell in numbers(ours) if place not in printed
    )


def numbers(table: Table) -> Iterator[tuple[NumberPlace, Cell]]:
    """Yields every comparable number of a table with its place."""
    for row, column, cell in table.all_cells():
        if not column.compared or cell.missing:
            continue
        for part in cell.numbers:
            heading = column.heading
            if len(cell.parts) > 1:
                heading += f", {metric_label(part.name)}"
            yield NumberPlace(row.labels, column.key, heading, part.name), part


def _sample(cell: Cell, factor: float) -> Sample:
    """Converts a cell to the sample to test, with the standard deviation times ``factor``."""
    value, std = (math.nan if x is None else x for x in (cell.value, cell.std))
    return Sample(value, std * factor, cell.runs or 0)


def _row(one: Compared) -> tuple[Cell, ...]:
    return (
        # Bold would look like a comparison of both sides.
        dataclasses.replace(one.ours, bold=False),
        dataclasses.replace(one.published, bold=False),
        one.difference,
        Cell(label=one.test or NOTHING),
        NO_CELL if one.p is None else Cell(one.p, decimals=3, style="p"),
        NO_CELL if one.p_holm is None else Cell(one.p_holm, decimals=3, style="p"),
        Cell(label=DIVERGED if one.diverged else one.verdict),
    )


def notes(
    compared: Sequence[Compared], ours: Table, paper: Table, *, explained: str = ""
) -> tuple[str, ...]:
    """Returns footnotes on the tests, on numbers without a test, and on those left out.

    Args:
      compared: result of ``judge``.
      ours, paper: the compared tables.
      explained: a verdict that the caption explains.
    """
    counts = Counter(one.test for one in compared if one.test)
    found = {one.verdict for one in compared}
    written = []
    if counts:
        written.append(
            f"Tests: two-sided, α = {ALPHA:g}, p adjusted by Holm over the {sum(counts.values())} "
            f"numbers of this table that can be tested; {DIFFERS}: p (Holm) < {ALPHA:g}."
        )
    elif SCALED not in found:
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
    if any(one.published.statistic == "median" and one.test for one in compared):
        written.append(
            "Medians are tested as means of a standard deviation greater by √(π/2) = 1.25, the "
            "most by which a median's error exceeds a mean's when scores are normal."
        )
    if SCALED not in found and any(one.exact for one in compared):
        written.append("Counted numbers and settings are equal or differ without a test.")
    written += [
        f"{verdict}: {reason}."
        for verdict, reason in REASONS.items()
        if verdict in found and verdict != explained
    ]
    if illegible := len(dict(numbers(paper))) - len(compared):
        written.append(f"Left out: {illegible} published, illegible.")
    if further := len(beyond(ours, paper)):
        written.append(f"Left out: {further} of ours that the paper does not print.")
    return tuple(written)
