"""Commands that ask about the numbers themselves: is the paper consistent, where is this from?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from repro.advice import DEFAULT_PROFILE, DEFAULT_RUNS
from repro.cli.app import (
    Profile,
    Runs,
    Source,
    app,
    is_collected,
    measured,
)

if TYPE_CHECKING:
    import pandas as pd


@app.command()
def audit(
    format: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    everything: Annotated[bool, typer.Option("--all", help="The checks that hold, too.")] = False,
) -> None:
    """Recomputes the paper's numbers from each other; lists what is not consistent."""
    from analysis import paper
    from analysis.paper import audit_view
    from analysis.schema import published

    print(audit_view.render(paper.audit(published.load_all()), format, everything=everything))


@app.command()
def explain(
    table: Annotated[int, typer.Option("--table", help="Number of the paper's table.")],
    row: Annotated[str, typer.Option("--row", help="Labels of the row, such as '120K 500K'.")],
    column: Annotated[str, typer.Option("--column", help="Heading of the column, such as SQuAD.")],
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    source: Source = "",
) -> None:
    """Says where a cell of a table comes from: file and line, or runs with all that made them."""
    import tables
    from tables import trace_text
    from tables.traces import Tracer

    tables.get(table)
    if source == "published":
        from analysis.schema import published

        tracer = Tracer(published.load(table))
    else:
        ours = measured(source, profile, runs)
        tracer = Tracer(ours.records, ours.provenance)
    print(trace_text.text(tracer.explain(table, row, column)))


@app.command()
def power(
    profile: Profile = DEFAULT_PROFILE, runs: Runs = DEFAULT_RUNS, source: Source = ""
) -> None:
    """Says how many runs each claim needs to be decided, and whether a profile has them."""
    from analysis.paper import READS
    from repro.specs import load_profile

    frame = None
    if source != "published" and (source or is_collected(load_profile(profile).name, runs)):
        frame = measured(source, profile, runs, READS).records
    print(power_text(profile, frame))


def power_text(profile: str, frame: pd.DataFrame | None) -> str:
    """What the runs of a profile can decide, by the published spreads and by those of records."""
    from analysis import power as powers
    from analysis.schema import published
    from repro.specs import load_profile

    chosen = load_profile(profile)
    has = {size: row.runs * row.finetune_runs for size, row in chosen.matrix.items()}
    known = [published.load_all(), *([] if frame is None else [frame])]
    parts = [powers.run(records, has).text() for records in known]
    return "\n\n".join([f"Runs needed per cell, profile {chosen.name}", *parts])
