"""Commands about data: what the embedded suites hold."""

from __future__ import annotations

import sys

import typer

from repro.cli.app import DEFAULT_PROFILE, DEFAULT_RUNS, Profile, Runs, app
from spactor.errors import UserError

data = typer.Typer(name="data", help="What the models are fine-tuned on.", no_args_is_help=True)
app.add_typer(data)


@data.command()
def describe(profile: Profile = DEFAULT_PROFILE, runs: Runs = DEFAULT_RUNS) -> None:
    """Prints sizes and label balance of the embedded suites; prepares them if need be."""
    from repro import folders
    from repro.engines.factory import engine_for
    from repro.specs import load_profile
    from spactor.data.suites import description

    chosen = load_profile(profile)
    if chosen.data.corpus != "embedded":
        raise UserError(
            f"profile {profile} has no embedded suites: 'repro data check SUITE' says what the "
            "real ones hold"
        )
    cache = folders.cache_folder(runs)
    engine = engine_for(chosen, cache)
    folders.open_runs(runs, create=True)
    folder = engine.prepare(chosen, cache, lambda line: print(line, file=sys.stderr)).folder
    print(description.text(description.describe(folder)))
