"""The numbers the paper printed, as records: facts, transcribed cell by cell.

One CSV a table: ``table2.csv`` and ``table4.csv`` hold the suite averages (mean, standard
deviation, number of runs, bold as printed) and the FLOPs column; ``table3.csv`` the efficiency of
the two stages, its FLOPs in FLOPs (the paper prints GFLOPs as a mantissa of ``decimals`` digits
times ten thousand); ``table6.csv`` to ``table17.csv`` the medians of every task; ``table1.csv``
and ``table5.csv`` facts and settings; ``finetuning.csv`` those of Appendix A.2; ``prose.csv`` the
numbers that only the text states (``prose/…``, ``trend/…``), each with its section. ``tasks.csv``
names the tasks and the sizes of their public evaluation sets, which the paper does not print.

Numbers are as printed; ``decimals`` is how many decimals a value has. Where the text of
the paper is damaged, the record has a note.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.schema import csv_files, records
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
"""Where the paper prints the numbers of a file, if no column tells."""
_FILES = {place: name for name, place in _PLACES.items() if place}
_KEY = ("size", "tau", "checkpoint", "suite", "task", "metric")


def load(table: int) -> pd.DataFrame:
    """Records of one published table (source "published", profile "paper").

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
    """The fine-tuning settings of Appendix A.2: ``finetuning/default/…`` and ``finetuning/flan/…``.

    >>> frame = load_finetuning().set_index("metric")
    >>> float(frame.loc["finetuning/flan/learning_rate", "value"])
    0.0005
    """
    return _by_file()["finetuning.csv"].copy()


def load_prose() -> pd.DataFrame:
    """Numbers stated in the text: ``prose/…`` and ``trend/…``; ``place`` is the section.

    >>> frame = load_prose().set_index("metric")
    >>> float(frame.loc["trend/slope", "value"]), frame.loc["trend/slope", "place"]
    (-6.9e-05, 'Appendix B')
    """
    return _by_file()["prose.csv"].copy()


def load_all() -> pd.DataFrame:
    """Every published record there is."""
    return pd.concat(_by_file().values(), ignore_index=True)


@functools.cache
def _by_file() -> Mapping[str, pd.DataFrame]:
    """The records of every file, checked together: that takes as long as checking one file."""
    rows = {name: list(_rows(_FOLDER / name, place)) for name, place in _PLACES.items()}
    names = [name for name, own in rows.items() for _ in own]
    try:
        together = records.from_rows(itertools.chain.from_iterable(rows.values()), str(_FOLDER))
    except UserError:
        for name, place in _PLACES.items():
            read(_FOLDER / name, place)  # Its error names the file.
        raise
    return {
        str(name): own.reset_index(drop=True)
        for name, own in together.groupby(np.array(names), sort=False)
    }


def _rows(path: Path, place: str) -> Iterator[dict[str, str]]:
    fixed = {"source": "published", "profile": "paper"}
    return ({"place": place, **row, **fixed} for row in csv_files.read(path).by_name())


def read(path: Path, place: str) -> pd.DataFrame:
    """Records of a file of published numbers.

    Args:
      path: of the file.
      place: where the paper prints them, if there is no such column.

    Raises:
      UserError: no CSV file, or its rows are no valid records.
    """
    return records.from_rows(_rows(path, place), str(path))


def line_of(record: Any) -> tuple[str, int]:
    """File, relative to the repository, and line of a published record.

    Args:
      record: a named tuple of records' columns, from ``load`` or ``load_all``.

    Raises:
      UserError: no file of the published numbers holds it.

    >>> line_of(next(load(2).itertuples()))
    ('analysis/schema/published/table2.csv', 2)
    """
    name = _FILES.get(record.place, "")
    values = (getattr(record, column) for column in _KEY)
    key = tuple("" if value is pd.NA else str(value) for value in values)
    lines = _lines(name) if name else {}
    if key not in lines:
        raise UserError(
            f"no file in analysis/schema/published holds {record.metric} of "
            f"{record.place or 'no place'}; explain a record that `published.load` returned"
        )
    return f"analysis/schema/published/{name}", lines[key]


@functools.cache
def _lines(name: str) -> dict[tuple[str, ...], int]:
    """Lines of a file of published numbers, by the key of their records."""
    table = csv_files.read(_FOLDER / name, _KEY)
    named = (tuple(row[column] for column in _KEY) for row in table.by_name())
    return dict(zip(named, table.lines, strict=True))
