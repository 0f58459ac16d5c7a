"""The command that compares one run with another."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.advice import DEFAULT_PROFILE
from repro.cli.app import Details, Profile, app, local_path

if TYPE_CHECKING:
    from repro.comparison import Compared

SHOWN = 5
"""Lines of each kind that are printed without ``--details``."""


@app.command()
def verify(
    first: Annotated[
        Path,
        typer.Argument(parser=local_path, help="A folder of runs or of a node, or records."),
    ],
    second: Annotated[
        Path, typer.Argument(parser=local_path, help="Another one of the same kind.")
    ],
    profile: Profile = DEFAULT_PROFILE,
    details: Details = False,
) -> None:
    """Finds the first step and stream at which two runs differ.

    Exits with 1 if they do. Clocks are not compared.
    """
    found = _compared(first, second, profile)
    for line in found.notes:
        print(f"note: {line}", file=sys.stderr)
    if found.equal:
        print(f"equal: {found.counted:,} values")
        return
    print(
        f"different: {len(found.differences):,} first differences among {found.counted:,} values "
        f"compared; on one side alone: {len(found.missing):,}"
    )
    lines = [difference.line() for difference in found.differences], found.missing
    for group in lines:
        shown = group if details else group[:SHOWN]
        for line in shown:
            print(f"  {line}")
        if len(shown) < len(group):
            print(f"  and {len(group) - len(shown):,} more: --details prints all")
    raise typer.Exit(1)


def _compared(first: Path, second: Path, profile: str) -> Compared:
    from repro import collect, comparison, folders
    from repro.specs import load_profile

    one, other = (
        path / collect.METRICS if (path / collect.METRICS).is_file() else path
        for path in (first, second)
    )
    if one.is_file() and other.is_file():
        return comparison.compare_records(one, other)
    from spactor.checkpoints import digests

    if (one / folders.NODE).is_file() and (other / folders.NODE).is_file():
        return comparison.compare_nodes(one.name, one, other, digests)
    name = load_profile(profile).name
    for path in (one, other):
        folders.open_runs(path, create=False, profile=profile)
    return comparison.compare_runs(
        folders.profile_folder(one, name), folders.profile_folder(other, name), digests
    )
