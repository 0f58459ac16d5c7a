"""Tables, rows, columns and cells; ``analysis.rounding`` rounds the numbers."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from analysis.rounding import Style, rounded
from analysis.schema.facts import NOT_RUN

NOTHING = "–"
"""Text of a cell that can't have a number, such as the p-value of a number without a test."""
DIVERGED = "diverged"
ILLEGIBLE = "illegible"
"""Text of a cell with a published number that is missing in the paper's text."""
BLOCK_COLUMNS = 8
"""Columns of one block of a wide table, as in the paper."""

Statistic = Literal["mean", "median", "exact"]
"""Kind of a number: a statistic over runs, or exact if it is counted or set."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
      key: name in CSV and JSON.
      heading: printed heading.
      is_text: whether the cells are text, which is aligned left, and not numbers.
      compared: whether the cells are compared with the paper's.
      spread: whether CSV of a flat table has columns for standard deviation and runs.
      detail: whether to leave the column out of text that would be too wide with it.
    """

    key: str
    heading: str
    is_text: bool = False
    compared: bool = True
    spread: bool = False
    detail: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell of a table: an unrounded number, several numbers, or a label.

    Attributes:
      value: the number; None if there is none.
      std: standard deviation over ``runs``; None if there is none.
      runs: number of runs; None if unknown.
      decimals: number of decimals of ``value`` and ``std``; for a fraction in per cent, those of
        the fraction.
      bold: whether the number is marked as higher than the baseline.
      style: format of the number, see ``analysis.rounding``.
      label: text printed instead of a number, such as a setting.
      name: metric of a part.
      parts: numbers in the same cell, such as F1 and accuracy, printed without standard deviations.
      pattern: format of the parts with one {} for each; if "" they are separated by slashes.
      note: remark for a footnote.
      statistic: kind of the number.
    """

    value: float | None = None
    std: float | None = None
    runs: int | None = None
    decimals: int = 2
    bold: bool = False
    style: Style = "plain"
    label: str = ""
    name: str = ""
    parts: tuple[Cell, ...] = ()
    pattern: str = ""
    note: str = ""
    statistic: Statistic = "mean"

    @property
    def missing(self) -> bool:
        """Whether the cell is empty because nothing was run."""
        return self.value is None and not self.label and all(part.missing for part in self.parts)

    @property
    def numbers(self) -> tuple[Cell, ...]:
        """The parts; the cell itself if it has no parts."""
        return self.parts or (self,)

    @property
    def mean_text(self) -> str:
        """Printed text of the cell, without standard deviation."""
        if self.missing:
            return NOT_RUN
        if self.parts:
            pattern = self.pattern or " / ".join(["{}"] * len(self.parts))
            return pattern.format(*(part.mean_text for part in self.parts))
        if self.value is None:
            return self.label
        return rounded(self.value, self.decimals, self.style)

    @property
    def std_text(self) -> str:
        """Printed standard deviation; "" if there is none."""
        return "" if self.std is None or self.parts else rounded(self.std, self.decimals)

    def text(self, strong: Callable[[str], str] = lambda mean: mean) -> str:
        """Formats the whole cell.

        Args:
          strong: function that marks the text of a bold mean.

        >>> Cell(86.464, 0.17, bold=True).text(lambda mean: f"**{mean}**")
        '**86.46** ± 0.17'
        >>> Cell(parts=(Cell(88.22), Cell(88.11))).text(), Cell().text()
        ('88.22 / 88.11', 'not run')
        """
        mean = strong(self.mean_text) if self.bold else self.mean_text
        return f"{mean} ± {self.std_text}" if self.std_text else mean


MISSING = Cell()


@dataclass(frozen=True)
class Row:
    """Labels and cells of a row; rules separate rows of different ``section``."""

    labels: tuple[str, ...]
    cells: tuple[Cell, ...]
    section: str = ""


@dataclass(frozen=True)
class Table:
    """A computed table.

    Attributes:
      number: number of the table in the paper.
      source, profile: source and profile of the records; "" without records.
      caption: one paragraph.
      label_columns, columns: columns of the rows' labels and cells.
      rows: rows in print order.
      footnotes: footnotes of one or two sentences.
      details: items that a footnote counts, printed on request.
      block_columns: largest number of columns in a block; a wider table is split into blocks.
      flat: whether a row is one observation, so that CSV has a line for each row, not each number.
    """

    number: int
    source: str
    profile: str
    caption: str
    label_columns: tuple[Column, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    footnotes: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    block_columns: int | None = None
    flat: bool = False

    def detailed(self) -> Table:
        """Returns the table with its details among the footnotes."""
        return dataclasses.replace(self, footnotes=(*self.footnotes, *self.details), details=())

    def all_cells(self) -> Iterator[tuple[Row, Column, Cell]]:
        """Yields every cell with its row and column, row by row."""
        for row in self.rows:
            for column, cell in zip(self.columns, row.cells, strict=True):
                yield row, column, cell

    def with_columns(self, positions: Iterable[int]) -> Table:
        """Returns the table with only the columns at some positions."""
        chosen = tuple(positions)
        return dataclasses.replace(
            self,
            columns=tuple(self.columns[at] for at in chosen),
            rows=tuple(
                dataclasses.replace(row, cells=tuple(row.cells[at] for at in chosen))
                for row in self.rows
            ),
        )

    def sections(self) -> list[list[Row]]:
        """Groups successive rows of the same ``section``."""
        groups = itertools.groupby(self.rows, key=lambda row: row.section)
        return [list(rows) for _, rows in groups]

    def blocks(self) -> list[Table]:
        """Splits the table by columns into tables with the same labels and their own captions."""
        total = len(self.columns)
        width = self.block_columns or total
        if total <= width:
            return [self]
        found = []
        for start in range(0, total, width):
            last = min(start + width, total)
            which = f"columns {start + 1} to {last}" if last > start + 1 else f"column {last}"
            continued = f"Table {self.number}, continued: {which} of {total}"
            block = dataclasses.replace(
                self.with_columns(range(start, last)),
                caption=continued if start else self.caption,
                block_columns=None,
            )
            found.append(block)
        return found
