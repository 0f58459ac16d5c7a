"""Ours, the paper's and the difference: each table as the paper lays it out, and number by number.

Tables 6 to 17 of a scaled profile have stand-ins for columns; the paper's own follow behind them,
as not run.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import tables
from analysis.schema import published
from analysis.schema.facts import size_label
from tables import breakdowns, differences
from tables.cells import MISSING, NOTHING, Cell, Column, Row, Table
from tables.differences import Compared
from tables.places import Place, places_of

SIGNS = {
    differences.EQUAL: "=",
    differences.WITHIN_NOISE: "≈",
    differences.DIFFERS: "≠",
    differences.UNTESTED: "?",
}
"""What stands beside a difference for its verdict; other verdicts have no sign."""


@dataclass(frozen=True)
class GridCell:
    """A cell of a table as the paper lays it out.

    Attributes:
      id: of its provenance.
      ours, published: content of the cell; ``published`` is None where the paper prints nothing.
      compared: its numbers on both sides.
    """

    id: str
    ours: Cell
    published: Cell | None
    compared: tuple[Compared, ...]

    @property
    def difference(self) -> str:
        """Ours minus published, number by number; "" where there is none."""
        found = [one.difference.text() for one in self.compared]
        return " / ".join(found) if any(text != NOTHING for text in found) else ""

    @property
    def verdict(self) -> str:
        """The verdict, where all numbers of the cell have the same."""
        found = {one.verdict for one in self.compared}
        return found.pop() if len(found) == 1 else ""


@dataclass(frozen=True)
class GridRow:
    """A row of the grid: labels, then cells."""

    labels: tuple[str, ...]
    cells: tuple[GridCell, ...]


@dataclass(frozen=True)
class Grid:
    """Some columns of a table, with the rows in sections."""

    caption: str
    columns: tuple[Column, ...]
    sections: tuple[tuple[GridRow, ...], ...]


@dataclass(frozen=True)
class PairedTable:
    """A table of ours and the paper's.

    Attributes:
      ours, published: as computed; ``ours`` has the paper's further columns too, as not run.
      own_columns: how many of its columns are its own.
      compared: every number that the paper prints legibly.
    """

    ours: Table
    published: Table
    own_columns: int
    compared: tuple[Compared, ...]

    @property
    def number(self) -> int:
        """As in the paper."""
        return self.ours.number

    @property
    def is_breakdown(self) -> bool:
        """Whether it is one of Tables 6 to 17."""
        return self.number in breakdowns.TABLES

    @property
    def title(self) -> str:
        """Short title of one of Tables 6 to 17."""
        breakdown = breakdowns.TABLES[self.number]
        return f"Table {self.number}: {breakdown.title}, {size_label(breakdown.size)}"

    @property
    def ran(self) -> bool:
        """Whether any cell of ours has something in it."""
        return any(not cell.missing for row in self.ours.rows for cell in row.cells)

    @property
    def comparison(self) -> tuple[str, ...]:
        """How both sides were compared, and what was left out."""
        return differences.notes(self.compared, self.ours, self.published)

    @functools.cached_property
    def grids(self) -> tuple[Grid, ...]:
        """The table as the paper lays it out, in blocks of columns."""
        count = self.own_columns
        total = len(self.ours.columns)
        blocks = self.ours.with_columns(range(count)).blocks()
        if total > count:
            rest = self.ours.with_columns(range(count, total))
            caption = f"Table {self.number}: the paper's tasks, none of which was run"
            blocks = [*blocks, *dataclasses.replace(rest, caption=caption).blocks()]
        printed = {
            (row.labels, column.key): cell
            for row, column, cell in self.published.all_cells()
            if not cell.missing
        }
        compared: dict[tuple[tuple[str, ...], str], list[Compared]] = {}
        for one in self.compared:
            compared.setdefault((one.place.labels, one.place.column), []).append(one)

        def beside(row: Row, columns: tuple[Column, ...]) -> GridRow:
            keys = [(row.labels, column.key) for column in columns]
            return GridRow(
                row.labels,
                tuple(
                    GridCell(self.ids[key], ours, printed.get(key), tuple(compared.get(key, ())))
                    for key, ours in zip(keys, row.cells, strict=True)
                ),
            )

        return tuple(
            Grid(
                block.caption,
                block.columns,
                tuple(
                    tuple(beside(row, block.columns) for row in section)
                    for section in block.sections()
                ),
            )
            for block in blocks
        )

    @functools.cached_property
    def ids(self) -> dict[tuple[tuple[str, ...], str], str]:
        """The id of every cell, by its row's labels and its column's key."""
        return {
            (row.labels, column.key): f"{self.number}-{at}-{position}"
            for at, row in enumerate(self.ours.rows)
            for position, column in enumerate(self.ours.columns)
        }

    @property
    def numbers(self) -> tuple[Compared, ...]:
        """Every number, the paper's first and then those that only we have."""
        return (*self.compared, *differences.beyond(self.ours, self.published))

    @property
    def places(self) -> dict[str, tuple[Place, Place | None]]:
        """Every cell's place in our table and in the paper's, where it prints one, by id."""
        theirs = {place.key: place for place in places_of(self.published)}
        return {
            self.ids[place.key]: (place, theirs.get(place.key)) for place in places_of(self.ours)
        }


def pair(ours: Table) -> PairedTable:
    """A table of measured records beside the paper's."""
    paper = tables.get(ours.number).compute(published.load(ours.number))
    own = {column.key for column in ours.columns}
    further = tuple(c for c in paper.columns if c.compared and c.key not in own)
    whole = dataclasses.replace(
        ours,
        columns=ours.columns + further,
        rows=tuple(
            dataclasses.replace(row, cells=row.cells + (MISSING,) * len(further))
            for row in ours.rows
        ),
    )
    return PairedTable(whole, paper, len(ours.columns), differences.judge(ours, paper))
