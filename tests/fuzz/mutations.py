"""Valid files made wrong in ways a fuzzer of bytes takes long to find: odd values in odd places.

One function a kind of file; each takes valid or half-valid bytes and a source of randomness, and
gives other bytes. Bytes it can't take apart come back with single bytes changed.
"""

from __future__ import annotations

import csv
import io
import json
import random
import re
import struct
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Mutation = Callable[[bytes, random.Random], bytes]

ODD_TEXTS = (
    *("", " ", "\n", "a\nb", "\x00", "\x1b[31m", "\ud800", "é", "‮x", "../../x", "/etc/passwd"),
    *("a" * 300, "nan", "inf", "-0", "1e999", "9" * 400, "0x10", "١", "１", "1_000", "<script>"),
    *("=1+1", "60K", "1M", "0", "base", "glue", "hybrid", "%s", "{}", "true", "null", "CON"),
)
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 3, 10**6, 2**31, 2**63, 2**64, 10**20, 10**400, -(10**400)),
    *(0.0, -0.0, 0.5, 1e-320, 1e308, float("inf"), float("-inf"), float("nan"), 1.5),
    *([], {}, [[]], [{}], {"": {}}, [None], {"a": 1}, [1, 2, 3], ["a"], [[[[[]]]]]),
    *ODD_TEXTS,
)


def of_bytes(data: bytes, rng: random.Random) -> bytes:
    """Bytes changed, cut, doubled or put in."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(changed) + 1)
        choice = rng.randrange(6)
        if choice == 0:
            del changed[at:]
        elif choice == 1:
            del changed[at : at + rng.choice((1, 2, 4, 16))]
        elif choice == 2:
            changed[at:at] = rng.randbytes(rng.choice((1, 1, 4, 16)))
        elif choice == 3:
            changed[at:at] = changed[rng.randrange(len(changed) + 1) :][: rng.choice((1, 8, 64))]
        elif at < len(changed):
            changed[at] = rng.choice((0, 255, 127, changed[at] ^ 1 << rng.randrange(8)))
    return bytes(changed)


def of_json(data: bytes, rng: random.Random) -> bytes:
    """One place of a JSON text, changed, doubled or left out."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return of_bytes(data, rng)
    if rng.random() < 0.02:
        depth = rng.choice((50, 900, 200_000))
        return b"[" * depth + data + b"]" * depth
    for _ in range(rng.choice((1, 1, 2))):
        value = _changed(value, rng)
    return json.dumps(value, ensure_ascii=rng.random() < 0.9).encode("utf-8", "surrogatepass")


def _changed(value: Any, rng: random.Random) -> Any:
    """The value with one thing in it replaced."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        changed = dict(value)
        choice = rng.randrange(8)
        if choice == 0:
            del changed[key]
        elif choice == 1:
            changed[rng.choice(ODD_TEXTS)] = changed[key]
        elif choice == 2:
            changed = {(rng.choice(ODD_TEXTS) if k == key else k): v for k, v in changed.items()}
        else:
            changed[key] = _changed(changed[key], rng)
        return changed
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        choice = rng.randrange(6)
        if choice == 0:
            return [*value[:at], *value[at + 1 :]]
        if choice == 1:
            return [*value, value[at]]
        return [*value[:at], _changed(value[at], rng), *value[at + 1 :]]
    if isinstance(value, int | float) and not isinstance(value, bool) and rng.random() < 0.4:
        return rng.choice((value + 1, value - 1, -value, value * 2, value * 10**6))
    return rng.choice(ODD_VALUES)


def of_json_lines(data: bytes, rng: random.Random) -> bytes:
    """One line of JSON changed, doubled, moved or left out."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    choice = rng.randrange(8)
    if choice == 0:
        del lines[at]
    elif choice == 1:
        lines.insert(rng.randrange(len(lines) + 1), lines[at])
    elif choice == 2:
        lines[at] = of_bytes(lines[at], rng)
    else:
        lines[at] = of_json(lines[at], rng)
    return rng.choice((b"\n", b"\n", b"\n", b"\r\n", "\u2028".encode())).join(lines)


def of_csv(data: bytes, rng: random.Random) -> bytes:
    """One cell of a CSV file changed, a row or a column doubled or left out."""
    try:
        rows = list(csv.reader(io.StringIO(data.decode("utf-8"), newline="")))
    except (ValueError, csv.Error):
        return of_bytes(data, rng)
    rows = [row for row in rows if row]
    if not rows:
        return of_bytes(data, rng)
    at = rng.randrange(len(rows))
    column = rng.randrange(len(rows[at]))
    choice = rng.randrange(10)
    if choice == 0:
        del rows[at]
    elif choice == 1:
        rows.append(rows[at])
    elif choice == 2:
        rows = [row[:column] + row[column + 1 :] for row in rows]
    elif choice == 3:
        rows[at] = rows[at] + [rng.choice(ODD_TEXTS)]
    elif choice == 4 and len(rows) > 1:
        rows[at] = [rng.choice(rows)[column % len(rows[0])] for _ in rows[at]]
    else:
        rows[at] = [*rows[at][:column], rng.choice(ODD_TEXTS), *rows[at][column + 1 :]]
    out = io.StringIO()
    csv.writer(out, lineterminator=rng.choice(("\n", "\r\n"))).writerows(rows)
    return out.getvalue().encode("utf-8", "surrogatepass")


_TOML_VALUES = (
    *("0", "-1", "1e400", "nan", "inf", "true", '""', '"a\\nb"', "[]", "{}", "1979-05-27", "0.5"),
    *('"1M"', '"60K"', '["0"]', '["inf", "inf"]', "[1]", "[[]]", "{a = 1}", "9" * 400, "2000"),
    *("1000000000", '"../x"', '["0", "60K"]', '"\\u0000"', "12:00:00", '["1K", "1M"]', "128"),
)


def of_toml(data: bytes, rng: random.Random) -> bytes:
    """One line of TOML with another value, doubled or left out."""
    lines = data.decode("utf-8", "replace").split("\n")
    at = rng.randrange(len(lines))
    choice = rng.randrange(8)
    if choice == 0:
        del lines[at]
    elif choice == 1:
        lines.insert(rng.randrange(len(lines) + 1), lines[at])
    elif choice == 2:
        return of_bytes(data, rng)
    elif choice == 3:
        lines[at] = re.sub(
            r"[a-z_]+", lambda _: rng.choice(("x", '""', "a.b", "data")), lines[at], count=1
        )
    else:
        lines[at] = re.sub(r"=.*", lambda _: "= " + rng.choice(_TOML_VALUES), lines[at])
    return "\n".join(lines).encode()


_DTYPES = ("<u2", "<i4", ">i4", "<i8", "<f4", "<f8", "<c16", "|b1", "|S3", "<U2", "<M8[s]", "|V4")


def of_array(data: bytes, rng: random.Random) -> bytes:
    """A ``.npy`` file whose header tells of another array than follows, or of objects."""
    match = re.match(rb"\x93NUMPY\x01\x00(..)", data, re.DOTALL)
    if not match or rng.random() < 0.2:
        return of_bytes(data, rng)
    body = data[10 + struct.unpack("<H", match[1])[0] :]
    shape = rng.choice(("()", "(0,)", "(4,)", "(2, 2)", "(-1,)", "(10**9,)", "(1000000000000,)"))
    kind = rng.choice(
        ("'|O'", repr(rng.choice(_DTYPES)), "[('a', '<i4')]", "'<i0'", "None", "'(3,)<i4'")
    )
    order = rng.choice(("False", "True", "0", "[]"))
    header = f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    if rng.random() < 0.1:
        header = rng.choice((b"", b"__import__('os')", b"(" * 3000, b"{'descr': 1}", b"[]", b"{}"))
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body


def of_archive(data: bytes, rng: random.Random) -> bytes:
    """An ``.npz`` file with arrays changed, renamed, doubled or left out."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception:
        return of_bytes(data, rng)
    if not members or rng.random() < 0.2:
        return of_bytes(data, rng)
    name = rng.choice(list(members))
    choice = rng.randrange(6)
    if choice == 0:
        del members[name]
    elif choice == 1:
        odd = rng.choice(("../x.npy", "/x.npy", "a/b.npy", "x", "a/b/c/d.npy", "file.npy", ".npy"))
        members[odd] = members.pop(name)
    elif choice == 2:
        buffer = io.BytesIO()
        shape = rng.choice(((), (0,), (3,), (2, 2), (1, 0)))
        np.save(buffer, np.ones(shape).astype(rng.choice(_DTYPES)), allow_pickle=False)
        members[name] = buffer.getvalue()
    elif choice == 3 and len(members) > 1:
        members[name] = members[rng.choice(list(members))]
    else:
        members[name] = of_array(members[name], rng)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return out.getvalue()


def of_tensors(data: bytes, rng: random.Random) -> bytes:
    """A ``safetensors`` file whose header lies about lengths, types, shapes or places."""
    if len(data) < 8 or rng.random() < 0.15:
        return of_bytes(data, rng)
    (length,) = struct.unpack("<Q", data[:8])
    header, body = data[8 : 8 + length], data[8 + length :]
    if rng.random() < 0.15:
        length = rng.choice((0, 1, length - 1, length + 1, 2**31, 2**40, 2**63, 2**64 - 1))
        return struct.pack("<Q", length % 2**64) + header + body
    header = of_json(header, rng)
    return struct.pack("<Q", len(header)) + header + body


def of_events(data: bytes, rng: random.Random) -> bytes:
    """An event file with one record changed, its check sums right again."""
    from tensorboard.compat.proto import event_pb2
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
    from tensorboard.summary.writer.record_writer import RecordWriter

    payloads, at = [], 0
    while at + 12 <= len(data):
        (length,) = struct.unpack("<Q", data[at : at + 8])
        if at + 16 + length > len(data):
            break
        payloads.append(data[at + 12 : at + 12 + length])
        at += 16 + length
    if not payloads or rng.random() < 0.2:
        return of_bytes(data, rng)
    which = rng.randrange(len(payloads))
    if rng.random() < 0.5:
        payloads[which] = of_bytes(payloads[which], rng)
    else:
        try:
            event = event_pb2.Event.FromString(payloads[which])
        except Exception:
            event = event_pb2.Event()
        _change_event(event, rng)
        payloads[which] = event.SerializeToString()
    out = io.BytesIO()
    writer = RecordWriter(out)
    for payload in payloads:
        writer.write(payload)
    if rng.random() < 0.1:
        # A record that tells of more bytes than there are, its check sum right.
        length = struct.pack("<Q", rng.choice((2**20, 2**31, 2**40, 2**63, 2**64 - 1)))
        return out.getvalue() + length + struct.pack("<I", masked_crc32c(length)) + b"x" * 9
    return out.getvalue()


def _change_event(event: Any, rng: random.Random) -> None:
    event.step = rng.choice((0, 5, -1, 10**9, 2**63 - 1))
    for value in event.summary.value:
        choice = rng.randrange(7)
        if choice == 0:
            value.tag = rng.choice(
                (*(text for text in ODD_TEXTS if text != "\ud800"), "loss", "x/y")
            )
        elif choice == 1:
            value.simple_value = 1.0
        elif choice == 2:
            value.tensor.dtype = rng.choice((0, 1, 2, 3, 7, 8, 10, 14, 20, 21, 23, 101))
        elif choice == 3:
            del value.tensor.tensor_shape.dim[:]
            for _ in range(rng.choice((0, 1, 2))):
                value.tensor.tensor_shape.dim.add(size=rng.choice((0, 1, 2, -1, 10**6, 2**40)))
        elif choice == 4:
            value.tensor.tensor_content = rng.randbytes(rng.choice((0, 1, 4, 8)))
        elif choice == 5:
            value.tensor.float_val.append(rng.choice((1.0, float("nan"), float("inf"))))
        else:
            value.metadata.plugin_data.plugin_name = rng.choice(("", "scalars", "images"))


def of_vocabulary(data: bytes, rng: random.Random) -> bytes:
    """A SentencePiece model with pieces changed, or what it says of its kind."""
    from sentencepiece import sentencepiece_model_pb2

    proto: Any = sentencepiece_model_pb2.ModelProto.FromString(data)  # type: ignore[attr-defined]
    if not proto.pieces or rng.random() < 0.15:
        return of_bytes(data, rng)
    piece = rng.choice(proto.pieces)
    choice = rng.randrange(9)
    if choice == 0:
        del proto.pieces[rng.choice((0, 1, 2, 3, 50, -1)) :]
    elif choice == 1:
        proto.pieces.add(piece=rng.choice(("", "▁", "a", "\n", piece.piece)), score=-1.0)
    elif choice == 2:
        piece.score = rng.choice((0.0, 1.0, -1e30, float("nan"), float("inf"), float("-inf")))
    elif choice == 3:
        piece.type = rng.choice((1, 2, 3, 4, 5, 6))
    elif choice == 4:
        piece.piece = rng.choice(("", "<unk>", "</s>", "é", "a" * 5000, "\x00", "<extra_id_0>"))
    elif choice == 5:
        proto.trainer_spec.model_type = rng.choice((1, 2, 3, 4))
    elif choice == 6:
        proto.normalizer_spec.precompiled_charsmap = rng.randbytes(rng.choice((0, 4, 64)))
    elif choice == 7:
        charsmap = proto.normalizer_spec.precompiled_charsmap
        proto.normalizer_spec.precompiled_charsmap = of_bytes(charsmap, rng)
    else:
        proto.trainer_spec.unk_id = rng.choice((-1, 0, 5, 10**6))
        proto.trainer_spec.byte_fallback = rng.random() < 0.5
    return proto.SerializeToString()


def of_records(data: bytes, rng: random.Random) -> bytes:
    """A Parquet file with one column of another type or with other values, or left out."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data))
    except Exception:
        return of_bytes(data, rng)
    if not table.num_columns or table.num_rows > 64 or rng.random() < 0.15:
        return of_bytes(data, rng)
    at = rng.randrange(table.num_columns)
    name, rows = table.column_names[at], table.num_rows
    choice = rng.randrange(8)
    if choice == 0:
        table = table.remove_column(at)
    elif choice == 1:
        table = table.append_column(rng.choice((name, "x", "", "a\nb")), table.column(at))
    else:
        values: tuple[Any, ...] = rng.choice(_ODD_COLUMNS)
        try:
            kind = values[0](pa)
            column = pa.array([rng.choice(values[1:]) for _ in range(rows)], kind)
        except Exception:
            return of_bytes(data, rng)
        table = table.set_column(at, name, column)
    out = io.BytesIO()
    try:
        pq.write_table(table, out)
    except Exception:
        return of_bytes(data, rng)
    return out.getvalue()


_ODD_COLUMNS: tuple[tuple[Any, ...], ...] = (
    (lambda pa: pa.int64(), 0, -1, 2**62, None),
    (lambda pa: pa.uint64(), 0, 2**63, 2**64 - 1, None),
    (lambda pa: pa.float64(), 0.0, float("nan"), float("inf"), 1e300, -5.0, 0.5, None),
    (lambda pa: pa.float16(), np.float16(1.5), np.float16("nan")),
    (lambda pa: pa.string(), "", "x", "a\nb", "\x00", "1", "nan", "base", None),
    (lambda pa: pa.large_string(), "x", "0", None),
    (lambda pa: pa.dictionary(pa.int32(), pa.string()), "glue", "x", None),
    (lambda pa: pa.binary(), b"", b"\xff", b"base", None),
    (lambda pa: pa.bool_(), True, False, None),
    (lambda pa: pa.null(), None),
    (lambda pa: pa.list_(pa.int64()), [], [1], None),
    (lambda pa: pa.struct([("a", pa.int64())]), {"a": 1}, None),
    (lambda pa: pa.map_(pa.string(), pa.int64()), [("a", 1)], None),
    (lambda pa: pa.timestamp("s"), 0, 10**10, None),
    (lambda pa: pa.date32(), 0, None),
    (lambda pa: pa.duration("us"), 1, None),
    (lambda pa: pa.time64("us"), 1, None),
    (lambda pa: pa.decimal128(30, 2), None, 1),
)


def mutated(kind: str, data: bytes, rng: random.Random) -> bytes:
    """Bytes changed as their kind of file is, or as any bytes are where that can't be done."""
    try:
        return KINDS[kind](data, rng)
    except Exception:
        # An earlier mutation may have left what the writer of the format refuses.
        return of_bytes(data, rng)


KINDS: Mapping[str, Mutation] = {
    "bytes": of_bytes,
    "json": of_json,
    "json lines": of_json_lines,
    "csv": of_csv,
    "toml": of_toml,
    "npy": of_array,
    "npz": of_archive,
    "safetensors": of_tensors,
    "events": of_events,
    "parquet": of_records,
    "sentencepiece": of_vocabulary,
}
