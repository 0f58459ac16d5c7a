"""Commands that print or draw one output: a table, a figure, a test, claims, the report."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro import advice
from repro.advice import DEFAULT_PROFILE, DEFAULT_RUNS
from repro.cli.answers import Format, emit
from repro.cli.app import (
    Details,
    Profile,
    Runs,
    Source,
    To,
    app,
    evidence,
    is_collected,
    measured,
)
from spactor import text_table
from spactor.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.learning import LearningResult, ScratchResult
    from analysis.power import PowerResult


@app.command()
def table(
    number: Annotated[
        str, typer.Argument(metavar="NUMBER", help="Number of the paper's table, 1 to 17.")
    ],
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    source: Source = "",
    format: Annotated[
        str,
        typer.Option(
            "--format", metavar="FORMAT", help="text, markdown, latex, html, csv or json."
        ),
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
    width = max(shutil.get_terminal_size().columns, text_table.WIDTH)
    print(tables.render(shown, format, width).rstrip("\n"))


@app.command()
def figure(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="The paper's figure, 1 to 5; B, the residuals of Appendix B; or S, the summary.",
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
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    source: Source = "",
    format: Format = "text",
) -> None:
    """Prints the result in three sentences."""
    from analysis import summary as summaries

    found = summaries.run(measured(source, profile, runs, summaries.READS).records)
    emit(format, found.text, found.rows(), profile=found.profile)


@evidence.command()
def trend(
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    source: Source = "",
    format: Format = "text",
) -> None:
    """Tests the trend of the validation losses (Appendix B)."""
    from analysis import trend as trends

    found = trends.run(measured(source, profile, runs, trends.READS).records)
    emit(format, found.text, found.rows(), profile=found.profile, readings=found.readings)


@evidence.command()
def savings(
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    source: Source = "",
    format: Format = "text",
) -> None:
    """Prints the pre-training that each τ saves to reach a score."""
    from analysis import savings as saving
    from analysis.schema import published

    if source == "published":
        frame = published.load_all()
    else:
        frame = measured(source, profile, runs, saving.READS).records
    found = saving.run(frame)
    facts = {"profile": found.profile, "step_costs": found.overheads}
    emit(format, found.text, found.savings, **facts)


@evidence.command()
def learned(
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    source: Source = "",
    format: Format = "text",
) -> None:
    """Compares the models with trivial predictors and from scratch."""
    from analysis import learning

    ours = measured(source, profile, runs, learning.READS)
    found, scratch = learning.run(ours.records), learning.compare_with_scratch(ours.metrics)
    rows = (*found.checks, *scratch.comparisons)
    emit(format, lambda: learned_text(found, scratch), rows, profile=found.profile)


def learned_text(found: LearningResult, scratch: ScratchResult) -> str:
    """Both comparisons of ``repro evidence learned``."""
    return f"{found.text()}\n\n{scratch.text()}"


@evidence.command()
def registered(
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    source: Source = "",
    format: Format = "text",
) -> None:
    """Runs the tests that were named before the study began."""
    from analysis import registered as tests

    found = tests.run(measured(source, profile, runs, tests.READS).metrics)
    emit(format, found.text, found.rows(), profile=found.profile)


@app.command()
def claims(
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    source: Source = "",
    verdict: Annotated[
        str,
        typer.Option(
            "--verdict",
            metavar="VERDICT",
            help="Only: holds, partly, not-decided, contradicted, inconsistent, "
            "not-at-this-scale or not-testable.",
        ),
    ] = "",
    details: Details = False,
    format: Format = "text",
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
    emit(format, lambda: claims_view.render(rows, details=details), claims_view.plain(rows))


@evidence.command()
def power(
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    source: Source = "",
    format: Format = "text",
) -> None:
    """Prints how many runs each claim needs to be decided."""
    from analysis.paper import READS
    from repro.specs import load_profile

    frame = None
    if source != "published" and (source or is_collected(load_profile(profile).name, runs)):
        frame = measured(source, profile, runs, READS).records
    found = powers(profile, frame)
    rows = [row for one in found for row in one.rows()]
    emit(format, lambda: power_text(profile, found), rows, runs=found[0].runs)


def powers(profile: str, frame: pd.DataFrame | None) -> list[PowerResult]:
    """What the runs of a profile can decide, by the published spreads and by those of records."""
    from analysis import power as powers
    from analysis.schema import published
    from repro.specs import load_profile

    has = {size: row.runs * row.finetune_runs for size, row in load_profile(profile).matrix.items()}
    known = [published.load_all(), *([] if frame is None else [frame])]
    return [powers.run(records, has) for records in known]


def power_text(profile: str, found: Sequence[PowerResult]) -> str:
    """The results of ``powers``."""
    from repro.specs import load_profile

    head = f"Runs needed per cell, profile {load_profile(profile).name}"
    return "\n\n".join([head, *(one.text() for one in found)])


@app.command()
def report(
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    sources: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="SOURCE",
            help="Where the numbers come from, as of `repro summary`. It may be repeated: each "
            "source has its page, and report.html links them with the result of each.",
        ),
    ] = None,
    to: To = None,
) -> None:
    """Writes everything as one self-contained HTML page."""
    from repro.report import Outcomes, Study, write_index, write_report

    studies: list[Study] = []
    for source in sources or [""]:
        ours = measured(source, profile, runs)
        folder = to or (studies[0].folder if studies else ours.output)
        name = study_name(source, [one.name for one in studies])
        page = f"report-{name}.html" if len(sources or []) > 1 else "report.html"
        outcomes = Outcomes(ours.metrics, ours.timing)
        options = advice.options(profile, runs, source)
        path = write_report(outcomes, ours.provenance, folder / page, options)
        studies.append(Study(name, source, path, outcomes))
    print(path if len(studies) == 1 else write_index(studies, folder / "report.html"))


def study_name(source: str, taken: Collection[str]) -> str:
    """A name for the page of a source that no other page has.

    >>> study_name("results/micro", []), study_name("other/micro/metrics.parquet", ["micro"])
    ('micro', 'micro-2')
    """
    path = Path(source)
    base = (
        re.sub(r"[^\w.-]", "_", (path.parent if path.suffix else path).resolve().name) or "records"
    )
    names = itertools.chain([base], (f"{base}-{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in taken)
