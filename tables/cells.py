"""What a computed table is made of; ``analysis.rounding`` rounds its numbers."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from analysis.rounding import Style, rounded
from analysis.schema.facts import NOT_RUN

NOTHING = "–"
"""Stands where a cell has no number by its nature, such as the p-value of what was not tested."""
DIVERGED = "diverged"
ILLEGIBLE = "illegible"
"""Stands where the paper prints a number that its text lost."""
BLOCK_COLUMNS = 8
"""Columns of one block of a wide table, as the paper breaks its own."""

Statistic = Literal["mean", "median", "exact"]
"""How a number came about: over runs, or counted, so that nothing about it is left to chance."""


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
      key: its name in CSV.
      heading: its name for people.
      words: it holds words, which begin at the left.
      compared: its cells are compared with the paper's.
      spread: its numbers may have a standard deviation over runs; in a flat table's CSV.
      detail: left out of text that would be too wide with it.
    """

    key: str
    heading: str
    words: bool = False
    compared: bool = True
    spread: bool = False
    detail: bool = False


@dataclass(frozen=True)
class Cell:
    """Content of one place of a table: an unrounded number, several numbers, or words.

    Attributes:
      value: the number; None where there is none.
      std: standard deviation over ``runs``; None where there is none.
      decimals: digits printed after the point, of mean and std alike; of a fraction, also where
        its style prints it as per cent.
      bold: marked as higher than the baseline.
      style: how the number is written.
      words: printed where there is no number, such as a setting.
      name: of a part: its metric.
      parts: numbers that share the cell, such as F1 and accuracy; their spread is not printed.
      pattern: their arrangement, one {} a part; separated by slashes where it is "".
      note: what a reader must know about this cell.
      statistic: how the number came about.
    """

    value: float | None = None
    std: float | None = None
    runs: int | None = None
    decimals: int = 2
    bold: bool = False
    style: Style = "plain"
    words: str = ""
    name: str = ""
    parts: tuple[Cell, ...] = ()
    pattern: str = ""
    note: str = ""
    statistic: Statistic = "mean"

    @property
    def missing(self) -> bool:
        """Whether the place is empty, because nothing was run."""
        return self.value is None and not self.words and all(part.missing for part in self.parts)

    @property
    def numbers(self) -> tuple[Cell, ...]:
        """The parts; the cell itself where it has none."""
        return self.parts or (self,)

    @property
    def mean_text(self) -> str:
        """The cell as printed, without a spread."""
        if self.missing:
            return NOT_RUN
        if self.parts:
            pattern = self.pattern or " / ".join(["{}"] * len(self.parts))
            return pattern.format(*(part.mean_text for part in self.parts))
        if self.value is None:
            return self.words
        return rounded(self.value, self.decimals, self.style)

    @property
    def std_text(self) -> str:
        """The spread as printed; "" where there is none."""
        return "" if self.std is None or self.parts else rounded(self.std, self.decimals)

    def text(self, strong: Callable[[str], str] = lambda mean: mean) -> str:
        """The whole cell; ``strong`` marks the mean where it is bold.

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
    """Labels, then cells; rows of one ``section`` stand together between rules."""

    labels: tuple[str, ...]
    cells: tuple[Cell, ...]
    section: str = ""


@dataclass(frozen=True)
class Table:
    """Everything that is printed of one table.

    Attributes:
      number: as in the paper.
      source, profile: of the records it was computed from; "" where there were none.
      caption: one paragraph.
      label_columns, columns: headings of the rows' labels and cells.
      footnotes: one sentence or two each.
      details: what a footnote counts, line by line; printed on request.
      block_columns: most columns of a block; a wider table is broken into several.
      flat: a row is one observation, so CSV too has one line a row.
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
        """The table with its details among the footnotes."""
        return dataclasses.replace(self, footnotes=(*self.footnotes, *self.details), details=())

    def all_cells(self) -> Iterator[tuple[Row, Column, Cell]]:
        """Every cell with its row and column, row by row."""
        for row in self.rows:
            for column, cell in zip(self.columns, row.cells, strict=True):
                yield row, column, cell

    def with_columns(self, positions: Iterable[int]) -> Table:
        """The table with the columns at these positions alone."""
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
        """The rows, in runs of equal ``section``."""
        groups = itertools.groupby(self.rows, key=lambda row: row.section)
        return [list(rows) for _, rows in groups]

    def blocks(self) -> list[Table]:
        """The table broken by columns, with the labels in each and a caption of its own."""
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
