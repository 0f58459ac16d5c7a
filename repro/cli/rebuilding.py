"""The command that writes everything the records tell, in one go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.cli.app import DEFAULT_PROFILE, DEFAULT_RUNS, Profile, Runs, Source, app, measured
from repro.cli.questions import power_text

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = {
    **{"text": "txt", "markdown": "md", "latex": "tex"},
    **{"html": "html", "csv": "csv", "json": "json"},
}
"""Of a file, by its format."""


@app.command()
def rebuild(
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    source: Source = "",
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder to write to; by default beside the records.")
    ] = None,
) -> None:
    """Writes every table, figure and test and the report from collected records; trains nothing.

    Equal records give equal bytes.
    """
    import figures
    from repro.report import write_report
    from spactor import files

    ours = measured(source, profile, runs)
    frame = ours.records
    folder = to or ours.output
    written = []
    for name, text in _texts(frame, profile):
        path = folder / name
        files.write_atomically(path, (text.rstrip("\n") + "\n").encode())
        written.append(path)
    for module in figures.REGISTRY.values():
        written += module.render(module.compute(frame), folder / "figures")
    page = folder / "report.html"
    written.append(write_report(ours.metrics, ours.timing, ours.provenance, page))
    print(f"{len(written)} files in {folder}; begin with {page}")


def _texts(frame: pd.DataFrame, profile: str) -> Iterator[tuple[str, str]]:
    """Name and content of every file but the figures and the report."""
    import tables
    from analysis import learning, savings, scratch, trend
    from analysis.claims import judge, showing
    from repro import published

    for number, module in tables.REGISTRY.items():
        table = module.compute(frame)
        for format in tables.FORMATS:
            yield f"tables/table{number}.{ENDINGS[format]}", module.render(table, format)
    yield "trend.txt", trend.run(frame).text()
    yield "savings.txt", savings.run(frame).text()
    yield "power.txt", power_text(profile, frame)
    yield "learned.txt", f"{learning.run(frame).text()}\n{scratch.run(frame).text()}"
    rows = showing.beside(judge(published.load_all()), judge(frame))
    for format in showing.FORMATS:
        yield f"claims.{ENDINGS[format]}", showing.render(rows, format)
