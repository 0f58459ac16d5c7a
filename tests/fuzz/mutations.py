"""Valid files changed in ways that byte-level fuzzers rarely reach: odd values in odd places.

Each function takes the bytes of a valid or partly valid file and a source of randomness, and
returns other bytes. ``mutate`` picks the function by the kind of file.
"""

from __future__ import annotations

import io
import random
import re
import struct
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

TOKENS = (
    *("", " ", "\n", "null", "true", "0", "-1", "2", "0.5", "1e400", "1e-320", "NaN", "inf"),
    *("9" * 400, str(2**63), "10000000000", "[]", "{}", "[[]]", "[null]", '{"a": 1}', '{"": {}}'),
    *('""', '"a\\nb"', '"\\ud800"', '"\\u0000"', '"../../x"', '"é"', '"nan"', '"1M"', '"60K"'),
    *('["0", "60K"]', '["inf", "inf"]', "{a = 1}", "1979-05-27", "base", "glue", "../../x", "\x00"),
    *("\x1b[31m", "\u202ex", "\u0661", "1_000", "a" * 300, "[" * 900 + "]" * 900, "[" * 100_000),
)
"""Replacements for a value, quoted as JSON and TOML need it, or bare as in CSV."""
VALUE = re.compile(r'"(?:[^"\\]|\\.)*"|\[[^\[\]]*\]|\{[^{}]*\}|[^\s",:=\[\]{}]+')
DTYPES = ("<u2", "<i4", ">i4", "<i8", "<f4", "<f8", "<c16", "|b1", "|S3", "<U2", "<M8[s]", "|V4")
COLUMNS: tuple[tuple[pa.DataType, tuple[Any, ...]], ...] = (
    (pa.int64(), (0, -1, 2**62, None)),
    (pa.uint64(), (2**64 - 1,)),
    (pa.float64(), (0.0, float("nan"), float("inf"), 1e300, -5.0, None)),
    (pa.string(), ("", "x", "a\nb", "\x00", "1", "base", None)),
    (pa.large_string(), ("x", None)),
    (pa.dictionary(pa.int32(), pa.string()), ("glue", "x")),
    (pa.binary(), (b"", b"\xff")),
    (pa.null(), (None,)),
    (pa.list_(pa.int64()), ([], [1])),
    (pa.struct([("a", pa.int64())]), ({"a": 1},)),
    (pa.timestamp("s"), (0, 10**10)),
    (pa.decimal128(30, 2), (1,)),
)
"""Types of a Parquet column, with values."""


def change_bytes(data: bytes, rng: random.Random) -> bytes:
    """Cuts, removes, inserts, repeats or overwrites bytes in one place."""
    at, other = rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)
    few = rng.choice((1, 4, 16))
    removed, inserted = rng.choice(
        (
            (len(data), b""),
            (few, b""),
            (0, rng.randbytes(few)),
            (0, data[other : other + 4 * few]),
            (1, bytes([rng.choice((0, 127, 255, rng.randrange(256)))])),
        )
    )
    return data[:at] + inserted + data[at + removed :]


def change_text(data: bytes, rng: random.Random) -> bytes:
    """Replaces a value of JSON, JSON lines, TOML or CSV; or drops or repeats a line."""
    lines = data.decode("utf-8", "replace").split("\n")
    at, choice = rng.randrange(len(lines)), rng.randrange(8)
    values = list(VALUE.finditer(lines[at]))
    if choice == 0:
        del lines[at]
    elif choice == 1:
        lines.insert(rng.randrange(len(lines) + 1), lines[at])
    elif values:
        old = rng.choice(values)
        new = rng.choice((*TOKENS, *(value[0] for value in values[:20])))
        lines[at] = lines[at][: old.start()] + new + lines[at][old.end() :]
    separator = rng.choice(("\n", "\n", "\n", "\r\n", "\u2028"))
    return separator.join(lines).encode("utf-8", "surrogatepass")


def change_array(data: bytes, rng: random.Random) -> bytes:
    """Gives a ``.npy`` file a header that describes another array, or objects."""
    body = data[10 + struct.unpack("<H", data[8:10])[0] :]
    shape = rng.choice(("()", "(0,)", "(4,)", "(2, 2)", "(-1,)", "(1000000000000,)"))
    dtype = rng.choice((*map(repr, DTYPES), "'|O'", "[('a', '<i4')]", "'<i0'", "None"))
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header = rng.choice((header,) * 16 + (b"", b"__import__('os')", b"(" * 3000, b"[]"))
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body


def change_tensors(data: bytes, rng: random.Random) -> bytes:
    """Changes the JSON header of a ``safetensors`` file, or its length."""
    (length,) = struct.unpack("<Q", data[:8])
    header, body = change_text(data[8 : 8 + length], rng), data[8 + length :]
    length = rng.choice((*(len(header),) * 8, 0, 1, length - 1, 2**31, 2**40, 2**63, 2**64 - 1))
    return struct.pack("<Q", length) + header + body


def change_events(data: bytes, rng: random.Random) -> bytes:
    """Changes one record of a TensorBoard event file, with a correct checksum."""
    from tensorboard.summary.writer.record_writer import RecordWriter

    payloads, at, out = [], 0, io.BytesIO()
    while at + 12 <= len(data):
        (length,) = struct.unpack("<Q", data[at : at + 8])
        payloads.append(data[at + 12 : at + 12 + length])
        at += 16 + length
    changed = rng.randrange(len(payloads))
    for number, payload in enumerate(payloads):
        RecordWriter(out).write(change_bytes(payload, rng) if number == changed else payload)
    return out.getvalue()


def change_table(data: bytes, rng: random.Random) -> bytes:
    """Gives a column of a Parquet file another type and odd values, or drops it."""
    table, out = pq.read_table(io.BytesIO(data)), io.BytesIO()
    at, (kind, values) = rng.randrange(table.num_columns), rng.choice(COLUMNS)
    column = pa.array([rng.choice(values) for _ in range(table.num_rows)], kind)
    other = table.set_column(at, table.column_names[at], column)
    pq.write_table(rng.choice((other, other, other, table.remove_column(at))), out)
    return out.getvalue()


KINDS = {
    "bytes": change_bytes,
    "text": change_text,
    "npy": change_array,
    "safetensors": change_tensors,
    "events": change_events,
    "parquet": change_table,
}


def mutate(kind: str, data: bytes, rng: random.Random) -> bytes:
    """Changes a file by its kind, or its bytes, as where an earlier change made it unreadable."""
    try:
        return KINDS[kind](data, rng) if rng.random() < 0.85 else change_bytes(data, rng)
    except Exception:
        return change_bytes(data, rng)
