"""Records: the schema of measured and published numbers, and functions to validate, read and write.

A record is one number with everything that identifies it, one row of a long-form table.
Rows are unique in ``KEY_COLUMNS``. Records are stored as Parquet files with exactly ``SCHEMA``.

Columns that each kind of record fills:

    kind             size tau seed finetune_seed checkpoint step paper_step suite task metric
    series            x    x   x        –            –       x       x        ""    ""  validation/…
    score             x    x   x        x            x       x       –        x     x   accuracy …
    published score   x    x   –        –            x       –       –        x     ""  average
    published median  x    x   –        –            x       –       –        x     x   accuracy …
    total cost        x    x   –        –            x       –       –        ""    ""  cost/…
    timing            x    x   x        –            –       x       –        ""    ""  timing/…
    fact on the data  ""   ""  –        –            –       –       –        ""    ""  data/…
    setting           x    ""  –        –            –       –       –        ""    ""  setting/…
    worked example    x    x   x        –            –       –       –        ""    ""  example/…

Every evaluation of a fine-tuning run is a score record without a ``selection``. The reported scores
are repeated with the name of the rule that selected their step: ``best_average``, the step with the
highest average of the suite's metrics over all its tasks (the earliest of equals), or ``last``. A
classification also has ``invalid_rate``, the share of answers that are no label, and
``predicted_classes``, the number of different answers, which is 1 if the run collapsed; MNLI has
both for each of its two sets.

A setting that is no number has its ``text`` and no ``value``; the steps of Figure 1's worked
example have JSON lists as text. Runs that diverged have ``diverged/<suite>`` instead of scores,
with the place of the divergence as text. A published score of a task is the median over ``runs``
runs and has no seed. ``place`` is the place of a number in the paper, such as "Table 6"; a cell
that is missing in the paper's text has neither value nor text, but a ``note``. ``variant`` names a
change to the profile's pre-training; it is "" for the published experiments.
"""

from __future__ import annotations

import io
import itertools
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.schema import quantities, rows
from analysis.schema.facts import SELECTIONS, SIZES, SUITES, TAUS
from spactor import files
from spactor.errors import UserError

SOURCES = ("measured", "published")
EXAMPLE = "example/"
"""Prefix of the metrics of a worked example."""
DIVERGED = "diverged/"
"""Prefix of the metric that replaces a suite's scores if a loss or gradient was not finite."""

SCHEMA = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("profile", pa.string()),
        pa.field("size", pa.string()),
        pa.field("tau", pa.string()),
        pa.field("variant", pa.string()),
        pa.field("seed", pa.int64()),
        pa.field("finetune_seed", pa.int64()),
        pa.field("checkpoint", pa.int64()),
        pa.field("step", pa.int64()),
        pa.field("paper_step", pa.int64()),
        pa.field("suite", pa.string()),
        pa.field("task", pa.string()),
        pa.field("metric", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("unit", pa.string()),
        pa.field("text", pa.string()),
        pa.field("std", pa.float64()),
        pa.field("runs", pa.int64()),
        pa.field("decimals", pa.int64()),
        pa.field("bold", pa.bool_()),
        pa.field("selection", pa.string()),
        pa.field("node", pa.string()),
        pa.field("fingerprint", pa.string()),
        pa.field("place", pa.string()),
        pa.field("note", pa.string()),
    ]
)
COLUMNS: tuple[str, ...] = tuple(SCHEMA.names)
KEY_COLUMNS: tuple[str, ...] = (*COLUMNS[: COLUMNS.index("value")], "selection")

_ALLOWED = {
    "source": SOURCES,
    "size": (*SIZES, ""),
    "tau": (*TAUS, ""),
    "suite": (*SUITES, ""),
    "selection": (*SELECTIONS, ""),
}
_NAMES = {"profile": re.compile(r"[A-Za-z0-9._-]+"), "metric": re.compile(r"\S(.*\S)?")}
_LARGEST = {pa.int64(): 2**53, pa.float64(): sys.float_info.max}
"""Largest valid number by type; every integer up to 2^53 is a floating-point number, too."""
_MOST_ROWS = 20_000_000
"""Largest number of rows in a file; a study of the paper's size has ten million."""
COMPRESSION = "zstd"
GROUP_ROWS = 2**16
"""Rows in a row group of a Parquet file; a filter reads or skips a whole group."""


def empty() -> pd.DataFrame:
    """Returns a table without records, with every column in its type."""
    return _to_pandas(SCHEMA.empty_table())


def from_rows(rows: Iterable[Mapping[str, object]], where: str = "rows") -> pd.DataFrame:
    """Creates records from mappings; missing keys become "" or null.

    Args:
      rows: mappings with at least ``source``, ``profile``, ``metric`` and ``value``.
      where: name of the source in error messages.

    Raises:
      UserError: a key is no column, a value has another type, or see :func:`validate`.

    >>> frame = from_rows([{"source": "measured", "profile": "micro", "metric": "m", "value": 1}])
    >>> frame.loc[0, "value"], frame.loc[0, "suite"], frame.loc[0, "seed"]
    (np.float64(1.0), '', <NA>)
    """
    listed = list(rows)
    for name in dict.fromkeys(itertools.chain.from_iterable(listed)):
        if name not in COLUMNS:
            raise UserError(f"{where}: unknown column {name!r}; known: {', '.join(COLUMNS)}")
    columns = []
    for field in SCHEMA:
        try:
            columns.append(pa.array([row.get(field.name) for row in listed], field.type))
        except (pa.ArrowException, ValueError, OverflowError) as error:
            raise UserError(f"{where}: column {field.name!r}: {error}") from None
    return validate(_to_pandas(pa.table(columns, schema=SCHEMA)), where)


def validate(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """Checks the values of records, and returns them with the units that are missing.

    Args:
      frame: a table with the columns and types of the schema; it is not changed.
      where: the file's name in error messages.

    Raises:
      UserError: a value is not valid; the message has one line with ``where``, the row (counted
        from 1) and the column.
    """
    checked = frame.reset_index(drop=True)
    _check_texts(checked, where)
    _check_numbers(checked, where)
    duplicated = checked.duplicated(subset=list(KEY_COLUMNS))
    if duplicated.any():
        second = int(np.flatnonzero(duplicated)[0])
        same = checked[list(KEY_COLUMNS)].iloc[: second + 1]
        first = int(np.flatnonzero(same.duplicated(keep="last"))[0])
        raise UserError(
            f"{where}: row {second + 1} repeats the key of row {first + 1} "
            f"(metric {checked['metric'].iloc[second]!r}); delete one of them"
        )
    return quantities.check(checked, where)


def combine(*frames: pd.DataFrame) -> pd.DataFrame:
    """Concatenates tables of records, and validates the result.

    Raises:
      UserError: see :func:`validate`; for example, two tables have a record with the same key.
    """
    filled = [frame for frame in frames if len(frame)]
    return validate(pd.concat(filled, ignore_index=True), "records") if filled else empty()


def sole_profile(frame: pd.DataFrame) -> tuple[str, str]:
    """Returns the only source and profile of records; both are "" if there are no records.

    Raises:
      UserError: the records have several sources or profiles.
    """
    distinct = frame[["source", "profile"]].drop_duplicates()
    pairs = sorted(distinct.itertuples(index=False, name=None))
    if len(pairs) > 1:
        found = ", ".join(f"{source}/{profile}" for source, profile in pairs)
        raise UserError(f"records of several profiles ({found}) in one output; select one of them")
    return pairs[0] if pairs else ("", "")


def read(path: Path | str, wanted: pc.Expression | None = None) -> pd.DataFrame:
    """Reads and validates the records of a Parquet file.

    Args:
      path: path of the file.
      wanted: a row filter, see ``analysis.schema.rows``; None for all records. Other records are
        neither validated nor returned, except one for every source and profile that no wanted
        record has.

    Raises:
      UserError: the file is missing, damaged or of another kind, or its records are not valid.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; `repro collect` writes it")
    frame = _read_parquet(path, wanted)
    try:
        return validate(frame, str(path))
    except UserError:
        if wanted is not None:
            # Validates the whole file, so that the error has the row's number in the file.
            validate(_read_parquet(path, None), str(path))
        raise


def write(frame: pd.DataFrame, path: Path | str) -> None:
    """Writes records as Parquet, atomically; the order of the records does not change the bytes.

    Raises:
      UserError: the records are not valid, or the file can't be written.
    """
    path = Path(path)
    if path.suffix != ".parquet":
        raise UserError(f"{path}: records are written as .parquet; give a name that ends so")
    frame = validate(frame, str(path)).sort_values(list(KEY_COLUMNS), ignore_index=True)
    table = pa.Table.from_pandas(frame, schema=SCHEMA, preserve_index=False)
    buffer = io.BytesIO()
    plain = table.replace_schema_metadata(None)
    pq.write_table(plain, buffer, compression=COMPRESSION, row_group_size=GROUP_ROWS)
    files.write_atomically(path, buffer.getvalue())


def _read_parquet(path: Path, wanted: pc.Expression | None) -> pd.DataFrame:
    try:
        _require_schema(path)
        return _to_pandas(rows.read(path, wanted))
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise UserError(
            f"{path}: not a whole Parquet file of records ({reason}); write it again with "
            "`repro collect`"
        ) from error


def _require_schema(path: Path) -> None:
    """Checks the number of rows and the columns of a file before its rows are read."""
    with pq.ParquetFile(path) as file:
        # A file of some kilobytes can declare more rows than fit in memory.
        if file.metadata.num_rows > _MOST_ROWS:
            raise ValueError(f"{file.metadata.num_rows:,} rows")
        found = file.schema_arrow
    if sorted(found.names) != sorted(COLUMNS):
        odd = sorted(set(found.names) ^ set(COLUMNS)) or ["two columns of one name"]
        raise ValueError(f"other columns than those of records: {', '.join(odd)}")
    for field in SCHEMA:
        kind = found.field(field.name).type
        if kind != field.type and not (rows.is_text(kind) and rows.is_text(field.type)):
            raise ValueError(f"column {field.name!r} has type {kind}, not {field.type}")


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    """Converts a table with the schema's columns; null texts become ""."""
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame = table.select(list(COLUMNS)).to_pandas(types_mapper=nullable.get, ignore_metadata=True)
    texts = {field.name: _texts(frame[field.name]) for field in SCHEMA if rows.is_text(field.type)}
    return frame.assign(**texts)


def _texts(values: pd.Series) -> pd.Series:
    """Converts texts or categories to strings, each distinct one once, since most repeat."""
    places, found = pd.factorize(values)
    # ``factorize`` gives a null the position -1, the last, where "" is.
    strings = pd.array([*np.asarray(found, dtype=object), ""], dtype="string")
    return pd.Series(strings.take(places), index=values.index)


def _check_texts(frame: pd.DataFrame, where: str) -> None:
    for name in (*_ALLOWED, *_NAMES):
        # Few of millions of texts are distinct.
        distinct = frame[name].unique()
        if name in _ALLOWED:
            wrong = [text for text in distinct if text not in _ALLOWED[name]]
            problem = f"give one of {', '.join(map(repr, _ALLOWED[name]))}"
        else:
            wrong = [text for text in distinct if not _NAMES[name].fullmatch(text)]
            problem = "give a name (letters, digits, '.', '_', '-')"
        if wrong:
            _refuse(frame, name, frame[name].isin(wrong), problem, where)


def _check_numbers(frame: pd.DataFrame, where: str) -> None:
    for field in SCHEMA:
        if (largest := _LARGEST.get(field.type)) is None:
            continue
        values = frame[field.name]
        _refuse(frame, field.name, values.abs() > largest, f"give at most {largest:g}", where)
        if field.name != "value":
            _refuse(frame, field.name, values < 0, "give 0 or more", where)
    # A published value may be lost, with a note.
    lost = (frame["source"] == "published") & (frame["note"] != "")
    missing = frame["value"].isna() & (frame["text"] == "") & ~lost
    _refuse(frame, "value", missing, "give a finite number", where)


def _refuse(frame: pd.DataFrame, name: str, bad: pd.Series, problem: str, where: str) -> None:
    """Raises an error that names the first row marked in ``bad``."""
    found = np.flatnonzero(bad.to_numpy(dtype=bool, na_value=False))
    if len(found):
        shown = str(frame[name].iloc[found[0]])
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        raise UserError(f"{where}: row {found[0] + 1}, column {name!r} is {shown!r}: {problem}")
