"""CSV files in UTF-8 whose first line names the columns."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from spactor.errors import UserError


@dataclass(frozen=True)
class CsvTable:
    """A header, the rows below it, and the line of the file at which each row ends."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def by_name(self) -> Iterable[dict[str, str]]:
        """Each row by its columns' names."""
        return (dict(zip(self.header, row, strict=True)) for row in self.rows)


def read(path: Path, needed: Iterable[str] = ()) -> CsvTable:
    """The rows of a file; empty lines are skipped.

    Args:
      path: of the file.
      needed: columns that must be there.

    Raises:
      UserError: it can't be read as CSV, lacks a column, or a row has another number of fields.
    """
    listed: list[tuple[str, ...]] = []
    lines: list[int] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = tuple(next(reader, []))
            for fields in reader:
                if fields:
                    listed.append(tuple(fields))
                    lines.append(reader.line_num)
    except (UnicodeError, csv.Error, OSError) as error:
        raise UserError(f"{path}: not a CSV file in UTF-8 ({error}); export it again") from error
    for number, row in enumerate(listed, start=1):
        if len(row) != len(header):
            raise UserError(
                f"{path}: row {number} has {len(row)} fields and the header {len(header)}; fix it"
            )
    if twice := [name for name in header if header.count(name) > 1]:
        raise UserError(f"{path}: column {twice[0]!r} is there twice; drop one")
    if absent := [name for name in needed if name not in header]:
        raise UserError(f"{path}: column {absent[0]!r} is missing; add it")
    return CsvTable(header, tuple(listed), tuple(lines))
