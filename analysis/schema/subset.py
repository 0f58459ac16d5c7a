"""Which records an output rests on, so that no more of a large file is read.

A study of the paper's size has ten million records, and a table rests on some ten thousand of them:
what a rule selected of each fine-tuning run, and the costs. Tables, figures and analyses declare
theirs as ``reads``.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

RUN_COLUMNS = ("size", "tau", "checkpoint", "suite", "variant", "seed", "finetune_seed")
"""What tells one fine-tuning run from another."""
NO_SCORES, ALL_EVALUATIONS = "", "all"
ORIGIN = ("source", "profile")
_TEXTS = (*ORIGIN, "suite", "metric")
_NAMED = (*RUN_COLUMNS, *_TEXTS, "selection")
"""Columns that a file must have to be read in part."""
_AFTER_SLASH = chr(ord("/") + 1)


@dataclass(frozen=True)
class Subset:
    """Some kinds of records.

    Attributes:
      metrics: exact names, or beginnings that end in "/".
      scores: of the suites' records none, all, or with a rule's name what it selected; and every
        evaluation of a run that it selected nothing of, since it still can.
    """

    metrics: tuple[str, ...] = ()
    scores: str = NO_SCORES

    def __or__(self, other: Subset) -> Subset:
        """The records of either."""
        rules = {self.scores, other.scores} - {NO_SCORES}
        return Subset(
            tuple(dict.fromkeys((*self.metrics, *other.metrics))),
            ALL_EVALUATIONS if len(rules) > 1 else "".join(rules),
        )

    @property
    def expression(self) -> pc.Expression:
        """True of its records, and of evaluations that ``reported`` may find to be superfluous.

        In comparisons alone, which Parquet's statistics can answer for a whole group of rows.
        """
        metric = pc.field("metric")
        terms = [
            (metric >= name) & (metric < name[:-1] + _AFTER_SLASH)
            if name.endswith("/")
            else metric == name
            for name in self.metrics
        ]
        if self.scores != NO_SCORES:
            terms.append(pc.field("suite") > "")
        return functools.reduce(operator.or_, terms, pc.scalar(False))

    def reported(self, table: pa.Table) -> np.ndarray:
        """Which rows are no scores, or selected ones, or of a run that the rule has not seen."""
        if self.scores in (NO_SCORES, ALL_EVALUATIONS):
            return np.ones(len(table), dtype=bool)
        frame = table.select([*RUN_COLUMNS, "selection"]).to_pandas()
        run = frame.groupby([*RUN_COLUMNS], dropna=False, observed=True, sort=False).ngroup()
        chosen = frame["selection"] == self.scores
        open_to_it = _is_empty(frame["selection"]) & ~run.isin(run[chosen])
        return (chosen | open_to_it | _is_empty(frame["suite"])).to_numpy(dtype=bool)


def read(path: Path, subset: Subset | None) -> tuple[pa.Table, np.ndarray]:
    """Rows of a Parquet file, and their positions in it.

    Beside the subset's they are the first of every source and profile that it lacks, so that an
    output knows whose numbers are missing, and profiles that are mixed are noticed.

    Args:
      path: the file.
      subset: None for all; a file without the columns that it takes to choose is read whole, too.

    Returns:
      The rows, texts as dictionaries; and [n] positions, from 0.
    """
    schema = pq.read_schema(path)
    texts = [field.name for field in schema if _is_text(field.type)]
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        if subset is None or not (set(_NAMED) <= set(schema.names) and set(_TEXTS) <= set(texts)):
            table = file.read()
            return table, np.arange(len(table))
        return _part(file, path, subset)


def _part(file: pq.ParquetFile, path: Path, subset: Subset) -> tuple[pa.Table, np.ndarray]:
    [fragment] = ds.dataset(path, format="parquet").get_fragments()
    found = list(_matching(file, fragment, subset.expression))
    tables = [table for table, _ in found] or [file.read_row_groups([])]
    rows = np.concatenate([rows for _, rows in found] or [np.arange(0)])
    table = pa.concat_tables(tables)
    kept = subset.reported(table)
    table, rows = table.filter(pa.array(kept)), rows[kept]
    while (first := next(_matching(file, fragment, ~_of_same_origin(table)), None)) is not None:
        table = pa.concat_tables([table, first[0].slice(0, 1)])
        rows = np.append(rows, first[1][0])
    return table, rows


def _matching(
    file: pq.ParquetFile, fragment: ds.ParquetFileFragment, wanted: pc.Expression
) -> Iterator[tuple[pa.Table, np.ndarray]]:
    """Rows that fit, group by group; a group whose statistics rule them out is not read."""
    sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    starts = np.cumsum([0, *sizes])
    for group in fragment.subset(filter=wanted).row_groups:
        table = file.read_row_group(group.id)
        position = pa.array(np.arange(starts[group.id], starts[group.id + 1]))
        fits = table.append_column("", position).filter(wanted)
        if len(fits):
            yield fits.drop_columns(""), fits[""].to_numpy()


def _of_same_origin(table: pa.Table) -> pc.Expression:
    pairs = table.select(ORIGIN).to_pandas().drop_duplicates().itertuples(index=False)
    source, profile = map(pc.field, ORIGIN)
    terms = [(source == pair[0]) & (profile == pair[1]) for pair in pairs]
    return functools.reduce(operator.or_, terms, pc.scalar(False))


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_empty(texts: pd.Series) -> pd.Series:
    return texts.isna() | (texts == "")
