"""Records: the schema of measured and published numbers, and functions to validate, read and write.

A record is one number with everything that identifies it, one row of a long-form table.
Rows are unique in ``KEY_COLUMNS``. Records are stored as Parquet; they can also be read from CSV
files (`analysis.schema.csv_files`, `analysis.schema.numbers`).

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
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.schema import csv_files, numbers, quantities, rows
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

_OPTIONAL = frozenset(
    {"variant", "unit", "text", "std", "runs", "decimals", "bold", "node", "fingerprint"}
    | {"place", "note"}
)
_ALLOWED = {
    "source": SOURCES,
    "size": (*SIZES, ""),
    "tau": (*TAUS, ""),
    "suite": (*SUITES, ""),
    "selection": (*SELECTIONS, ""),
}
_NAMES = {"profile": r"[A-Za-z0-9._-]+", "metric": r"\S(.*\S)?"}
_DTYPES = {
    pa.string(): "string",
    pa.int64(): "Int64",
    pa.float64(): "float64",
    pa.bool_(): "boolean",
}
_MOST_ROWS = 20_000_000
"""Largest number of rows in a file; a study of the paper's size has ten million."""
COMPRESSION = "zstd"
GROUP_ROWS = 2**16
"""Rows in a row group of a Parquet file; a filter reads or skips a whole group."""
_INDEX_COLUMN = re.compile(r"__index_level_[0-9]+__|Unnamed: [0-9]+")
"""Names that pandas gives to an index that it writes."""


def empty() -> pd.DataFrame:
    """Returns a table without records, with every column in its type."""
    return pd.DataFrame({field.name: pd.Series(dtype=_DTYPES[field.type]) for field in SCHEMA})


def from_rows(rows: Iterable[Mapping[str, object]], where: str = "rows") -> pd.DataFrame:
    """Creates records from mappings; missing keys become "" or null.

    Args:
      rows: mappings with at least ``source``, ``profile``, ``metric`` and ``value``.
      where: name of the source in error messages.

    Raises:
      UserError: see :func:`validate`.

    >>> frame = from_rows([{"source": "measured", "profile": "micro", "metric": "m", "value": 1}])
    >>> frame.loc[0, "value"], frame.loc[0, "suite"], frame.loc[0, "seed"]
    (np.float64(1.0), '', <NA>)
    """
    listed = list(rows)
    names = dict.fromkeys(itertools.chain(COLUMNS, itertools.chain.from_iterable(listed)))
    # The dtype is object, so that pandas infers no type before the values are checked.
    columns = {name: pd.Series([row.get(name) for row in listed], dtype=object) for name in names}
    return validate(pd.DataFrame(columns), where)


def validate(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """Checks records, and returns them with the schema's columns, order and types.

    Args:
      frame: any table; it is not changed.
      where: the file's name in error messages.

    Raises:
      UserError: the table is no valid records; the message has one line with ``where``, the row
        (counted from 1) and the column.
    """
    frame = frame.reset_index(drop=True)
    _check_names(frame.columns, where)
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise UserError(f"{where}: column {twice!r} is duplicated; delete one of them")
    for name in COLUMNS:
        if name not in frame.columns and name not in _OPTIONAL:
            raise UserError(f"{where}: column {name!r} is missing; add it")
    checked = pd.DataFrame(
        {field.name: _column(frame, field, where) for field in SCHEMA}, index=frame.index
    )
    _check_values(checked, where)
    duplicated = checked.duplicated(subset=list(KEY_COLUMNS))
    if duplicated.any():
        second = int(np.flatnonzero(duplicated)[0])
        same = checked[list(KEY_COLUMNS)].iloc[: second + 1]
        first = int(np.flatnonzero(same.duplicated(keep="last"))[0])
        raise UserError(
            f"{where}: row {checked.index[second] + 1} repeats the key of row "
            f"{checked.index[first] + 1} (metric {checked['metric'].iloc[second]!r}); "
            "delete one of them"
        )
    return quantities.check(checked, where)


def _check_names(names: Iterable[object], where: str) -> None:
    for name in map(str, names):
        if name in COLUMNS:
            continue
        if _INDEX_COLUMN.fullmatch(name):
            raise UserError(
                f"{where}: column {name!r} is a pandas index; write the table with index=False"
            )
        if (meant := name.strip().lower()) in COLUMNS:
            raise UserError(f"{where}: unknown column {name!r}; rename it to {meant!r}")
        raise UserError(f"{where}: unknown column {name!r}; known: {', '.join(COLUMNS)}")


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
    """Reads and validates the records of a Parquet or CSV file.

    Args:
      path: path of the file.
      wanted: a row filter, see ``analysis.schema.rows``; None for all records. Other records of a
        Parquet file are neither validated nor returned, except one for every source and profile
        that no wanted record has. A CSV file is read and validated whole.

    Raises:
      UserError: the file is missing, damaged or of another kind, or its records are not valid.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; `repro collect` writes it")
    if path.suffix == ".parquet":
        frame = _read_parquet(path, wanted)
    elif path.suffix == ".csv":
        frame = _read_csv(path)
    else:
        raise UserError(f"{path}: records are .parquet or .csv files; rename or convert the file")
    try:
        return validate(frame, str(path))
    except UserError:
        if path.suffix == ".parquet" and wanted is not None:
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
        _require_plain(path)
        nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
        table = rows.read(path, wanted)
        return table.to_pandas(types_mapper=nullable.get, ignore_metadata=True)
    except (pa.ArrowException, OSError, ValueError, UnicodeError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise UserError(
            f"{path}: not a whole Parquet file of records ({reason}); write it again with "
            "`repro collect`"
        ) from error


def _require_plain(path: Path) -> None:
    """Checks the number of rows and the types of columns before the rows of a file are read."""
    with pq.ParquetFile(path) as file:
        # A file of some kilobytes can declare more rows than fit in memory.
        if file.metadata.num_rows > _MOST_ROWS:
            raise ValueError(f"{file.metadata.num_rows:,} rows")
        fields = list(file.schema_arrow)
    names = [field.name for field in fields]
    if len(set(names)) < len(names):
        raise ValueError("two columns of one name")
    _check_names(names, str(path))
    numeric = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_null)
    for field in fields:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        wanted = SCHEMA.field(field.name).type
        if not any(is_kind(kind) for is_kind in numeric) and not (
            rows.is_text(kind) and wanted == pa.string()
        ):
            raise UserError(f"{path}: column {field.name!r} has type {kind}; cast it to {wanted}")


def _read_csv(path: Path) -> pd.DataFrame:
    table = csv_files.read(path)
    return pd.DataFrame(table.rows, columns=table.header, dtype=object)


def _column(frame: pd.DataFrame, field: pa.Field, where: str) -> pd.Series:
    if field.name not in frame.columns:
        filler = "" if field.type == pa.string() else None
        return pd.Series([filler] * len(frame), index=frame.index, dtype=_DTYPES[field.type])
    check = {
        pa.string(): _strings,
        pa.int64(): _integers,
        pa.float64(): _floats,
        pa.bool_(): _booleans,
    }[field.type]
    return check(frame[field.name], where)


def _fault(where: str, bad: np.ndarray, values: pd.Series, problem: str) -> UserError:
    row = int(np.flatnonzero(bad)[0])
    value = values.iloc[row]
    shown = repr(value.item() if isinstance(value, np.generic) else value)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    place = values.index[row] + 1
    return UserError(f"{where}: row {place}, column {values.name!r} is {shown}: {problem}")


def _strings(values: pd.Series, where: str) -> pd.Series:
    if values.dtype == object:
        bad = np.array([not isinstance(value, str) for value in values], dtype=bool)
        if (bad := bad & ~values.isna().to_numpy()).any():
            raise _fault(where, bad, values, "give text")
    # Checks each distinct text once, since few of millions of texts are distinct.
    places, found = pd.factorize(values)
    distinct = [*np.asarray(found, dtype=object), *([""] if (places < 0).any() else [])]
    bad = np.array([not isinstance(value, str) for value in distinct], dtype=bool)
    if bad.any():
        raise _fault(where, bad[places], values, "give text")
    try:
        # ``factorize`` gives a null the position -1, the last, where ``distinct`` has "".
        taken = pd.array(distinct, dtype="string").take(places)
    except UnicodeError:
        raise UserError(f"{where}: column {values.name!r} has text that isn't Unicode") from None
    text = pd.Series(taken, index=values.index, name=values.name)
    name = str(values.name)
    if name in _ALLOWED:
        bad = np.array([value not in _ALLOWED[name] for value in distinct], dtype=bool)
        problem = f"give one of {', '.join(map(repr, _ALLOWED[name]))}"
    elif name in _NAMES:
        bad = np.array([not re.fullmatch(_NAMES[name], value) for value in distinct], dtype=bool)
        problem = "give a name (letters, digits, '.', '_', '-')"
    if bad.any():
        raise _fault(where, bad[places], text, problem)
    return text


def _check_values(frame: pd.DataFrame, where: str) -> None:
    """Checks that every record has a value, a text, or (if published) a note on a lost value."""
    lost = (frame["source"] == "published") & (frame["note"] != "")
    bad = (frame["value"].isna() & (frame["text"] == "") & ~lost).to_numpy(dtype=bool)
    if bad.any():
        raise _fault(where, bad, frame["value"], "give a finite number")


def _each(values: pd.Series, where: str, parse: Callable[[object], float]) -> list[float | None]:
    """Parses numbers or booleans in a column of objects; null and "" become None."""
    found: list[float | None] = []
    for row, (value, null) in enumerate(zip(values, values.isna(), strict=True)):
        try:
            empty = null or (isinstance(value, str) and value == "")
            found.append(None if empty else parse(value))
        except ValueError as error:
            raise _fault(where, np.arange(len(values)) == row, values, str(error)) from None
    return found


def _is_typed(values: pd.Series, where: str) -> bool:
    """Whether a column has a numeric type; if not, it has text or mixed objects."""
    if values.dtype == object or pd.api.types.is_string_dtype(values.dtype):
        return False
    if pd.api.types.is_bool_dtype(values.dtype) or not pd.api.types.is_numeric_dtype(values.dtype):
        raise UserError(f"{where}: column {values.name!r} has type {values.dtype}; give numbers")
    return True


def _floats(values: pd.Series, where: str) -> pd.Series:
    if _is_typed(values, where):
        found = values.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        found = np.array(_each(values, where, numbers.real), dtype=np.float64)
    bad = np.isinf(found)
    if bad.any():
        raise _fault(where, bad, values, "give a finite number")
    if values.name == "std" and (bad := found < 0).any():
        raise _fault(where, bad, values, "a standard deviation is 0 or more")
    return pd.Series(found, index=values.index)


def _integers(values: pd.Series, where: str) -> pd.Series:
    if not _is_typed(values, where):
        return pd.Series(pd.array(_each(values, where, numbers.whole), dtype="Int64"), values.index)
    null = values.isna().to_numpy(dtype=bool)
    given = values.mask(null, 0).to_numpy()
    # A floating-point 2^53 could be the rounded 2^53 + 1.
    largest = numbers.LARGEST_INTEGER - (given.dtype.kind == "f")
    bad = (given < 0) | (given > largest) | (given != np.floor(given))
    if bad.any():
        _each(values[bad], where, numbers.whole)
    found = pd.array(given.astype(np.int64), dtype="Int64")
    found[null] = pd.NA
    return pd.Series(found, index=values.index)


def _booleans(values: pd.Series, where: str) -> pd.Series:
    if pd.api.types.is_bool_dtype(values.dtype):
        return values.astype("boolean")
    parsed = _each(values, where, _boolean)
    return pd.Series(pd.array(parsed, dtype="boolean"), index=values.index)


def _boolean(value: object) -> bool:
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError("give true, false or nothing")
