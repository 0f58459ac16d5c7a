"""Commands that print or draw one output: a table, a figure, a test, claims, the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from repro import advice
from repro.advice import DEFAULT_PROFILE, DEFAULT_RUNS
from repro.cli.app import Details, Profile, Runs, Source, app, evidence, is_collected, measured
from spactor.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


@app.command()
def table(
    number: Annotated[str, typer.Argument(help="Number of the paper's table, 1 to 17.")],
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    source: Source = "",
    format: Annotated[
        str, typer.Option("--format", help="text, markdown, latex, html or csv.")
    ] = "text",
    diff: Annotated[
        bool, typer.Option("--diff", help="Ours beside published, with a verdict on each cell.")
    ] = False,
    notes: Annotated[
        bool, typer.Option("--notes", help="Lists the runs that a footnote counts.")
    ] = False,
) -> None:
    """Prints one of the paper's tables, ours or as published."""
    import tables

    module = tables.get(number)
    if format not in tables.FORMATS:
        raise UserError(f"unknown format {format!r}: give one of {', '.join(tables.FORMATS)}")
    if diff and source == "published":
        raise UserError(
            "--diff compares our numbers with the published ones: leave --from out, or name a "
            "file or a folder of runs"
        )
    if source == "published":
        from analysis.schema import published

        frame = published.load(module.NUMBER)
    else:
        frame = measured(source, profile, runs, module.reads).records
    if diff:
        # Brings SciPy, which no table needs by itself.
        from tables import differences

        computed = differences.compute(module.NUMBER, frame)
    else:
        computed = module.compute(frame)
    shown = computed.detailed() if notes else computed
    print(tables.render(shown, format).rstrip("\n"))


@app.command()
def figure(
    name: Annotated[
        str,
        typer.Argument(
            help="The paper's figure, 1 to 5; B, residuals of Appendix B's line; or S, the summary."
        ),
    ],
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    source: Source = "",
    extended: Annotated[
        bool,
        typer.Option("--all", help="Figures 2 and 5: every τ, Large and the paper's points, too."),
    ] = False,
) -> None:
    """Draws one of the paper's figures as SVG, PDF and PNG."""
    import figures

    module = figures.get(name)
    if source == "published":
        raise UserError(
            "the paper prints no numbers for its figures but Table 2's, which stand beside ours "
            "in Figures 2 and 5: leave --from out, or name a file"
        )
    ours = measured(source, profile, runs, module.reads)
    for path in figures.render(name, ours.records, ours.output / "figures", extended=extended):
        print(path)


@app.command()
def summary(
    profile: Profile = DEFAULT_PROFILE, runs: Runs = DEFAULT_RUNS, source: Source = ""
) -> None:
    """Prints the result in three sentences."""
    from analysis import summary as summaries

    print(summaries.run(measured(source, profile, runs, summaries.READS).records).text())


@evidence.command()
def trend(
    profile: Profile = DEFAULT_PROFILE, runs: Runs = DEFAULT_RUNS, source: Source = ""
) -> None:
    """Tests the trend of the validation losses (Appendix B)."""
    from analysis import trend as trends

    print(trends.run(measured(source, profile, runs, trends.READS).records).text().rstrip("\n"))


@evidence.command()
def savings(
    profile: Profile = DEFAULT_PROFILE, runs: Runs = DEFAULT_RUNS, source: Source = ""
) -> None:
    """Prints the pre-training that each τ saves to reach a score."""
    from analysis import savings as saving
    from analysis.schema import published

    if source == "published":
        frame = published.load_all()
    else:
        frame = measured(source, profile, runs, saving.READS).records
    print(saving.run(frame).text())


@evidence.command()
def learned(
    profile: Profile = DEFAULT_PROFILE, runs: Runs = DEFAULT_RUNS, source: Source = ""
) -> None:
    """Compares the models with trivial predictors and from scratch."""
    from analysis import learning

    ours = measured(source, profile, runs, learning.READS)
    print(learning.run(ours.records).text())
    print(learning.compare_with_scratch(ours.metrics).text())


@evidence.command()
def registered(
    profile: Profile = DEFAULT_PROFILE, runs: Runs = DEFAULT_RUNS, source: Source = ""
) -> None:
    """Runs the tests that were named before the study began."""
    from analysis import registered as tests

    print(tests.run(measured(source, profile, runs, tests.READS).metrics).text())


@app.command()
def claims(
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    source: Source = "",
    verdict: Annotated[
        str,
        typer.Option(
            "--verdict",
            help="Only: holds, partly, not-decided, contradicted, inconsistent, "
            "not-at-this-scale or not-testable.",
        ),
    ] = "",
    details: Details = False,
) -> None:
    """Judges the paper's claims on its own numbers and on ours."""
    from analysis.paper import READS, claims_view, judge
    from analysis.schema import published

    only = claims_view.verdict_named(verdict) if verdict else None
    # Without any runs the paper's own numbers are still worth a verdict.
    nothing_ran = not source and runs == DEFAULT_RUNS and not runs.exists()
    ours = None
    if source != "published" and not nothing_ran:
        ours = judge(measured(source, profile, runs, READS).records)
    rows = claims_view.beside(judge(published.load_all()), ours)
    if only is not None:
        rows = claims_view.of_verdict(rows, only)
    print(claims_view.render(rows, details=details))


@evidence.command()
def power(
    profile: Profile = DEFAULT_PROFILE, runs: Runs = DEFAULT_RUNS, source: Source = ""
) -> None:
    """Prints how many runs each claim needs to be decided."""
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


@app.command()
def report(
    profile: Profile = DEFAULT_PROFILE, runs: Runs = DEFAULT_RUNS, source: Source = ""
) -> None:
    """Writes everything as one self-contained HTML page."""
    from repro.report import Outcomes, write_report

    ours = measured(source, profile, runs)
    outcomes = Outcomes(ours.metrics, ours.timing)
    options = advice.options(profile, runs, source)
    print(write_report(outcomes, ours.provenance, ours.output / "report.html", options))
