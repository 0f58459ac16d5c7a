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

from analysis.schema import numbers, records, rows
from spactor.errors import UserError

HEADER = (
    "source,profile,size,tau,seed,finetune_seed,checkpoint,step,paper_step,suite,task,metric,"
    "value,unit,selection"
)
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
    (
        "excel2.csv",
        b"sep=;\n" + TABLE.replace(b",", b";"),
        "'sep=;' is for Excel alone; delete it, ",
    ),
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


SHAPE = "give a number such as 12, -0.5 or 1e-05, without '_', '+' or leading zeros"
SPACES = "remove the spaces around it"
ASCII = "give a number in the digits 0 to 9"
FINITE = "give a finite number, or leave the cell empty where there is none"
WHOLE = "give a whole number, 0 or more"
TOO_LARGE = "give an integer of at most 2^53 (9007199254740992)"
NO_NUMBERS = {
    "1_0.5": SHAPE,
    "1_0": SHAPE,
    "+5": SHAPE,
    ".5": SHAPE,
    "5.": SHAPE,
    "007": SHAPE,
    "0x10": SHAPE,
    "0x1p3": SHAPE,
    "1e5_0": SHAPE,
    "1d5": SHAPE,
    "5%": SHAPE,
    "fast": SHAPE,
    "true": SHAPE,
    " 5": SPACES,
    "5 ": SPACES,
    "5\u00a0": SPACES,
    "٥": ASCII,
    "５": ASCII,
    "−5": ASCII,
    "5½": ASCII,
    "nan": FINITE,
    "NaN": FINITE,
    "-inf": FINITE,
    "Infinity": FINITE,
    "NA": FINITE,
    "null": FINITE,
    "1e999": "give a finite number that floating point can hold",
}
"""Cells that are no number in any column, and what the message says of each."""


@pytest.mark.parametrize("column", ["value", "seed"])
@pytest.mark.parametrize(("cell", "problem"), NO_NUMBERS.items())
def test_a_cell_that_is_no_number_is_refused(tmp_path, column, cell, problem):
    (tmp_path / "mine.csv").write_bytes(csv(**{column: cell}))
    if column == "seed" and cell == "1e999":
        problem = TOO_LARGE
    assert refusal(
        tmp_path / "mine.csv"
    ) == f": row 2, column {column!r} is {cell!r}: {problem}" + (
        " and the signs '-' and '.'" if problem == ASCII else ""
    )


@pytest.mark.parametrize("cell", ["1,5", "1,234.5"])
def test_a_decimal_comma_is_named(tmp_path, cell):
    (tmp_path / "mine.csv").write_bytes(csv(value=f'"{cell}"'))
    assert "give a number with a decimal point, without commas" in refusal(tmp_path / "mine.csv")


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ("9007199254740993", TOO_LARGE),
        ("9007199254740992.5", TOO_LARGE),
        ("9007199254740993.0", TOO_LARGE),
        ("1e16", TOO_LARGE),
        ("1" * 400, TOO_LARGE),
        ("-1", WHOLE),
        ("1.5", WHOLE),
        ("1e-5", WHOLE),
        ("4503599627370496.00000000000000000000000001", WHOLE),
    ],
)
def test_an_integer_is_checked_exactly(tmp_path, cell, problem):
    (tmp_path / "mine.csv").write_bytes(csv(seed=cell))
    assert f"row 2, column 'seed' is '{cell[:50]}" in (message := refusal(tmp_path / "mine.csv"))
    assert message.endswith(problem)


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
    assert refusal(tmp_path / "mine.csv") == (
        f": row 1, column 'seed' is '9007199254740993': {TOO_LARGE}"
    )


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


TEXT_LAYOUTS = [
    *(pa.string(), pa.large_string(), pa.string_view()),
    *(pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int32(), pa.large_string())),
]


@pytest.mark.parametrize("kind", TEXT_LAYOUTS, ids=str)
def test_text_of_every_layout_is_read(table, tmp_path, kind):
    texts = [field.name for field in records.SCHEMA if field.type == pa.string()]
    path = written(table, tmp_path / "x.parquet", **dict.fromkeys(texts, kind))
    expected = records.read(written(table, tmp_path / "plain.parquet"))
    pd.testing.assert_frame_equal(records.read(path), expected)
    pd.testing.assert_frame_equal(records.read(path, rows.of_metrics("m")), expected)


@pytest.mark.parametrize(
    ("column", "kind"),
    [("step", pa.int8()), ("step", pa.uint64()), ("step", pa.float64()), ("value", pa.float32())],
    ids=str,
)
def test_other_types_of_numbers_are_read(table, tmp_path, column, kind):
    path = written(table, tmp_path / "x.parquet", **{column: kind})
    pd.testing.assert_frame_equal(
        records.read(path), records.read(written(table, tmp_path / "plain.parquet"))
    )


@pytest.mark.parametrize(
    ("column", "kind", "named"),
    [
        (
            "value",
            pa.decimal128(10, 2),
            "column 'value' has type decimal128(10, 2); cast it to double",
        ),
        (
            "step",
            pa.decimal128(38, 0),
            "column 'step' has type decimal128(38, 0); cast it to int64",
        ),
        (
            "step",
            pa.decimal256(40, 0),
            "column 'step' has type decimal256(40, 0); cast it to int64",
        ),
        ("step", pa.string(), "column 'step' has type string; cast it to int64"),
        ("metric", pa.binary(), "column 'metric' has type binary; cast it to string"),
        ("step", pa.timestamp("s"), "column 'step' has type timestamp[ms]; cast it to int64"),
    ],
    ids=str,
)
def test_a_type_is_refused_with_the_column_and_the_fix(table, tmp_path, column, kind, named):
    assert refusal(written(table, tmp_path / "x.parquet", **{column: kind})) == f": {named}"


def test_columns_of_a_parquet_file_are_refused_by_their_cause(table, tmp_path):
    numbered = table.append_column("__index_level_0__", pa.array([0, 1]))
    message = refusal(written(numbered, tmp_path / "index.parquet"))
    assert (
        message
        == ": column '__index_level_0__' is an index of pandas; write the table with index=False"
    )
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
