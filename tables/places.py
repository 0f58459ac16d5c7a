"""Search for a cell of a table by the names of its row and column, and for its records.

Case, punctuation, "τ =" and the order of labels do not matter. A name that fits several rows or
columns is an error that lists them; a name that fits none is an error that lists all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

import tables
from analysis.schema.facts import SIZES, SUITES
from analysis.schema.published import RELATIVE_FLOPS
from spactor.errors import UserError
from tables.cells import Cell, Column, Row, Table

_FILLERS = {"τ", "tau", "ckpt", "checkpoint", "steps", "size", "row"}
_ALIASES = {"inf": "∞", "infinity": "∞", "1000k": "1m"}
_STAGES = {"baseline": "span_corruption"}


@dataclass(frozen=True)
class Place:
    """A cell of a computed table with its place.

    Attributes:
      table: the table.
      row, column: row and column of the cell.
      cell: content of the cell.
      position: index of the row, from 0.
      default_size: size of the model, if the row has no label for it.
    """

    table: Table
    row: Row
    column: Column
    cell: Cell
    position: int
    default_size: str

    @property
    def key(self) -> tuple[tuple[str, ...], str]:
        """Labels of the row, and key of the column."""
        return self.row.labels, self.column.key

    @property
    def title(self) -> str:
        """Title of the cell: table, labels and heading."""
        labels = [
            f"{column.heading} {label}" if column.key in ("tau", "checkpoint") else label
            for column, label in zip(self.table.label_columns, self.row.labels, strict=True)
        ]
        return ", ".join([f"Table {self.table.number}", *labels, self.column.heading])

    def label(self, key: str) -> str:
        """Returns the row's label in the column with a key; "" if the table has no such column."""
        for column, label in zip(self.table.label_columns, self.row.labels, strict=True):
            if column.key == key:
                return label
        return ""

    @property
    def size(self) -> str:
        """Size of the model; "" for a cell without a model."""
        if self.column.key in SIZES:
            return self.column.key
        return self.label("size").casefold() or self.default_size

    @property
    def tau(self) -> str:
        """τ as in records; "" for a cell without τ."""
        return self.label("tau").replace("∞", "inf")

    @property
    def checkpoint(self) -> int:
        """Pre-training steps on the paper's scale; 0 for a cell without a checkpoint."""
        label = self.label("checkpoint") or "0"
        unit = {"K": 1_000, "M": 1_000_000}.get(label[-1], 1)
        return int(label.rstrip("KM")) * unit

    @property
    def stage(self) -> str:
        """Stage of pre-training of a cell of Table 3; "" for other tables."""
        label = self.label("experiment")
        return _STAGES.get(label.casefold(), "hybrid") if label else ""

    @property
    def suite(self) -> str:
        """Suite of a score; "" for other cells."""
        suite = self.column.key.partition("/")[0]
        return suite if suite in SUITES and self.tau else ""

    @property
    def task(self) -> str:
        """Task of a breakdown cell; "" for other cells."""
        return self.column.key.partition("/")[2] if self.suite else ""


def places_of(table: Table) -> list[Place]:
    """Returns every cell of a table, row by row."""
    requires = tables.get(table.number).requires
    size = requires[0].size if requires else ""
    width = len(table.columns)
    return [
        Place(table, row, column, cell, at // width, size)
        for at, (row, column, cell) in enumerate(table.all_cells())
    ]


def find(table: Table, row: str, column: str) -> Place:
    """Finds the cell of a named row and column.

    Args:
      table: a computed table.
      row: labels of the row, or enough of them: "120K 500K", "τ = 120K, 500K", "Baseline".
      column: heading or key, or an unambiguous part of it: "SQuAD", "world religions".

    Raises:
      UserError: no row or column fits, or several do; the message lists them.
    """
    places = places_of(table)
    size = places[0].default_size if places else ""
    at = _find_row(table, row, size) * len(table.columns) + _find_column(table, column)
    return places[at]


def printed_records(place: Place, records: pd.DataFrame) -> pd.DataFrame:
    """Selects the published records of a cell that has no score."""
    frame = records[records["place"] == f"Table {place.table.number}"]
    if place.tau:
        checkpoint = frame["checkpoint"].eq(place.checkpoint).fillna(False)
        frame = frame[(frame["size"] == place.size) & (frame["tau"] == place.tau) & checkpoint]
        return frame[frame["metric"] == RELATIVE_FLOPS]
    if place.stage:
        kind = "timing/" if "seqs" in place.column.key else "cost/step_flops/"
        starts = frame["metric"].str.startswith(kind)
        stages = frame["metric"].str.endswith(f"/{place.stage}")
        return frame[(frame["size"] == place.size) & starts & stages]
    return setting_records(place, frame)


def setting_records(place: Place, frame: pd.DataFrame) -> pd.DataFrame:
    """Selects settings by the names of a cell's parts, or facts by the row's position."""
    names = [part.name for part in place.cell.parts if part.name]
    if names:
        wanted = [f"setting/{name}" for name in names]
        return frame[(frame["size"] == place.size) & frame["metric"].isin(wanted)]
    groups = list(dict.fromkeys(metric.rpartition("/")[0] for metric in frame["metric"]))
    if place.position >= len(groups):
        return frame.iloc[:0]
    return frame[frame["metric"] == f"{groups[place.position]}/{place.column.key}"]


def _tokens(text: str) -> list[str]:
    words = [word.strip(".") for word in re.findall(r"[\w∞.&-]+", text.casefold())]
    return [_step(_ALIASES.get(word, word)) for word in words if word and word not in _FILLERS]


def _step(word: str) -> str:
    """Writes a number of steps as tables do, such as 500000 as 500k."""
    for zeros, unit in (("000000", "m"), ("000", "k")):
        if word.isdecimal() and word.endswith(zeros) and word != zeros:
            return word.removesuffix(zeros) + unit
    return word


def _find_row(table: Table, wanted: str, size: str) -> int:
    names = [" ".join(row.labels) for row in table.rows]
    labels = [_tokens(name) for name in names]
    implied = {size} - {word for own in labels for word in own}
    words = [word for word in _tokens(wanted) if word not in implied]
    whole = [sorted(own) == sorted(words) for own in labels]
    partly = [bool(words) and set(words) <= set(own) for own in labels]
    return _only_fit(table, f"row {wanted!r}", names, whole if any(whole) else partly)


def _find_column(table: Table, wanted: str) -> int:
    def plain(text: str) -> str:
        return "".join(sign for sign in text.casefold() if sign.isalnum())

    word = plain(wanted)
    names = [
        {plain(name) for name in (column.key, column.heading, column.key.rpartition("/")[2])}
        for column in table.columns
    ]
    whole = [word in own for own in names]
    partly = [bool(word) and any(word in name for name in own) for own in names]
    headings = [column.heading for column in table.columns]
    return _only_fit(table, f"column {wanted!r}", headings, whole if any(whole) else partly)


def _only_fit(table: Table, what: str, names: Sequence[str], fits: Sequence[bool]) -> int:
    """Returns the position of the only name that fits; raises ``UserError`` for none or several."""
    found = [at for at, fit in enumerate(fits) if fit]
    if len(found) == 1:
        return found[0]
    listed = "; ".join(names[at] for at in found or range(len(names)))
    if found:
        raise UserError(
            f"{what} of table {table.number} could be any of {listed}; name one of them"
        )
    raise UserError(f"there is no {what} in table {table.number}; there are {listed}")
