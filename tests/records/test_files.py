"""Files of records that a person brings: what is accepted, and what a refusal names.

Tables of (content, what the message must name). A message is one line that begins with the file.
"""

from __future__ import annotations

import decimal
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import HEADER

from analysis.schema import numbers, records, rows
from spactor.errors import UserError

LINE = "measured,micro,base,0,{seed},,500000,{step},,squad,squad,em,{value},percent,"
OF = {"source": "measured", "profile": "micro", "size": "base", "tau": "0", "metric": "m"}


def csv(header: str = HEADER, **cells: str) -> bytes:
    """A file of two records; ``cells`` are those of the second."""
    first = LINE.format(seed="0", step="1", value="50")
    second = LINE.format(**{"seed": "1", "step": "2", "value": "60", **cells})
    return f"{header}\n{first}\n{second}\n".encode()


def refusal(path) -> str:
    with pytest.raises(UserError) as error:
        records.read(path)
    message = str(error.value)
    assert message.startswith(str(path)) and "\n" not in message
    return message.removeprefix(str(path))


TABLE = csv()
NOT_WHOLE = "not a whole Parquet file"
INDEX = "is an index; write the table without it (pandas: index=False"
FILES = [
    ("none.parquet", None, "no such file"),
    ("metrics.txt", b"x", "records are .parquet or .csv files; rename or convert the file"),
    ("damaged.parquet", b"PAR1 and then nothing", NOT_WHOLE),
    ("empty.parquet", b"", NOT_WHOLE),
    ("latin.csv", b"source,profile\n\xff,\n", "not a CSV file in UTF-8"),
    ("short.csv", b"source,profile\nmeasured\n", "row 1 has 1 fields and the header 2"),
    ("other.csv", b"a,b\n1,2\n", "unknown column 'a'; known: source, profile"),
    ("empty.csv", b"", "column 'source' is missing"),
    ("semicolons.csv", TABLE.replace(b",", b";"), "columns are separated by semicolons; export"),
    # As R's write.csv2 quotes them: no CSV with commas, but that is not the cause.
    ("quoted.csv", b'"source";"profile"\n"measured";"micro"\n', "separated by semicolons"),
    ("tabs.csv", TABLE.replace(b",", b"\t"), "columns are separated by tabs; export"),
    ("bars.csv", TABLE.replace(b",", b"|"), "columns are separated by vertical bars; export"),
    ("excel.csv", b"sep=,\r\n" + TABLE, "first line 'sep=,' is for Excel alone; delete it"),
    ("excel.csv", b"\xef\xbb\xbfsep=,\n" + TABLE, "first line 'sep=,' is for Excel alone"),
    ("excel2.csv", b"sep=;\n" + TABLE.replace(b",", b";"), "'sep=;' is for Excel alone"),
    ("index.csv", b"," + TABLE.replace(b"\n", b"\n0,", 2), f"the first column ('') {INDEX}"),
    # Rows too short as well: the cause comes before the symptom.
    ("index.csv", csv(f"Unnamed: 0,{HEADER}"), f"('Unnamed: 0') {INDEX}"),
    ("index.csv", b"Unnamed: 0,source\n0,measured\n", f"('Unnamed: 0') {INDEX}"),
    ("r.csv", b'"","source"\n"1","measured"\n', "R: row.names=FALSE"),
    ("comma.csv", b"source,profile,\nmeasured,micro,\n", "column 3 has no name; name or delete it"),
    ("spaces.csv", csv(HEADER.replace(",", ", ")), "column ' profile'; rename it to 'profile'"),
    ("upper.csv", csv(HEADER.replace("value", "Value")), "column 'Value'; rename it to 'value'"),
    ("utf16.csv", "\ufeff".encode("utf-16-le") + HEADER.encode("utf-16-le"), "encoded in UTF-16"),
    ("boms.csv", b"\xef\xbb\xbf" * 2 + TABLE, "begins with two byte-order marks"),
]


@pytest.mark.parametrize(("name", "content", "named"), FILES)
def test_a_file_is_refused_by_its_cause(tmp_path, name, content, named):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert named in refusal(tmp_path / name)


@pytest.mark.parametrize(
    "content",
    [b"\xef\xbb\xbf" + TABLE, TABLE.replace(b"\n", b"\r\n"), TABLE.rstrip(), TABLE + b"\n\n"],
    ids=["byte-order mark", "Windows", "last line open", "empty lines"],
)
def test_harmless_differences_of_csv_files_are_read(tmp_path, content):
    (tmp_path / "plain.csv").write_bytes(TABLE)
    (tmp_path / "mine.csv").write_bytes(content)
    pd.testing.assert_frame_equal(*(records.read(tmp_path / f"{n}.csv") for n in ("plain", "mine")))


WHOLE = "give a whole number, 0 or more"
TOO_LARGE = "at most 2^53"
NO_NUMBERS = {
    "without '_', '+' or leading zeros": (
        *("1_0.5", "1_0", "+5", ".5", "5.", "007", "0x10", "0x1p3", "1e5_0", "1d5", "5%"),
        *("fast", "true"),
    ),
    "remove the spaces": (" 5", "5 ", "5\u00a0"),
    "the digits 0 to 9": ("٥", "５", "−5", "5½"),
    "leave the cell empty": ("nan", "NaN", "-inf", "Infinity", "NA", "null"),
    "decimal point, without commas": ("1,5", "1,234.5"),
}
"""What a message must name, and cells that are no number in any column."""
NO_INTEGERS = {
    TOO_LARGE: (
        *("9007199254740993", "9007199254740992.5", "9007199254740993.0", "1e16", "1e999"),
        "1" * 400,
    ),
    WHOLE: ("-1", "1.5", "1e-5", "4503599627370496.00000000000000000000000001"),
}


@pytest.mark.parametrize(
    ("column", "cell", "named"),
    [
        *(
            (col, cell, n)
            for col in ("value", "seed")
            for n, each in NO_NUMBERS.items()
            for cell in each
        ),
        *(("seed", cell, n) for n, each in NO_INTEGERS.items() for cell in each),
        ("value", "1e999", "a finite number that floating point can hold"),
    ],
)
def test_a_cell_that_is_no_number_is_refused(tmp_path, column, cell, named):
    (tmp_path / "mine.csv").write_bytes(csv(**{column: f'"{cell}"'}))
    message = refusal(tmp_path / "mine.csv")
    assert f"row 2, column {column!r} is {cell!r}"[:60] in message and named in message


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        ("seed", "9007199254740992", 2**53),
        ("seed", "9007199254740991", 2**53 - 1),
        ("seed", "120000.0", 120_000),
        ("seed", "1.2e5", 120_000),
        ("seed", "1E+05", 100_000),
        ("seed", "120e-1", 12),
        ("seed", "-0", 0),
        ("seed", "", None),
        ("value", "0.1", 0.1),
        ("value", "1e-05", 1e-5),
        ("value", "60.00000000000001", 60.00000000000001),
        ("value", "-0", 0.0),
    ],
)
def test_a_number_is_read_exactly(tmp_path, column, cell, value):
    (tmp_path / "mine.csv").write_bytes(csv(**{column: cell}))
    found = records.read(tmp_path / "mine.csv")[column].iloc[1]
    assert found is pd.NA if value is None else found == value


def test_the_first_fault_of_a_file_is_named_with_its_row(tmp_path):
    """Two faults in one row: an integer beyond 2^53, and ``1_0.5``."""
    line = LINE.format(seed="9007199254740993", step="1", value="1_0.5")
    (tmp_path / "mine.csv").write_text(f"{HEADER}\n{line}\n")
    assert "row 1, column 'seed' is '9007199254740993'" in refusal(tmp_path / "mine.csv")


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (np.array([0, 2**53 + 1]), TOO_LARGE),
        (np.array([0, 2**64 - 1], np.uint64), TOO_LARGE),
        # In floating point 2^53 + 1 is 2^53, so either may have been meant.
        (np.array([0, 2.0**53]), TOO_LARGE),
        (np.array([0, math.inf]), "give a finite number"),
        (np.array([0, -1]), WHOLE),
        (np.array([0, 0.5], np.float32), WHOLE),
        ([0, decimal.Decimal(5)], "give a number"),
        ([0, b"5"], "give a number"),
    ],
)
def test_typed_integers_do_not_pass_through_floating_point(values, problem):
    frame = pd.DataFrame({"seed": values}).assign(**OF, value=1.0, finetune_seed=None)
    frame = frame.assign(checkpoint=None, step=None, paper_step=None, suite="", task="")
    with pytest.raises(UserError, match="f: row 2, column 'seed' is ") as error:
        records.validate(frame.assign(selection=""), "f")
    assert problem in str(error.value)
    largest = frame.assign(selection="", seed=np.array([0, 2**53]))
    assert records.validate(largest, "f")["seed"].tolist() == [0, 2**53]


def test_every_float_of_python_is_in_the_grammar():
    for value in (0.1, -0.0, 1e16, 1e22, 5e-324, 1.7976931348623157e308, -123456789.125):
        assert numbers.real(repr(value)) == value == numbers.real(f"{value:.17e}")


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


TEXTS = [field.name for field in records.SCHEMA if field.type == pa.string()]
NO_STRING_VIEWS = pytest.mark.skipif(
    int(pa.__version__.partition(".")[0]) < 21, reason="PyArrow before 21 writes no string views"
)
TEXT_LAYOUTS = [
    *(pa.string(), pa.large_string()),
    *(pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int32(), pa.large_string())),
]


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        *((TEXTS, layout) for layout in TEXT_LAYOUTS),
        pytest.param(TEXTS, pa.string_view(), marks=NO_STRING_VIEWS),
        *((["step"], kind) for kind in (pa.int8(), pa.uint64(), pa.float64())),
        (["value"], pa.float32()),
    ],
    ids=str,
)
def test_other_layouts_and_types_are_read(table, tmp_path, columns, kind):
    path = written(table, tmp_path / "x.parquet", **dict.fromkeys(columns, kind))
    expected = records.read(written(table, tmp_path / "plain.parquet"))
    pd.testing.assert_frame_equal(records.read(path), expected)
    pd.testing.assert_frame_equal(records.read(path, rows.of_metrics("m")), expected)


@pytest.mark.parametrize(
    ("column", "kind", "fix"),
    [
        ("value", pa.decimal128(10, 2), "cast it to double"),
        ("step", pa.decimal128(38, 0), "cast it to int64"),
        ("step", pa.decimal256(40, 0), "cast it to int64"),
        ("step", pa.string(), "cast it to int64"),
        ("step", pa.timestamp("s"), "cast it to int64"),
        ("metric", pa.binary(), "cast it to string"),
    ],
    ids=str,
)
def test_a_type_is_refused_with_the_column_and_the_fix(table, tmp_path, column, kind, fix):
    message = refusal(written(table, tmp_path / "x.parquet", **{column: kind}))
    assert f"column {column!r} has type " in message and fix in message


def test_columns_of_a_parquet_file_are_refused_by_their_cause(table, tmp_path):
    numbered = table.append_column("__index_level_0__", pa.array([0, 1]))
    message = refusal(written(numbered, tmp_path / "index.parquet"))
    assert "'__index_level_0__' is a pandas index" in message and "index=False" in message
    nested = table.set_column(table.schema.get_field_index("value"), "value", pa.array([[1], [2]]))
    assert "column 'value' has type list<" in refusal(written(nested, tmp_path / "nested.parquet"))
    for values in ([1, 2], ["a", "b"]):
        table = table.append_column("mine", pa.array(values))
    assert "two columns of one name" in refusal(written(table, tmp_path / "twice.parquet"))


def test_a_parquet_file_cut_short_is_named(table, tmp_path):
    path = written(table, tmp_path / "metrics.parquet")
    whole = path.read_bytes()
    for length in (0, 1, 4, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert NOT_WHOLE in refusal(path)
