"""Commands that say what differs: a node's inputs from those recorded, one run from another."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from repro.cli.app import DEFAULT_PROFILE, DEFAULT_RUNS, Data, Profile, Runs, Study, app, tree_of


@app.command()
def why(
    node: Annotated[
        list[str] | None,
        typer.Argument(help="Names of nodes, or patterns such as 'base/s0/sc/*'; else all."),
    ] = None,
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    study: Study = "",
    data: Data = None,
) -> None:
    """Says what the next run does with a node, and which input is the reason."""
    from repro import folders
    from repro import why as reasons
    from repro.engines.data import DataSource
    from repro.specs import load_profile

    folders.open_runs(runs, create=False)
    engine = folders.engine_of(runs, load_profile(profile).name) or ""
    tree = tree_of(profile, study=study, engine=engine)
    names = tree.named(node) if node else tuple(tree.nodes)
    source = DataSource.of(tree.profile, data, None)
    found = source.find(tree.profile, folders.cache_folder(runs))
    if found is None:
        print(reasons.DATA_UNKNOWN, file=sys.stderr)
    files = found.files if found else reasons.recorded_files(tree, runs)
    for answer in reasons.explain(tree, runs, files, names):
        print("\n".join(answer.lines()))
