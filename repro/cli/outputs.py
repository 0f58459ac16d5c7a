"""Commands that write one output: table, figure, summary, explain, report."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from repro import advice
from repro.advice import DEFAULT_PROFILE, DEFAULT_RUNS
from repro.cli.app import app, command
from repro.cli.formats import Format, emit
from repro.cli.options import Details, Profile, Records, Runs, To
from repro.drawing_process import drawing_process
from spactor import text_table
from spactor.errors import UserError

Number = Annotated[
    str, typer.Argument(metavar="NUMBER", help="Number of the paper's table, 1 to 17.")
]


@command(app)
def table(
    number: Number,
    chosen: Records,
    format: Annotated[
        str,
        typer.Option(
            "--format", metavar="FORMAT", help="text, markdown, latex, html, csv or json."
        ),
    ] = "text",
    diff: Annotated[
        bool, typer.Option("--diff", help="Prints our numbers beside the paper's, with verdicts.")
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
    if diff and chosen.are_published:
        raise UserError(
            "--diff compares our numbers with the published ones: leave --from out, or name a "
            "file or a folder of runs"
        )
    if chosen.are_published:
        from analysis.schema import published

        frame = published.load(module.NUMBER)
    else:
        frame = chosen.measured(module.reads).records
    if diff:
        # Imports SciPy, which tables without --diff do not need.
        from tables import differences

        computed = differences.compute(module.NUMBER, frame)
    else:
        computed = module.compute(frame)
    shown = computed.detailed() if notes else computed
    width = max(shutil.get_terminal_size().columns, text_table.WIDTH)
    print(tables.render(shown, format, width).rstrip("\n"))


@command(app)
def figure(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="The paper's figure, 1 to 5; B, the residuals of Appendix B; or S, the summary.",
        ),
    ],
    chosen: Records,
    extended: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Figures 2 and 5: also every τ, Large and the paper's points; these and Figure "
            "3: also the zero-shot cloze.",
        ),
    ] = False,
    to: To = None,
) -> None:
    """Draws one of the paper's figures as SVG, PDF and PNG."""
    import figures

    module = figures.get(name)
    if extended and not figures.adds(name):
        more = [number for number in figures.REGISTRY if figures.adds(number)]
        raise UserError(
            f"Figure {name} has one form only: leave --all out; Figures {', '.join(more)} have two"
        )
    if chosen.are_published:
        raise UserError(
            "the paper prints no numbers for its figures, except those of Tables 2 and 4, which "
            "--all draws below ours in Figures 2 and 5: leave --from out, or name a file"
        )
    ours = chosen.measured(module.reads)
    files = figures.encode(name, ours.records, extended=extended)
    for path in figures.save(files, name, to or ours.output / "figures"):
        print(path)


@command(app)
def summary(chosen: Records, format: Format = "text") -> None:
    """Prints the result in three sentences."""
    from analysis import summary as summaries

    found = summaries.run(chosen.measured(summaries.READS).records)
    emit(format, found.text, found.rows(), profile=found.profile)


@command(app)
def explain(
    number: Number,
    row: Annotated[
        str, typer.Option("--row", metavar="LABELS", help="Labels of the row, such as '120K 500K'.")
    ],
    column: Annotated[
        str,
        typer.Option("--column", metavar="HEADING", help="Heading of the column, such as SQuAD."),
    ],
    chosen: Records,
    details: Details = False,
    format: Format = "text",
) -> None:
    """Prints the source of a table's cell: files, runs, code and data."""
    import tables
    from tables import trace_text
    from tables.traces import Tracer

    wanted = tables.get(number).NUMBER
    if chosen.are_published:
        from analysis.schema import published

        tracer = Tracer(published.load(wanted))
    else:
        ours = chosen.measured()
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


@command(app)
def report(
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    sources: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="SOURCE",
            help="Source of the numbers, as for `repro summary`; may be repeated. With several "
            "sources, each has a page, and report.html links the pages.",
        ),
    ] = None,
    to: To = None,
) -> None:
    """Writes everything as one self-contained HTML page."""
    chosen = [Records(profile, runs, source) for source in sources or [""]]
    with drawing_process() as drawer:
        found = [(one.source, one.measured()) for one in chosen]
        from repro.report import Outcomes, Study, write_index, write_report

        studies: list[Study] = []
        for source, ours in found:
            folder = to or (studies[0].folder if studies else ours.output)
            name = study_name(source, [one.name for one in studies])
            page = f"report-{name}.html" if len(found) > 1 else "report.html"
            outcomes = Outcomes(ours.metrics, ours.timing, drawer)
            options = advice.options(profile, runs, source)
            path = write_report(outcomes, ours.provenance, folder / page, options)
            studies.append(Study(name, source, path, outcomes))
    print(path if len(studies) == 1 else write_index(studies, folder / "report.html"))


def study_name(source: str, taken: Collection[str]) -> str:
    """Returns a unique name for the page of a source.

    Args:
      source: argument of ``--from``.
      taken: names of other pages.

    >>> study_name("results/study", []), study_name("other/study/metrics.parquet", ["study"])
    ('study', 'study-2')
    """
    path = Path(source)
    base = (
        re.sub(r"[^\w.-]", "_", (path.parent if path.suffix else path).resolve().name) or "records"
    )
    names = itertools.chain([base], (f"{base}-{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in taken)
