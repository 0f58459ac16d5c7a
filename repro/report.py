"""One self-contained HTML page: what the paper printed, what was measured, and from what.

Everything that comes from data is escaped; the page holds no script, asks for nothing over the
network (a content security policy forbids it) and has no date, so equal records give equal bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
import pandas as pd
from markupsafe import Markup

import figures
import tables
from analysis import claims, learning, trend
from analysis.claims import showing
from figures import drawing
from repro import published
from repro import records as record_files
from spactor import files
from tables import breakdowns
from tables.cells import Cell, Column, Row, Table
from tables.score_table import SUITE_HEADINGS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TEMPLATES = Path(__file__).parent / "templates"
_DIGEST = re.compile(r"[0-9a-f]{32,}")
NOT_PRINTED = "–"


@dataclass(frozen=True)
class PairedRow:
    """A table's row with our cell and the paper's; None where the paper prints no such cell."""

    labels: tuple[str, ...]
    cells: tuple[tuple[Cell, Cell | None], ...]


@dataclass(frozen=True)
class PairedBlock:
    """Some columns of a table, under a caption, with the rows in sections."""

    caption: str
    columns: tuple[Column, ...]
    sections: tuple[tuple[PairedRow, ...], ...]


@dataclass(frozen=True)
class PairedTable:
    """Our table, and its blocks with the published cells beside."""

    table: Table
    published_caption: str
    blocks: tuple[PairedBlock, ...]

    @property
    def ran(self) -> bool:
        """Whether any cell of ours has something in it."""
        return any(not cell.missing for row in self.table.rows for cell in row.cells)


@dataclass(frozen=True)
class SuiteState:
    """What the records hold of one suite."""

    heading: str
    tasks: tuple[str, ...]
    runs: int
    checkpoints: str

    @property
    def ran(self) -> bool:
        """Whether there is any run of it."""
        return self.runs > 0


@dataclass(frozen=True)
class Shown:
    """A value of the provenance: short text, and the whole of it where that was shortened."""

    text: str
    whole: str = ""


@dataclass(frozen=True)
class Provenance:
    """The runner's mappings: what is the same everywhere, and a table of the rest."""

    common: tuple[tuple[str, Shown], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[Shown, ...], ...]


def write_report(
    records: pd.DataFrame,
    timing: pd.DataFrame | None,
    provenance: Sequence[Mapping[str, object]],
    path: Path,
) -> Path:
    """Writes the page.

    Args:
      records: measured records of one profile; may be empty.
      timing: wall-clock records of the same profile, or None.
      provenance: one mapping per node as the runner wrote it; values may be nested.
      path: the HTML file; written in one step.

    Returns:
      The path.

    Raises:
      UserError: records are invalid or of several profiles, or the disk refused.
    """
    path = Path(path)
    files.write_atomically(path, page(records, timing, provenance).encode())
    return path


def page(
    records: pd.DataFrame,
    timing: pd.DataFrame | None,
    provenance: Sequence[Mapping[str, object]],
) -> str:
    """The page's text; arguments and errors as ``write_report``."""
    everything = record_files.combine(records, *([] if timing is None else [timing]))
    origin = record_files.sole_profile(everything)
    paired = [_pair(number, module, everything) for number, module in tables.REGISTRY.items()]
    drawn = [
        (number, _inline_svg(module.draw(module.compute(everything)), f"figure{number}"))
        for number, module in figures.REGISTRY.items()
    ]
    checks = learning.run(everything)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(
        profile=origin[1] if origin else "",
        style=Markup((_TEMPLATES / "report.css").read_text(encoding="utf-8")),
        tables=[pair for pair in paired if pair.table.number not in breakdowns.TABLES],
        breakdowns=[pair for pair in paired if pair.table.number in breakdowns.TABLES],
        figures=drawn,
        trend=trend.run(everything),
        trend_module=trend,
        learning=checks,
        claims=showing.beside(claims.judge(published.load_all()), claims.judge(everything)),
        showing=showing,
        passed=sum(check.passed for check in checks.checks),
        suites=_suites(everything),
        seeds=sorted({int(seed) for seed in everything["seed"].dropna()}),
        provenance=arrange_provenance(provenance),
        not_printed=NOT_PRINTED,
    )


def _pair(number: int, module: tables.TableModule, records: pd.DataFrame) -> PairedTable:
    ours, paper = module.compute(records), module.compute(published.load(number))
    printed = {
        (row.labels, column.key): cell
        for row in paper.rows
        for column, cell in zip(paper.columns, row.cells, strict=True)
        if not cell.missing
    }

    def beside(row: Row, columns: tuple[Column, ...]) -> PairedRow:
        cells = zip(columns, row.cells, strict=True)
        return PairedRow(
            row.labels,
            tuple((cell, printed.get((row.labels, column.key))) for column, cell in cells),
        )

    return PairedTable(
        table=ours,
        published_caption=paper.caption,
        blocks=tuple(
            PairedBlock(
                caption=block.caption,
                columns=block.columns,
                sections=tuple(
                    tuple(beside(row, block.columns) for row in section)
                    for section in block.sections()
                ),
            )
            for block in ours.blocks()
        ),
    )


def _inline_svg(figure: Figure, name: str) -> Markup:
    """A figure's SVG as part of a page: no prologue, ids of its own, a name for screen readers."""
    text = drawing.encode(figure, "svg").decode()
    body = text[text.index("<svg") :]
    body = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", body)
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    # Drawn from our own code with names escaped by matplotlib: markup by intent.
    return Markup(body.replace("<svg", f'<svg role="img" aria-labelledby="{name}-caption"', 1))


def _suites(records: pd.DataFrame) -> list[SuiteState]:
    scored = records[(records["suite"] != "") & (records["task"] != "")]
    states = []
    for suite, heading in SUITE_HEADINGS.items():
        own = scored[scored["suite"] == suite]
        named = own[["task", "metric"]].drop_duplicates().groupby("task")["metric"]
        run = ["size", "tau", "checkpoint", "seed", "finetune_seed"]
        cells = own[["size", "tau", "checkpoint"]].drop_duplicates()
        states.append(
            SuiteState(
                heading=heading,
                tasks=tuple(f"{task} ({', '.join(sorted(metrics))})" for task, metrics in named),
                runs=len(own[run].drop_duplicates()),
                checkpoints=f"{len(cells)} checkpoints",
            )
        )
    return states


def arrange_provenance(mappings: Sequence[Mapping[str, object]]) -> Provenance:
    """Splits provenance into what all nodes share and a table of what differs.

    >>> shown = arrange_provenance([{"node": "a", "seed": 0}, {"node": "b", "seed": 0}])
    >>> shown.columns, [row[0].text for row in shown.rows]
    (('node',), ['a', 'b'])
    >>> shown.common
    (('seed', Shown(text='0', whole='')),)
    """
    keys = list(dict.fromkeys(str(key) for mapping in mappings for key in mapping))
    whole = [{str(key): _flat(value) for key, value in mapping.items()} for mapping in mappings]
    shared = [
        key
        for key in keys
        if len(whole) > 1
        and all(key in row for row in whole)
        and len({row[key] for row in whole}) == 1
    ]
    columns = [key for key in keys if key not in shared]
    return Provenance(
        common=tuple((key, _shorten(whole[0][key])) for key in shared),
        columns=tuple(columns),
        rows=tuple(tuple(_shorten(row.get(key, "")) for key in columns) for row in whole)
        if columns
        else (),
    )


def _flat(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_flat(inner)}" for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_flat, value))
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return str(value)


def _shorten(text: str) -> Shown:
    short = _DIGEST.sub(lambda digest: digest[0][:12], text)
    return Shown(short, text if short != text else "")
