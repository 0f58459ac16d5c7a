"""The command ``repro verify``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.advice import DEFAULT_PROFILE
from repro.cli.app import app, command
from repro.cli.formats import Format, emit
from repro.cli.options import Details, Profile, local_path
from spactor.text_table import paragraphs

if TYPE_CHECKING:
    from repro.comparison import Compared

SHOWN = 5
"""Number of differences, and of missing values, that are printed without ``--details``."""


@command(app)
def verify(
    first: Annotated[
        Path,
        typer.Argument(
            parser=local_path, metavar="A", help="A folder of runs, a node's folder, or records."
        ),
    ],
    second: Annotated[
        Path, typer.Argument(parser=local_path, metavar="B", help="Another one of the same kind.")
    ],
    profile: Profile = DEFAULT_PROFILE,
    details: Details = False,
    format: Format = "text",
) -> None:
    """Finds the first step and value at which two runs differ.

    Exits with 1 if they do. Times are not compared.
    """
    found = _compared(first, second, profile)
    for line in found.notes:
        print(f"note: {line}", file=sys.stderr)
    facts = {"equal": found.equal, "compared": found.counted, "missing": found.missing}
    emit(format, lambda: _text(found, details=details), found.differences, **facts)
    if not found.equal:
        raise typer.Exit(1)


def _text(found: Compared, *, details: bool) -> str:
    if found.equal:
        return f"equal: {found.counted:,} values"
    lines = [
        f"different: {len(found.differences):,} first differences among {found.counted:,} values "
        f"compared; only on one side: {len(found.missing):,}"
    ]
    for group in ([difference.line() for difference in found.differences], found.missing):
        shown = group if details else group[:SHOWN]
        lines += [f"- {line}" for line in shown]
        if len(shown) < len(group):
            lines.append(f"- and {len(group) - len(shown):,} more: --details prints all")
    return paragraphs(lines)


def _compared(first: Path, second: Path, profile: str) -> Compared:
    from repro import collect, comparison, folders
    from repro.specs import load_profile

    one, other = (
        path / collect.METRICS if (path / collect.METRICS).is_file() else path
        for path in (first, second)
    )
    if one.is_file() and other.is_file():
        return comparison.compare_records(one, other)
    if (one / folders.NODE).is_file() and (other / folders.NODE).is_file():
        return comparison.compare_nodes(one.name, one, other)
    name = load_profile(profile).name
    for path in (one, other):
        folders.open_runs(path, create=False, profile=profile)
    homes = (folders.profile_folder(path, name) for path in (one, other))
    return comparison.compare_runs(*homes)
