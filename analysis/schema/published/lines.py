"""Where a published number stands in this repository: file and line."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.schema import csv_files
from spactor.errors import UserError

_FOLDER = Path(__file__).parent
_KEY = ("size", "tau", "checkpoint", "suite", "task", "metric")


def line_of(record: Any) -> tuple[str, int]:
    """File, relative to the repository, and line of a published record.

    Args:
      record: a named tuple of records' columns, from ``published.load`` or ``load_all``.

    Raises:
      UserError: no file of the published numbers holds it.

    >>> from analysis.schema import published
    >>> line_of(next(published.load(2).itertuples()))
    ('analysis/schema/published/table2.csv', 2)
    """
    name = f"{str(record.place).lower().replace(' ', '')}.csv"
    if str(record.place).startswith("Appendix"):
        name = "finetuning.csv"
    key = tuple(
        "" if pd.isna(getattr(record, part)) else str(getattr(record, part)) for part in _KEY
    )
    if not (_FOLDER / name).is_file() or key not in _kept(name):
        raise UserError(
            f"no file in analysis/schema/published holds {record.metric} of "
            f"{record.place or 'no place'}; "
            "explain a record that `published.load` gave"
        )
    return f"analysis/schema/published/{name}", _kept(name)[key]


@functools.cache
def _kept(name: str) -> dict[tuple[str, ...], int]:
    return numbered(_FOLDER / name)


def numbered(path: Path) -> dict[tuple[str, ...], int]:
    """Lines of a file of published numbers by what they are of.

    Raises:
      UserError: no CSV file, or a column is missing.
    """
    table = csv_files.read(path, _KEY)
    named = (tuple(row[part] for part in _KEY) for row in table.by_name())
    return dict(zip(named, table.lines, strict=True))
