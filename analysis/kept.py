"""Measurements that take long: kept in a file, renewed one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from spactor import files, strict_json
from spactor.errors import UserError

Program = TypeVar("Program", bound=Hashable)


class OfProgram(Protocol):
    """What every measurement says."""

    @property
    def program(self) -> Any:
        """What was measured, by which measurements are told apart."""
        ...


Measured = TypeVar("Measured", bound=OfProgram)


def load(
    path: Path, form: int, command: str, read: Callable[[Mapping[str, Any]], Measured]
) -> dict[Any, Measured]:
    """The measurements of a file by their programs; none if there is no file.

    Args:
      path: of JSON, with a list ``programs``.
      form: its format, as it must be.
      command: that writes it anew, to be named in an error.
      read: makes a measurement of an entry.

    Raises:
      UserError: the file can't be read as such.
    """
    if not path.is_file():
        return {}
    try:
        data = strict_json.loads(path.read_text("utf-8"))
        if data["format"] != form:
            raise ValueError(f"format {data['format']}")
        return {one.program: one for one in map(read, data["programs"])}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: can't be read ({error}); write it anew: {command}") from error


def write(path: Path, data: Mapping[str, Any]) -> None:
    """Replaces a file as a whole."""
    files.write_atomically(path, (json.dumps(data, indent=1) + "\n").encode())


def renew(
    known: Mapping[Program, Measured],
    reasons: Mapping[Program, str],
    measure: Callable[[Program], Measured],
    keep: Callable[[Mapping[Program, Measured]], None],
    report: Callable[[str], None],
    results: Callable[[Measured], str],
) -> dict[Program, Measured]:
    """Measures what is due and keeps each as soon as it is there.

    Args:
      known: measurements to start with.
      reasons: what is due, and why.
      measure: takes minutes.
      keep: writes all of them.
      report: told what is done, a line at a time.
      results: what is reported of a measurement.
    """
    measured = dict(known)
    for program, reason in reasons.items():
        report(f"{program}: {reason}; compiling")
        measured[program] = measure(program)
        keep(measured)
        report(f"{program}: {results(measured[program])}")
    return measured


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in markdown, its first column to the left.

    >>> print(table(["", "a"], [["x", "1"]]))
    |  | a |
    | --- | ---: |
    | x | 1 |
    """
    headings = list(headings)
    lines = [f"| {' | '.join(headings)} |", f"| --- |{' ---: |' * (len(headings) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
