"""Reader of CSV files: comma-separated, UTF-8 with or without a byte-order mark, with a header.

Other files that spreadsheets and pandas write are refused with an error that names the cause: other
separators or encodings, a first line ``sep=,``, an index as first column.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from spactor.errors import UserError


@dataclass(frozen=True)
class CsvTable:
    """A header, the rows below it, and the line number at which each row ends."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def by_name(self) -> Iterable[dict[str, str]]:
        """Returns each row as a mapping from column names."""
        return (dict(zip(self.header, row, strict=True)) for row in self.rows)


def read(path: Path, needed: Iterable[str] = ()) -> CsvTable:
    """Reads a file; empty lines are skipped.

    Args:
      path: path of the file.
      needed: required columns.

    Raises:
      UserError: the file is not valid CSV, lacks a column, or has a row with another number of
        fields than the header.
    """
    listed: list[tuple[str, ...]] = []
    lines: list[int] = []
    try:
        content = path.read_bytes()
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise UserError(f"{path}: encoded in UTF-16; export it as CSV in UTF-8")
        text = content.decode("utf-8-sig")
        _check_separator(path, text.partition("\n")[0].rstrip("\r"))
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = tuple(next(reader, []))
        for fields in reader:
            if fields:
                listed.append(tuple(fields))
                lines.append(reader.line_num)
    except (UnicodeError, csv.Error, OSError) as error:
        raise UserError(f"{path}: not a CSV file in UTF-8 ({error}); export it again") from error
    _check_header(path, header)
    for number, row in enumerate(listed, start=1):
        if len(row) != len(header):
            raise UserError(
                f"{path}: row {number} has {len(row)} fields and the header {len(header)}; fix it"
            )
    if twice := [name for name in header if header.count(name) > 1]:
        raise UserError(f"{path}: column {twice[0]!r} is duplicated; delete one of them")
    if absent := [name for name in needed if name not in header]:
        raise UserError(f"{path}: column {absent[0]!r} is missing; add it")
    return CsvTable(header, tuple(listed), tuple(lines))


def _check_separator(path: Path, line: str) -> None:
    """Checks that the first line is separated by commas and no ``sep=`` line."""
    if line.lower().startswith("sep="):
        more = "" if line.endswith(",") else ", and export the table with commas"
        raise UserError(f"{path}: the first line {line!r} is for Excel alone; delete it{more}")
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
        if separator in line and "," not in line:
            raise UserError(f"{path}: columns are separated by {name}; export it with commas")


def _check_header(path: Path, header: tuple[str, ...]) -> None:
    """Checks that every column has a name, and that the first column is no index."""
    first = header[0] if header else ""
    if first.startswith("\ufeff"):
        raise UserError(f"{path}: begins with two byte-order marks; export it again")
    if len(header) > 1 and (first == "" or re.fullmatch(r"Unnamed: 0(\.[0-9]+)?", first)):
        raise UserError(
            f"{path}: the first column ({first!r}) is an index; write the table without it "
            "(pandas: index=False, R: row.names=FALSE)"
        )
    if "" in header:
        raise UserError(f"{path}: column {header.index('') + 1} has no name; name or delete it")
