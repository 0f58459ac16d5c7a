"""Valid files changed in ways that byte-level fuzzers rarely reach: odd values in odd places."""

from __future__ import annotations

import io
import random
import re
import struct

TOKENS = (
    *("", " ", "\n", "null", "true", "0", "-1", "2", "0.5", "1e400", "1e-320", "NaN", "inf"),
    *("9" * 400, str(2**63), "10000000000", "[]", "{}", "[[]]", "[null]", '{"a": 1}', '{"": {}}'),
    *('""', '"a\\nb"', '"\\ud800"', '"\\u0000"', '"../../x"', '"é"', '"nan"', '"1M"', '"60K"'),
    *('["0", "60K"]', '["inf", "inf"]', "{a = 1}", "1979-05-27", "base", "glue", "../../x", "\x00"),
    *("\x1b[31m", "\u202ex", "\u0661", "1_000", "a" * 300, "[" * 900 + "]" * 900, "[" * 100_000),
    *("'<i4'", "'>i4'", "'<f8'", "'<c16'", "'|S3'", "'<U2'", "'<M8[s]'", "'|O'", "'<i0'", "None"),
    *("()", "(0,)", "(2, 2)", "(-1,)", "(1000000000000,)", "(" * 3000, "__import__('os')"),
)
"""Values quoted as JSON and TOML need it, bare as in CSV, or as in the header of a ``.npy``."""
VALUE = re.compile(
    rb"""'[^']*'|\([^()]*\)|"(?:[^"\\]|\\.)*"|\[[^\[\]]*\]|\{[^{}]*\}|[^\s",:=\[\]{}]+"""
)


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
    lines = data.split(b"\n")
    at, choice = rng.randrange(len(lines)), rng.randrange(8)
    values = list(VALUE.finditer(lines[at]))
    if choice == 0:
        del lines[at]
    elif choice == 1:
        lines.insert(rng.randrange(len(lines) + 1), lines[at])
    elif values:
        old = rng.choice(values)
        tokens = (token.encode("utf-8", "surrogatepass") for token in TOKENS)
        new = rng.choice((*tokens, *(value[0] for value in values[:20])))
        lines[at] = lines[at][: old.start()] + new + lines[at][old.end() :]
    return rng.choice((b"\n", b"\n", b"\n", b"\r\n", "\u2028".encode())).join(lines)


def change_header(data: bytes, rng: random.Random, at: int, form: str) -> bytes:
    """Changes a header of text whose length stands at ``at`` in the format of `struct`."""
    start, (length,) = at + struct.calcsize(form), struct.unpack_from(form, data, at)
    header, body = change_text(data[start : start + length], rng), data[start + length :]
    most = 256 ** struct.calcsize(form) - 1
    length = rng.choice((*(len(header),) * 8, 0, 1, length - 1, 2**31, 2**40, 2**63, most))
    return data[:at] + struct.pack(form, min(length, most)) + header + body


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


KINDS = {
    "bytes": change_bytes,
    "text": change_text,
    "npy": lambda data, rng: change_header(data, rng, 8, "<H"),
    "safetensors": lambda data, rng: change_header(data, rng, 0, "<Q"),
    "events": change_events,
}


def mutate(kind: str, data: bytes, rng: random.Random) -> bytes:
    """Changes a file by its kind, or its bytes, as where an earlier change made it unreadable."""
    try:
        return KINDS[kind](data, rng) if rng.random() < 0.85 else change_bytes(data, rng)
    except Exception:
        return change_bytes(data, rng)
