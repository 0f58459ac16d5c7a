"""The command that writes every output of a set of records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from repro import advice
from repro.cli.app import app, command
from repro.cli.evidence import learned_text, power_text
from repro.cli.options import Records, To
from repro.drawing_process import drawing_process

if TYPE_CHECKING:
    from repro.report import Outcomes

ENDINGS = {
    **{"text": "txt", "markdown": "md", "latex": "tex"},
    **{format: format for format in ("html", "csv", "json")},
}
"""Of a file, by its format."""


@command(app)
def rebuild(chosen: Records, to: To = None) -> None:
    """Writes every table, figure, test and the report from records.

    Trains nothing. Equal records give equal bytes.
    """
    with drawing_process() as drawer:
        ours = chosen.measured()
        folder = to or ours.output
        written = []
        import figures
        from figures import drawing
        from repro.report import Outcomes, write_report
        from spactor import files

        outcomes = Outcomes(ours.metrics, ours.timing, drawer, drawing.KINDS)
        for name, text in _texts(outcomes):
            path = folder / name
            files.write_atomically(path, (text.rstrip("\n") + "\n").encode())
            written.append(path)
        options = advice.options(chosen.profile, chosen.runs, chosen.source)
        page = write_report(outcomes, ours.provenance, folder / "report.html", options)
        written.append(page)
        for number, encoded in outcomes.figures.items():
            written += figures.save(encoded, number, folder / "figures")
    print(f"{len(written)} files in {folder}; begin with {page}")


def _texts(outcomes: Outcomes) -> Iterator[tuple[str, str]]:
    """Name and content of every file but the figures and the report."""
    import tables
    from analysis.paper import claims_view

    for number, table in outcomes.tables.items():
        for format in tables.FORMATS:
            yield f"tables/table{number}.{ENDINGS[format]}", tables.render(table, format)
    yield "summary.txt", outcomes.summary.text()
    yield "registered.txt", outcomes.registered.text()
    yield "savings.txt", outcomes.savings.text()
    yield "power.txt", power_text(outcomes.power)
    yield "learned.txt", learned_text(outcomes.learning, outcomes.scratch)
    yield "claims.txt", claims_view.render(outcomes.judged, details=True)
    # Last, because the other process tests the trend meanwhile.
    yield "trend.txt", outcomes.trend.text()
