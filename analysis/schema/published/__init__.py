"""The paper's printed numbers as records, transcribed cell by cell.

There is a CSV file for each table: ``table2.csv`` and ``table4.csv`` have the suite averages (mean,
standard deviation, number of runs, bold as printed) and the FLOPs column; ``table3.csv`` the
efficiency of the two stages, in FLOPs (the paper prints GFLOPs as a mantissa of ``decimals`` digits
times ten thousand); ``table6.csv`` to ``table17.csv`` the medians of every task; ``table1.csv``
facts on the benchmarks and ``table5.csv`` settings; ``finetuning.csv`` the settings of Appendix
A.2; ``prose.csv`` the numbers that only the text states (``prose/…``, ``trend/…``), each with its
section. ``tasks.csv`` lists the tasks and the sizes of their public evaluation sets, which the
paper does not print.

Numbers are as printed; ``decimals`` is the number of decimals of a value. A record has a note if
the paper's text is damaged.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.csv

from analysis.schema import records
from spactor.errors import UserError

TABLES = tuple(range(1, 18))
FINETUNING_PLACE = "Appendix A.2"
RELATIVE_FLOPS = "cost/relative_pretraining_flops"
RELATIVE_SPEED = "timing/relative_seqs_per_second"

_FOLDER = Path(__file__).parent
_PLACES = {
    **{f"table{number}.csv": f"Table {number}" for number in TABLES},
    "finetuning.csv": FINETUNING_PLACE,
    "prose.csv": "",
}
"""Place of a file's numbers in the paper; "" for a file with a column ``place``."""
_FILES = {place: name for name, place in _PLACES.items() if place}
_KEY = ("size", "tau", "checkpoint", "suite", "task", "metric")


def load(table: int) -> pd.DataFrame:
    """Returns the records of one published table (source "published", profile "paper").

    Args:
      table: number of the table, 1 to 17.

    Raises:
      UserError: the paper has no such table.

    >>> frame = load(2)
    >>> row = frame.query("tau == '120K' and checkpoint == 500000 and suite == 'squad'").iloc[0]
    >>> float(row.value), float(row["std"]), bool(row.bold), row.place
    (88.93, 0.11, True, 'Table 2')
    """
    if table not in TABLES:
        raise UserError(f"the paper has no table {table}; it has 1 to {TABLES[-1]}")
    return _by_file()[f"table{table}.csv"].copy()


def load_finetuning() -> pd.DataFrame:
    """Returns the settings of Appendix A.2: ``finetuning/default/…`` and ``finetuning/flan/…``.

    >>> frame = load_finetuning().set_index("metric")
    >>> float(frame.loc["finetuning/flan/learning_rate", "value"])
    0.0005
    """
    return _by_file()["finetuning.csv"].copy()


def load_prose() -> pd.DataFrame:
    """Returns the numbers of the text, ``prose/…`` and ``trend/…``; ``place`` is the section.

    >>> frame = load_prose().set_index("metric")
    >>> float(frame.loc["trend/slope", "value"]), frame.loc["trend/slope", "place"]
    (-6.9e-05, 'Appendix B')
    """
    return _by_file()["prose.csv"].copy()


def load_all() -> pd.DataFrame:
    """Returns all published records."""
    return pd.concat(_by_file().values(), ignore_index=True)


@functools.cache
def _by_file() -> Mapping[str, pd.DataFrame]:
    """Reads the records of all files, with one check for all, which takes as long as for one."""
    rows = {name: _rows(name, place) for name, place in _PLACES.items()}
    names = [name for name, own in rows.items() for _ in own]
    together = records.from_rows(itertools.chain.from_iterable(rows.values()), str(_FOLDER))
    return {
        str(name): own.reset_index(drop=True)
        for name, own in together.groupby(np.array(names), sort=False)
    }


def _rows(name: str, place: str) -> list[dict[str, Any]]:
    """Reads the rows of a file; a file without a column ``place`` has the given one."""
    types = {field.name: field.type for field in records.SCHEMA}
    options = pyarrow.csv.ConvertOptions(column_types=types, null_values=[""])
    table = pyarrow.csv.read_csv(_FOLDER / name, convert_options=options)
    fixed = {"source": "published", "profile": "paper"}
    return [{"place": place, **row, **fixed} for row in table.to_pylist()]


def line_of(record: Any) -> tuple[str, int]:
    """Returns the file, relative to the repository, and the line of a published record.

    Args:
      record: a named tuple of records' columns, from ``load`` or ``load_all``.

    Raises:
      UserError: the record is in no file of the published numbers.

    >>> line_of(next(load(2).itertuples()))
    ('analysis/schema/published/table2.csv', 2)
    """
    name = _FILES.get(record.place, "")
    values = (getattr(record, column) for column in _KEY)
    key = tuple(None if value is pd.NA else value for value in values)
    lines = _lines(name) if name else {}
    if key not in lines:
        raise UserError(
            f"no file in analysis/schema/published holds {record.metric} of "
            f"{record.place or 'no place'}; explain a record that `published.load` returned"
        )
    return f"analysis/schema/published/{name}", lines[key]


@functools.cache
def _lines(name: str) -> dict[tuple[Any, ...], int]:
    """Returns the line numbers of a file of published numbers, by the records' keys."""
    # The first line is the header, and no field has a line break.
    rows = enumerate(_rows(name, ""), start=2)
    return {tuple(row[column] for column in _KEY): line for line, row in rows}
