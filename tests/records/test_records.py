"""Records: which values are valid, which files are read, and what a refusal names."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.schema import facts, records
from spactor.errors import UserError

ROW = {"source": "measured", "profile": "micro", "size": "base", "tau": "0", "metric": "m"}

SCORE = {"suite": "glue", "task": "rte", "metric": "accuracy", "value": 80.0}


def rows(*changes):
    return [
        {**ROW, "value": 1.0, "step": number, **change} for number, change in enumerate(changes)
    ]


def test_absent_keys_are_empty_or_null():
    frame = records.from_rows([{**ROW, "value": 2, "seed": 0}])
    row = frame.iloc[0]
    assert list(frame.columns) == list(records.COLUMNS)
    assert (row["value"], row["seed"], row["suite"], row["note"]) == (2.0, 0, "", "")
    assert pd.isna(row["step"]) and pd.isna(row["std"]) and pd.isna(row["bold"])
    assert dict(frame.dtypes.astype(str))["value"] == "float64"
    assert dict(frame.dtypes.astype(str))["seed"] == "Int64"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ([{}, {"value": float("nan")}], "row 2, column 'value'"),
        ([{"value": float("inf")}], "row 1, column 'value' is 'inf'"),
        ([{}, {"value": "fast"}], "column 'value': "),
        ([{"std": float("inf")}], "column 'std'"),
        ([{"std": -1.0}], "column 'std' is '-1.0': give 0 or more"),
        ([{}, {}, {"size": "huge"}], "row 3, column 'size' is 'huge': give one of 'base', 'large'"),
        ([{"tau": "30K"}], "column 'tau' is '30K'"),
        ([{"suite": "wmt"}], "column 'suite' is 'wmt'"),
        ([{"source": "guessed"}], "column 'source' is 'guessed'"),
        ([{"selection": "median"}], "column 'selection'"),
        ([{"metric": ""}], "column 'metric' is ''"),
        ([{"profile": "a b"}], "column 'profile' is 'a b'"),
        ([{"task": 3}], "column 'task': "),
        ([{"node": "\ud800"}], "column 'node': "),
        ([{"seed": -1}], "column 'seed' is '-1': give 0 or more"),
        ([{"seed": 2**53 + 1}], "column 'seed' is '9007199254740993': give at most 9"),
        ([{"seed": 10**400}], "column 'seed': "),
        ([{"bold": "maybe"}], "column 'bold': "),
        ([{}, {}, {"step": 0}], "row 3 repeats the key of row 1"),
        ([{"step": None}, {"step": None}], "row 2 repeats the key of row 1"),
        ([{}, {"value": None, "text": ""}], "row 2, column 'value' is 'nan': give a finite number"),
        ([{}, SCORE | {"task": "colla"}], "row 2 has the unknown task 'colla' of suite 'glue'"),
        ([SCORE | {"suite": ""}], "row 1 has the unknown task 'rte' of suite ''"),
        ([SCORE | {"metric": "f1"}], "task 'rte' of suite 'glue' has no metric 'f1': give one"),
        ([{}, SCORE | {"value": 100.5}], "row 2, accuracy is 100.5: give 0 to 100 percent"),
        ([SCORE | {"value": -0.5}], "row 1, accuracy is -0.5: give 0 to 100 percent"),
        ([SCORE | {"unit": "fraction"}], "row 1, accuracy is given in 'fraction': convert it to"),
        ([{"metric": "validation/rtd_recall", "value": 56.0}], "give 0 to 1 fraction"),
        ([{"metric": "validation/sc_loss_clean", "value": -1.0}], "give 0 to inf nats"),
        ([{"colour": "red"}], "unknown column 'colour'"),
    ],
)
def test_faults_are_named_in_one_line(changes, problem):
    with pytest.raises(UserError) as error:
        records.from_rows(rows(*changes), "mine.csv")
    assert str(error.value).startswith("mine.csv: ")
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


def test_units_are_filled_in_and_text_may_replace_a_value():
    frame = records.from_rows(
        rows(SCORE, {"metric": "setting/rtd_activation", "value": None, "text": "GELU"}, {})
    )
    assert frame["unit"].tolist() == ["percent", "", ""]
    assert frame["text"].tolist() == ["", "GELU", ""] and np.isnan(frame["value"].iloc[1])
    correlation = SCORE | {"task": "cola", "metric": "matthews_corrcoef", "value": -3.0}
    assert records.from_rows(rows(correlation))["value"].tolist() == [-3.0]


def test_same_records_in_any_order_give_the_same_bytes(tmp_path):
    frame = records.from_rows(rows({"seed": 3}, {}, {"tau": "inf"}, SCORE))
    records.write(frame, tmp_path / "a.parquet")
    records.write(frame.iloc[::-1], tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert pq.read_schema(tmp_path / "a.parquet") == records.SCHEMA
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "b.parquet"]


def test_a_variant_is_part_of_the_key():
    frame = records.from_rows([{**ROW, "value": 1}, {**ROW, "value": 2, "variant": "fade"}])
    assert list(frame["variant"]) == ["", "fade"]


def test_sole_profile_refuses_a_mixture():
    one, other = records.from_rows(rows({})), records.from_rows(rows({"profile": "smoke"}))
    assert records.sole_profile(records.empty()) == ("", "")
    assert records.sole_profile(one) == ("measured", "micro")
    with pytest.raises(UserError, match="measured/micro, measured/smoke"):
        records.sole_profile(records.combine(one, other))


text = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
whole = st.none() | st.integers(0, 2**53)
record = st.fixed_dictionaries(
    {
        "source": st.sampled_from(records.SOURCES),
        "profile": st.sampled_from(["micro", "smoke"]),
        "size": st.sampled_from(["base", "large", ""]),
        "tau": st.sampled_from([*facts.TAUS, ""]),
        "seed": whole,
        "step": whole,
        "metric": st.sampled_from(["m", "my/own"]),
        "value": st.floats(allow_nan=False, allow_infinity=False),
        "node": text,
        "std": st.none() | st.floats(0, allow_infinity=False),
        "bold": st.none() | st.booleans(),
        "selection": st.sampled_from([*records.SELECTIONS, ""]),
        "note": text,
    }
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        record, max_size=6, unique_by=lambda row: tuple(row.get(k) for k in records.KEY_COLUMNS)
    )
)
def test_records_survive_a_round_trip(tmp_path_factory, drawn):
    folder = tmp_path_factory.mktemp("round")
    frame = records.from_rows(drawn)
    records.write(frame, folder / "x.parquet")
    back = records.read(folder / "x.parquet")
    order = list(records.KEY_COLUMNS)
    expected = frame.sort_values(order, ignore_index=True)
    pd.testing.assert_frame_equal(back, expected)


# Files: which are read, and what a refusal names.


def refusal(path) -> str:
    with pytest.raises(UserError) as error:
        records.read(path)
    message = str(error.value)
    assert message.startswith(str(path)) and "\n" not in message
    return message.removeprefix(str(path))


@pytest.fixture
def table() -> pa.Table:
    """Two records in the columns and types of the schema."""
    frame = records.from_rows([{**ROW, "value": 1.0, "step": 0}, {**ROW, "value": 2.5, "step": 1}])
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
        *(("metric", pa.binary()), ("metric", pa.dictionary(pa.int32(), pa.string()))),
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
        assert "not a whole Parquet file" in refusal(path)
