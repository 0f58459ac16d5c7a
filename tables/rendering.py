"""A computed table, and how it becomes text: one rounding rule, five formats.

Rounding: the float that is nearest to the number is rounded correctly to the wanted decimals
(Python's ``format``; exact halves go to the even digit), and zero has no sign. Every format prints
the same digits and marks the same cells bold.
"""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2

from spactor.errors import UserError

NOT_RUN = "not run"
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "τ": r"$\tau$",
    "∞": r"$\infty$",
    "×": r"$\times$",
    "−": "$-$",
    "–": "--",
}


@dataclass(frozen=True)
class Column:
    """A column: its name in CSV, and its heading for people."""

    key: str
    heading: str


@dataclass(frozen=True)
class Cell:
    """One number as it stands in a table, unrounded; ``value`` is None where nothing was run.

    Attributes:
      std: standard deviation over ``runs``; None where there is none.
      decimals: digits printed after the point, of mean and std alike.
      bold: marked as higher than the baseline.
      scientific: printed as mantissa times a power of ten.
    """

    value: float | None
    std: float | None = None
    runs: int | None = None
    decimals: int = 2
    bold: bool = False
    scientific: bool = False

    @property
    def mean_text(self) -> str:
        """The number as printed, without its spread."""
        if self.value is None:
            return NOT_RUN
        return rounded(self.value, self.decimals, scientific=self.scientific)

    @property
    def std_text(self) -> str:
        """The spread as printed; "" where there is none."""
        return "" if self.std is None else rounded(self.std, self.decimals)

    def text(self, strong: Callable[[str], str] = lambda mean: mean) -> str:
        """The whole cell; ``strong`` marks the mean where it is bold."""
        mean = strong(self.mean_text) if self.bold else self.mean_text
        return f"{mean} ± {self.std_text}" if self.std_text else mean


MISSING = Cell(value=None)


@dataclass(frozen=True)
class Row:
    """Labels, then cells; rows of one ``section`` stand together between rules."""

    labels: tuple[str, ...]
    cells: tuple[Cell, ...]
    section: str = ""


@dataclass(frozen=True)
class Table:
    """Everything that is printed of one table.

    Attributes:
      number: as in the paper.
      source, profile: of the records it was computed from; "" where there were none.
      caption: one paragraph.
      label_columns, columns: headings of the rows' labels and cells.
      footnotes: one sentence or two each.
    """

    number: int
    source: str
    profile: str
    caption: str
    label_columns: tuple[Column, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    footnotes: tuple[str, ...] = ()

    def sections(self) -> list[list[Row]]:
        """The rows, in runs of equal ``section``."""
        groups: list[list[Row]] = []
        for row in self.rows:
            if not groups or groups[-1][0].section != row.section:
                groups.append([])
            groups[-1].append(row)
        return groups


def rounded(value: float, decimals: int, *, scientific: bool = False) -> str:
    """A number at its printed precision; the one rounding rule.

    >>> rounded(85.894, 2), rounded(1.05, 2), rounded(-0.001, 2), rounded(0.125, 2)
    ('85.89', '1.05', '0.00', '0.12')
    >>> rounded(16000.0, 1, scientific=True)
    '1.6×10⁴'
    """
    if scientific:
        mantissa, exponent = f"{value:.{decimals}e}".split("e")
        return f"{mantissa}×10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0.0 else text


def render(table: Table, format: str = "text") -> str:
    """A table in one of ``FORMATS``, ending in a newline.

    Raises:
      UserError: an unknown format.
    """
    if format not in _WRITERS:
        raise UserError(f"unknown format {format!r}: give one of {', '.join(FORMATS)}")
    return _WRITERS[format](table)


def _text(table: Table) -> str:
    # Imported here, because only this format needs it.
    import rich.box
    import rich.console
    import rich.table
    import rich.text

    grid = rich.table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for column in table.label_columns:
        grid.add_column(rich.text.Text(column.heading), no_wrap=True)
    for column in table.columns:
        grid.add_column(rich.text.Text(column.heading), justify="right", no_wrap=True)
    for section in table.sections():
        for row in section:
            cells = [cell.text(lambda mean: f"*{mean}") for cell in row.cells]
            grid.add_row(*map(rich.text.Text, (*row.labels, *cells)))
        grid.add_section()
    out = io.StringIO()
    # As wide as it takes: a table that wraps is unreadable, a terminal or pager can scroll.
    console = rich.console.Console(file=out, width=1000, color_system=None, legacy_windows=False)
    console.print(grid)
    lines = [line.rstrip().removeprefix(" ") for line in out.getvalue().splitlines()]
    body = "\n".join(lines).strip("\n")
    return "\n".join([table.caption, "", body, "", *table.footnotes]) + "\n"


def _markdown(table: Table) -> str:
    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"

    headings = [column.heading for column in (*table.label_columns, *table.columns)]
    rules = ["---"] * len(table.label_columns) + ["---:"] * len(table.columns)
    lines = [table.caption, "", line(headings), line(rules)]
    for row in table.rows:
        cells = [cell.text(lambda mean: f"**{mean}**") for cell in row.cells]
        lines.append(line([*row.labels, *cells]))
    return "\n".join([*lines, "", *(f"- {note}" for note in table.footnotes)]) + "\n"


def _latex_text(text: str) -> str:
    pieces: list[str] = []
    power = ""
    for sign in text + "\0":
        if sign in "⁰¹²³⁴⁵⁶⁷⁸⁹⁻":
            power += sign
            continue
        if power:
            pieces.append(f"$^{{{power.translate(_DIGITS)}}}$")
            power = ""
        pieces.append("" if sign == "\0" else _LATEX.get(sign, sign))
    return "".join(pieces)


def _latex(table: Table) -> str:
    def cell_text(cell: Cell) -> str:
        mean = _latex_text(cell.mean_text)
        mean = rf"\textbf{{{mean}}}" if cell.bold else mean
        return rf"{mean} $\pm$ {cell.std_text}" if cell.std_text else mean

    headings = [column.heading for column in (*table.label_columns, *table.columns)]
    lines = [
        r"% Needs \usepackage{booktabs}.",
        r"\begin{table}",
        r"  \centering",
        rf"  \begin{{tabular}}{{{'l' * len(table.label_columns)}{'r' * len(table.columns)}}}",
        r"    \toprule",
        "    " + " & ".join(map(_latex_text, headings)) + r" \\",
    ]
    for section in table.sections():
        lines.append(r"    \midrule")
        for row in section:
            cells = [*map(_latex_text, row.labels), *map(cell_text, row.cells)]
            lines.append("    " + " & ".join(cells) + r" \\")
    caption = " ".join([table.caption, *table.footnotes])
    lines += [
        r"    \bottomrule",
        r"  \end{tabular}",
        rf"  \caption{{{_latex_text(caption)}}}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _csv(table: Table) -> str:
    """Long form, a line a cell: unrounded value and std, and the text the other formats print."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    labels = [column.key for column in table.label_columns]
    numbers = ["value", "std", "runs", "bold", "printed"]
    writer.writerow(["table", "source", "profile", *labels, "column", *numbers])
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            writer.writerow(
                [table.number, table.source, table.profile, *row.labels, column.key]
                + ["" if part is None else part for part in (cell.value, cell.std, cell.runs)]
                + [str(cell.bold).lower(), cell.text()]
            )
    return out.getvalue()


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _html(table: Table) -> str:
    return _environment().get_template("table.html").render(table=table)


_WRITERS: Mapping[str, Callable[[Table], str]] = {
    "text": _text,
    "markdown": _markdown,
    "latex": _latex,
    "html": _html,
    "csv": _csv,
}
FORMATS: tuple[str, ...] = tuple(_WRITERS)
