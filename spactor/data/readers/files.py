"""Formats of files of examples; every error is one line with file and row, rows counted from 1."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spactor import strict_json
from spactor.errors import UserError

_REPAIR = "take the file from the release again"
_PREPARE = "run 'repro prepare'"


def with_options(question: str, letters: Sequence[str], options: Sequence[str]) -> str:
    """A question with lettered options and room for an answer, as FLAN's prompts have them.

    >>> print(with_options("Which is a fruit?", ("(A)", "(B)"), ("oak", "plum")))
    Which is a fruit?
    OPTIONS:
    (A) oak
    (B) plum
    A:
    """
    lines = [f"{letter} {option}" for letter, option in zip(letters, options, strict=False)]
    return "\n".join([question, "OPTIONS:", *lines, "A:"])


def fault(path: Path, row: int | None, what: str, *, prepared: bool = False) -> UserError:
    """An error that names the file, the row if it is known, and what to do.

    Args:
      path: the file.
      row: counted from 1.
      what: is wrong.
      prepared: whether the file belongs to a prepared folder and not to a release.
    """
    where = str(path) if row is None else f"{path}, row {row:,}"
    return UserError(f"{where}: {what}: {_PREPARE if prepared else _REPAIR}")


def _text(path: Path, prepared: bool = False) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        advice = "put the release's file there ('repro data check' lists them all)"
        raise UserError(f"{path} is missing: {_PREPARE if prepared else advice}") from None
    except UnicodeDecodeError as error:
        row = error.object[: error.start].count(b"\n") + 1
        raise fault(path, row, "not UTF-8", prepared=prepared) from None
    except OSError as error:
        raise UserError(f"{path} can't be read ({error.strerror}): check its permissions") from None


def lines(path: Path, *, prepared: bool = False) -> list[str]:
    """A file's lines without their ends; the last one may lack its own."""
    # Not splitlines: texts hold U+2028 and other line separators.
    found = [line.removesuffix("\r") for line in _text(path, prepared).split("\n")]
    return found[:-1] if found[-1] == "" else found


def json_lines(path: Path, *, prepared: bool = False) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Rows and their objects of a file of JSON lines.

    Args:
      path: the file.
      prepared: whether the file belongs to a prepared folder and not to a release.

    Raises:
      UserError: the file is missing, or a line is no JSON object.
    """
    for row, line in enumerate(lines(path, prepared=prepared), start=1):
        try:
            value = strict_json.loads(line)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise fault(path, row, "damaged, no JSON object", prepared=prepared)
        yield row, value


def json_examples(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Rows and their objects of a JSON file ``{"examples": [...]}``.

    Raises:
      UserError: the file is missing or is none.
    """
    try:
        content = strict_json.loads(_text(path))
    except ValueError as error:
        row = getattr(error, "lineno", 1)
        raise UserError(f"{path}, line {row:,}: damaged, no JSON: {_REPAIR}") from None
    examples = content.get("examples") if isinstance(content, dict) else None
    if not isinstance(examples, list):
        raise fault(path, None, "no list named 'examples'")
    for row, value in enumerate(examples, start=1):
        yield row, _object(path, row, value)


def csv_table(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Rows and their fields of a CSV file whose first line names the columns.

    Raises:
      UserError: the file is missing, a column is, or a row has another number of fields.
    """
    # The header is no row.
    rows = _csv(path, first=0)
    _, header = next(rows, (0, []))
    if absent := [column for column in columns if column not in header]:
        raise fault(path, None, f"no column {absent[0]!r}, it has {', '.join(header) or 'none'}")
    for row, fields in rows:
        yield row, dict(zip(header, _wide(path, row, fields, len(header)), strict=True))


def csv_rows(path: Path, width: int) -> Iterator[tuple[int, list[str]]]:
    """Rows and their fields of a CSV file without a header.

    Raises:
      UserError: the file is missing, or a row has another number of fields.
    """
    for row, fields in _csv(path, first=1):
        yield row, _wide(path, row, fields, width)


def _csv(path: Path, first: int) -> Iterator[tuple[int, list[str]]]:
    # A field may hold newlines, so the csv module finds the rows.
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    row = first - 1
    try:
        for row, fields in enumerate(reader, start=first):
            yield row, fields
    except csv.Error as error:
        raise fault(path, row + 1, f"damaged, no CSV ({error})") from None


def _wide(path: Path, row: int, fields: list[str], width: int) -> list[str]:
    if len(fields) != width:
        raise fault(path, row, f"{len(fields)} fields, it should have {width}")
    return fields


def _object(path: Path, row: int, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise fault(path, row, "damaged, no JSON object")
    return value


def text(path: Path, row: int, fields: Mapping[str, Any], name: str) -> str:
    """A field that must be there and hold text.

    An empty text is accepted: releases hold some, and what they hold is scored.

    Raises:
      UserError: there is no such field, or it holds something else.
    """
    if name not in fields:
        raise fault(path, row, f"no field {name!r}, it has {', '.join(fields) or 'none'}")
    value = fields[name]
    if not isinstance(value, str):
        raise fault(path, row, f"field {name!r} holds {value!r}, no text")
    return value


def choice(path: Path, row: int, answer: Any, names: Sequence[str]) -> int:
    """Index of an answer among its choices.

    Raises:
      UserError: it is none of them.
    """
    # A boolean is no label, though it equals 0 or 1.
    if isinstance(answer, bool) or str(answer) not in names:
        raise fault(path, row, f"the answer is {answer!r}, none of {', '.join(names)}")
    return names.index(str(answer))


def labels(path: Path, rows: int, beside: Path, names: Sequence[str]) -> list[int]:
    """Indices of the answers in a file with one to a line, one for each row of another file.

    Raises:
      UserError: there are more or fewer, or one is none of ``names``.
    """
    answers = lines(path)
    if len(answers) != rows:
        raise UserError(
            f"{path}: {len(answers):,} rows, and {beside.name} has {rows:,}: take both files from "
            "the release again"
        )
    return [choice(path, row, answer.strip(), names) for row, answer in enumerate(answers, start=1)]
