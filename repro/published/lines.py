"""Where a published number stands in this repository: file and line."""

from __future__ import annotations

import csv
import functools
from pathlib import Path
from typing import Any

import pandas as pd

from spactor.errors import UserError

_FOLDER = Path(__file__).parent
_KEY = ("size", "tau", "checkpoint", "suite", "task", "metric")


def line_of(record: Any) -> tuple[str, int]:
    """File, relative to the repository, and line of a published record.

    Args:
      record: a named tuple of records' columns, from ``published.load`` or ``load_all``.

    Raises:
      UserError: no file of the published numbers holds it.

    >>> from repro import published
    >>> line_of(next(published.load(2).itertuples()))
    ('repro/published/table2.csv', 2)
    """
    name = f"{str(record.place).lower().replace(' ', '')}.csv"
    if str(record.place).startswith("Appendix"):
        name = "finetuning.csv"
    key = tuple(
        "" if pd.isna(getattr(record, part)) else str(getattr(record, part)) for part in _KEY
    )
    if not (_FOLDER / name).is_file() or key not in _lines(name):
        raise UserError(
            f"no file in repro/published holds {record.metric} of {record.place or 'no place'}; "
            "explain a record that `published.load` gave"
        )
    return f"repro/published/{name}", _lines(name)[key]


@functools.cache
def _lines(name: str) -> dict[tuple[str, ...], int]:
    with (_FOLDER / name).open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        return {tuple(row[part] for part in _KEY): rows.line_num for row in rows}
