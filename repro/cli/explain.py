"""Commands on the numbers themselves: whether the paper's agree, where a cell comes from."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from repro.advice import DEFAULT_PROFILE, DEFAULT_RUNS
from repro.cli.answers import Format, emit
from repro.cli.app import Details, Profile, Runs, Source, app, measured


@app.command()
def audit(
    format: Format = "text",
    everything: Annotated[bool, typer.Option("--all", help="All checks.")] = False,
    details: Details = False,
) -> None:
    """Checks the paper's numbers against each other."""
    from analysis import paper
    from analysis.paper import audit_view
    from analysis.schema import published

    judgements = paper.audit(published.load_all())
    found = audit_view.groups(judgements, everything=everything)
    emit(
        format,
        lambda: audit_view.text(judgements, found, details=details),
        audit_view.plain(found),
        checked=len(judgements),
        counts=Counter(one.verdict for one in judgements),
    )


@app.command()
def explain(
    number: Annotated[
        str, typer.Argument(metavar="NUMBER", help="Number of the paper's table, 1 to 17.")
    ],
    row: Annotated[
        str, typer.Option("--row", metavar="LABELS", help="Labels of the row, such as '120K 500K'.")
    ],
    column: Annotated[
        str,
        typer.Option("--column", metavar="HEADING", help="Heading of the column, such as SQuAD."),
    ],
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    source: Source = "",
    details: Details = False,
    format: Format = "text",
) -> None:
    """Prints where a cell of a table comes from."""
    import tables
    from tables import trace_text
    from tables.traces import Tracer

    wanted = tables.get(number).NUMBER
    if source == "published":
        from analysis.schema import published

        tracer = Tracer(published.load(wanted))
    else:
        ours = measured(source, profile, runs)
        tracer = Tracer(ours.records, ours.provenance)
    trace = tracer.explain(wanted, row, column)
    emit(
        format,
        lambda: trace_text.text(trace, details=details),
        trace.runs or trace.printed,
        cell=trace.place.title,
        printed=trace.place.cell.text(),
        source=trace.source,
        lines=trace.lines,
    )
