"""Files of records: which are read, and what a refusal names."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.schema import records
from spactor.errors import UserError

OF = {"source": "measured", "profile": "micro", "size": "base", "tau": "0", "metric": "m"}
NOT_WHOLE = "not a whole Parquet file"


def refusal(path) -> str:
    with pytest.raises(UserError) as error:
        records.read(path)
    message = str(error.value)
    assert message.startswith(str(path)) and "\n" not in message
    return message.removeprefix(str(path))


@pytest.fixture
def table() -> pa.Table:
    """Two records in the columns and types of the schema."""
    frame = records.from_rows([{**OF, "value": 1.0, "step": 0}, {**OF, "value": 2.5, "step": 1}])
    return pa.Table.from_pandas(frame, schema=records.SCHEMA, preserve_index=False)


def written(table: pa.Table, path, **types: pa.DataType):
    """Writes a table with other types of some columns."""
    for name, kind in types.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table[name].cast(kind))
    pq.write_table(table, path)
    return path


def test_records_that_pandas_wrote_are_read(table, tmp_path):
    expected = records.read(written(table, tmp_path / "plain.parquet"))
    expected[expected.columns[::-1]].to_parquet(tmp_path / "pandas.parquet")
    pd.testing.assert_frame_equal(records.read(tmp_path / "pandas.parquet"), expected)
    texts = [field.name for field in records.SCHEMA if field.type == pa.string()]
    large = written(table, tmp_path / "large.parquet", **dict.fromkeys(texts, pa.large_string()))
    pd.testing.assert_frame_equal(records.read(large), expected)


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        *(("value", pa.float32()), ("step", pa.float64()), ("step", pa.string())),
        *(("metric", pa.binary()), ("metric", pa.dictionary(pa.int8(), pa.string()))),
    ],
    ids=str,
)
def test_another_type_is_refused_with_the_column(table, tmp_path, column, kind):
    message = refusal(written(table, tmp_path / "x.parquet", **{column: kind}))
    assert f"column {column!r} has type {kind}, not " in message


def test_other_columns_are_named(table, tmp_path):
    numbered = table.append_column("__index_level_0__", pa.array([0, 1]))
    assert ": __index_level_0__" in refusal(written(numbered, tmp_path / "index.parquet"))
    assert ": tau)" in refusal(written(table.drop_columns("tau"), tmp_path / "less.parquet"))
    twice = table.append_column("step", pa.array([1, 2]))
    assert "two columns of one name" in refusal(written(twice, tmp_path / "twice.parquet"))


def test_a_file_that_is_missing_or_cut_short_is_named(table, tmp_path):
    path = tmp_path / "metrics.parquet"
    assert "no such file" in refusal(path)
    whole = written(table, path).read_bytes()
    for content in (b"a,b\n1,2\n", *(whole[:n] for n in (0, 1, len(whole) // 2, len(whole) - 1))):
        path.write_bytes(content)
        assert NOT_WHOLE in refusal(path)
