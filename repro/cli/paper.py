"""Commands on the paper's statements and numbers: claims, audit."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from repro.cli.app import app, command
from repro.cli.formats import Format, emit
from repro.cli.options import Details, Records


@command(app)
def claims(
    chosen: Records,
    verdict: Annotated[
        str,
        typer.Option(
            "--verdict",
            metavar="VERDICT",
            help="Only claims with this verdict, on either side; such as holds or 'not decided'.",
        ),
    ] = "",
    details: Details = False,
    format: Format = "text",
) -> None:
    """Judges the paper's claims by its own numbers and by ours."""
    from analysis.paper import READS, claims_view, judge
    from analysis.schema import published

    only = claims_view.verdict_named(verdict) if verdict else None
    found = chosen.measured_if_any(READS)
    ours = judge(found.records) if found else None
    rows = claims_view.pair_rows(judge(published.load_all()), ours)
    if only is not None:
        rows = claims_view.of_verdict(rows, only)
    emit(format, lambda: claims_view.render(rows, details=details), claims_view.plain(rows))


@command(app)
def audit(
    format: Format = "text",
    everything: Annotated[
        bool, typer.Option("--all", help="Lists all checks, not only inconsistent ones.")
    ] = False,
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
