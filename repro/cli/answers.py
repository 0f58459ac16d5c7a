"""The option ``--format`` of commands that answer a question, and how they print the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer

from spactor.errors import UserError

FORMATS = ("text", "json", "csv")


def known_format(given: str) -> str:
    """The format of an option.

    Raises:
      UserError: there is none of that name.
    """
    if given not in FORMATS:
        raise UserError(f"unknown format {given!r}: give one of {', '.join(FORMATS)}")
    return given


Format = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="FORMAT",
        callback=known_format,
        help="text, json (all numbers) or csv (a line per row).",
    ),
]


def emit(format: str, text: Callable[[], str], rows: Iterable[Any], **facts: Any) -> None:
    """Prints an answer.

    Args:
      format: one of ``FORMATS``.
      text: makes the text; called for that format alone.
      rows: mappings or dataclass instances, for CSV and JSON.
      facts: what JSON has beside the rows.
    """
    from tables import plain_rows

    if format == "text":
        print(text().rstrip("\n"))
    elif format == "json":
        print(plain_rows.json_text(rows, facts))
    else:
        print(plain_rows.csv_text(rows))
