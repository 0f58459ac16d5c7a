"""The numbers the paper printed, as records: facts, transcribed cell by cell.

``table2.csv`` and ``table4.csv`` hold the suite averages (mean, standard deviation, number of
runs, bold as printed) and the FLOPs column; ``table3.csv`` the efficiency of the two stages, its
FLOPs in FLOPs (the paper prints GFLOPs as a mantissa of ``decimals`` digits times ten thousand).
Numbers are kept as printed: a value has as many decimals as ``decimals`` says.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

from repro import records
from spactor.errors import UserError

TABLES = (2, 3, 4)
SUITE_AVERAGE = "average"
RELATIVE_FLOPS = "cost/relative_pretraining_flops"
RELATIVE_SPEED = "timing/relative_seqs_per_second"

_FOLDER = Path(__file__).parent


def load(table: int) -> pd.DataFrame:
    """Records of one published table (source "published", profile "paper").

    Raises:
      UserError: the table is not transcribed.

    >>> frame = load(2)
    >>> row = frame.query("tau == '120K' and checkpoint == 500000 and suite == 'squad'").iloc[0]
    >>> float(row.value), float(row["std"]), bool(row.bold)
    (88.93, 0.11, True)
    """
    if table not in TABLES:
        known = ", ".join(map(str, TABLES))
        raise UserError(f"published table {table} is not in the records; there are {known}")
    path = _FOLDER / f"table{table}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = [
            {**row, "source": "published", "profile": "paper", "note": f"Table {table}"}
            for row in csv.DictReader(file)
        ]
    return records.from_rows(rows, str(path))


def load_all() -> pd.DataFrame:
    """Records of every published table there is."""
    return records.combine(*(load(table) for table in TABLES))
