"""Row filters: reading only the records of a Parquet file that an output needs.

A study of the paper's size has ten million records, but a table needs about ten thousand of them:
the scores that the selection rules chose in each fine-tuning run, and the costs. Tables, figures
and analyses declare a PyArrow expression as ``reads``, made of ``of_metrics`` and ``SCORES``.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs

from analysis.schema.facts import SELECTIONS

RUN_COLUMNS = ("size", "tau", "checkpoint", "suite", "variant", "seed", "finetune_seed")
"""Columns that identify a fine-tuning run."""
SCORES: pc.Expression = pc.field("suite") > ""
"""Filter of suite scores; ``read`` drops evaluations of a run from which every rule selected."""
_ORIGIN = ("source", "profile")
_AFTER_SLASH = chr(ord("/") + 1)


def of_metrics(*names: str) -> pc.Expression:
    """Returns a filter of records by metric, which Parquet's statistics can evaluate.

    Args:
      names: names of metrics, or prefixes that end in "/".
    """
    metric = pc.field("metric")
    return _any(
        (metric >= name) & (metric < name[:-1] + _AFTER_SLASH)
        if name.endswith("/")
        else metric == name
        for name in names
    )


def read(path: Path, wanted: pc.Expression | None) -> pa.Table:
    """Reads rows of a Parquet file, with texts as dictionaries.

    One row of every other source and profile in the file is returned, too, so that an output can
    name the profile of missing numbers and refuse mixed profiles.

    Args:
      path: path of a file with the columns of ``analysis.schema.records.SCHEMA``.
      wanted: filter of rows; None for all rows.
    """
    plain = ds.dataset(path, format="parquet")
    texts = [field.name for field in plain.schema if is_text(field.type)]
    options = ds.ParquetReadOptions(dictionary_columns=texts)
    encoded = ds.ParquetFileFormat(read_options=options)
    if wanted is None:
        return ds.dataset(path, format=encoded).to_table()
    [fragment] = plain.get_fragments()
    local_files = pyarrow.fs.LocalFileSystem()

    def candidates(condition: pc.Expression) -> ds.ParquetFileFragment:
        # Statistics exclude row groups by plain texts only, not by dictionaries.
        groups = [group.id for group in fragment.subset(filter=condition).row_groups]
        return encoded.make_fragment(str(path), local_files, row_groups=groups)

    table = candidates(wanted).to_table(filter=wanted)
    origins = table.select([*RUN_COLUMNS, "selection"]).to_pandas()
    table = table.filter(pa.array(~superseded(origins)))
    while len(other := candidates(rest := ~_of_same_origin(table)).head(1, filter=rest)):
        table = pa.concat_tables([table, other])
    return table


def superseded(frame: pd.DataFrame) -> np.ndarray:
    """Marks the evaluations of runs from which every rule has selected a step."""
    run = frame.groupby([*RUN_COLUMNS], dropna=False, observed=True, sort=False).ngroup()
    superseded = _is_empty(frame["selection"]) & ~_is_empty(frame["suite"])
    for rule in SELECTIONS:
        superseded &= run.isin(run[frame["selection"] == rule])
    return superseded.to_numpy(dtype=bool)


def _of_same_origin(table: pa.Table) -> pc.Expression:
    pairs = table.select(_ORIGIN).to_pandas().drop_duplicates().itertuples(index=False)
    source, profile = map(pc.field, _ORIGIN)
    return _any((source == pair[0]) & (profile == pair[1]) for pair in pairs)


def _any(terms: Iterable[pc.Expression]) -> pc.Expression:
    return functools.reduce(operator.or_, terms, pc.scalar(False))


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is text; pandas writes the large layout."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_empty(texts: pd.Series) -> pd.Series:
    return texts.isna() | (texts == "")
