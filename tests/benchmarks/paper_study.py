"""Writes made-up records of a study as large as the paper's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imitation  # type: ignore[import-not-found]
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.schema import records

RECORDS = 10_000_000
RUNS = 8
EVALUATIONS = 32
"""Of a fine-tuning run in the profile ``paper``; each is a record for every metric."""
PAPER_STEPS = 1_000_000
LOGGED = (
    *(f"train/{name}" for name in ("generator_loss", "grad_norm", "loss", "rtd_loss", "sc_loss")),
    *("validation/mlm_accuracy", "validation/rtd_recall", "validation/sc_loss_clean"),
)


def _table(frame: pd.DataFrame) -> pa.Table:
    table = pa.Table.from_pandas(frame, schema=records.SCHEMA, preserve_index=False)
    return table.replace_schema_metadata(None)


def _with(table: pa.Table, **columns: Any) -> pa.Table:
    """The table with other values in some columns."""
    for name, values in columns.items():
        at = records.SCHEMA.get_field_index(name)
        field = records.SCHEMA.field(at)
        table = table.set_column(at, field, pa.array(values, field.type))
    return table


def pieces(count: int) -> Iterator[pa.Table]:
    """Tables of at least ``count`` records in all: the evaluations and the log of each model.

    Scores rise with the steps of fine-tuning, so that every rule selects the last.
    """
    study = imitation.study(runs=RUNS)
    scored = study["task"] != ""
    yield _table(study[~scored])
    models = list(study[scored].groupby(["size", "tau", "seed"]))
    of_model = (count - EVALUATIONS * int(scored.sum())) // len(models)
    logged = of_model // len(LOGGED) + 1
    random = np.random.default_rng(0)
    for (size, tau, seed), own in models:
        last = _table(own)
        yield pa.concat_tables(
            _with(
                last,
                step=np.full(len(own), 8192 * n),
                value=own["value"].to_numpy() * (0.9 + 0.1 * n / EVALUATIONS),
            )
            for n in range(1, EVALUATIONS + 1)
        )
        at = {"source": "measured", "profile": "paper", "size": size, "tau": tau, "seed": seed}
        rows = [{**at, "metric": name, "step": 1, "value": 0.5} for name in LOGGED]
        steps = np.repeat(np.linspace(1, PAPER_STEPS, logged).astype(int), len(LOGGED))
        yield _with(
            _table(records.from_rows(rows)).take(np.tile(np.arange(len(LOGGED)), logged)),
            step=steps,
            paper_step=steps,
            value=random.uniform(size=len(steps)),
        )


def write(path: Path, count: int = RECORDS) -> int:
    """Writes the records, piece by piece, and returns how many they are."""
    written = 0
    with pq.ParquetWriter(path, records.SCHEMA, compression=records.COMPRESSION) as writer:
        for piece in pieces(count):
            writer.write_table(piece, records.GROUP_ROWS)
            written += len(piece)
    return written
