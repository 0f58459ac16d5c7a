"""The option ``--format`` of commands, and output in its formats."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer

from spactor.errors import UserError

FORMATS = ("text", "json", "csv")


def known_format(given: str) -> str:
    """Validates the argument of ``--format``.

    Raises:
      UserError: the format is unknown.
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
    """Prints the output of a command.

    Args:
      format: one of ``FORMATS``.
      text: function that returns the text; called only for that format.
      rows: mappings or dataclass instances, for CSV and JSON.
      facts: further keys of the JSON object.
    """
    from tables import plain_rows

    if format == "text":
        print(text().rstrip("\n"))
    elif format == "json":
        print(plain_rows.json_text(rows, facts))
    else:
        print(plain_rows.csv_text(rows))
