"""Any of the paper's tables, ours beside published: a row for every number the paper prints.

Both sides are computed by the table's own module, so what is compared is what is printed. A number
has the first verdict that applies:

* ``NOT_RUN``: we have no such number;
* ``SCALED``: ours belongs to a scaled profile;
* ``EQUAL``: both print the same at the paper's decimals;
* ``DIFFERS`` without a test: a counted number or a setting, which does not vary between runs;
* ``UNTESTED``: neither side has a spread over runs;
* ``DIFFERS`` or ``WITHIN_NOISE``: Welch's test, or ``analysis.tests.borrowed_spread`` where only
  one side has a spread; two-sided, at ``ALPHA`` after Holm's correction.

Holm's family is every number of the table that can be tested. Those that are equal at printed
precision stay in it: leaving them out because of their outcome would make the family too small. A
median over n runs is tested as a mean whose standard deviation is greater by ``MEDIAN_FACTOR``,
the largest ratio of the two standard errors for normal scores (the limit of large n); the test
therefore errs towards ``WITHIN_NOISE``.
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
EQUAL = "equal"
WITHIN_NOISE = "within noise"
DIFFERS = "differs"
SCALED = "not comparable"
VERDICTS = (EQUAL, WITHIN_NOISE, DIFFERS, UNTESTED, SCALED, NOT_RUN)
BEYOND = "not in the paper"
"""Verdict on a number of ours that the paper does not print."""
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
    """A number of ours beside the paper's, with its test.

    Attributes:
      place: of both in their tables.
      ours: ``MISSING`` where our table has no such number.
      published: as printed; ``MISSING`` where the paper prints none.
      comparable: whether our runs used the published settings (profile ``paper``).
      test: name of the test; "" where there was none.
      p, p_holm: p-value, and the same adjusted over the table; None without a test.
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
        """Whether we have no such number, or only of a run that diverged."""
        return self.ours.missing or self.diverged

    @property
    def diverged(self) -> bool:
        """Whether a loss or a gradient of our run was not finite."""
        return self.ours.words == DIVERGED

    @property
    def equal(self) -> bool:
        """Whether both print the same at the paper's decimals."""
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
        """Ours minus published, as precise as the more precise of both."""
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
        """Name and p-value of the test that the numbers allow; "" and NaN for none."""
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
    counts = Counter(one.verdict for one in compared)
    tally = ", ".join(f"{counts[words]} {words}" for words in VERDICTS if counts[words])
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
    comparable = ours.profile in (PAPER_PROFILE, "")
    compared = [
        Compared(place, own.get(place, MISSING), cell, comparable)
        for place, cell in numbers(paper)
        if cell.words != ILLEGIBLE
    ]
    tested = [one.p_value() for one in compared]
    adjusted = holm([p for _, p in tested])
    return tuple(
        dataclasses.replace(one, test=test, p=p, p_holm=p_holm) if not math.isnan(p) else one
        for one, (test, p), p_holm in zip(compared, tested, adjusted, strict=True)
    )


def beyond(ours: Table, paper: Table) -> tuple[Compared, ...]:
    """Our numbers of a table that the paper does not print."""
    printed = {place for place, _ in numbers(paper)}
    return tuple(
        Compared(place, cell, MISSING) for place, cell in numbers(ours) if place not in printed
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


def _sample(cell: Cell, factor: float) -> Sample:
    """The mean that a cell is tested as, with its standard deviation times ``factor``."""
    value, std = (math.nan if x is None else x for x in (cell.value, cell.std))
    return Sample(value, std * factor, cell.runs or 0)


def _row(one: Compared) -> tuple[Cell, ...]:
    return (
        # Bold marks what is above its baseline; here it would look like a comparison of the sides.
        dataclasses.replace(one.ours, bold=False),
        dataclasses.replace(one.published, bold=False),
        one.difference,
        Cell(words=one.test or NOTHING),
        NO_CELL if one.p is None else Cell(one.p, decimals=3, style="p"),
        NO_CELL if one.p_holm is None else Cell(one.p_holm, decimals=3, style="p"),
        Cell(words=DIVERGED if one.diverged else one.verdict),
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
