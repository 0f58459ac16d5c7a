"""How a computed table becomes text: five formats with the same digits and the same bold.

A table of many columns is broken into blocks, one under the other, with its row labels in each;
CSV is long instead, a line for every number.
"""

from __future__ import annotations

import csv
import functools
import io
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import jinja2

from spactor.errors import UserError
from tables.cells import Cell, Column, Row, Table

_HEADING_WIDTH = 13
"""Longer headings are broken between words where a column would else be wide."""
_LATEX_HEADING_WIDTH = 8
"""The same in LaTeX, where a page has an edge; so are cells and labels longer than these."""
_LATEX_LONGEST = 32
_LATEX_LONGEST_FLAT = 15
_LONGEST_FLOAT = 40
"""More rows than this need a LaTeX table that may go on over the page."""
_NUMBERS = ("value", "std", "runs")
_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻₀₁₂₃₄₅₆₇₈₉", "0123456789-0123456789")
_LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    **{
        sign: f"$\\{name}$"
        for sign, name in {
            **{"α": "alpha", "β": "beta", "κ": "kappa", "λ": "lambda", "μ": "mu", "τ": "tau"},
            **{"±": "pm", "∞": "infty", "×": "times", "√": "surd", "≤": "le", "≥": "ge"},
            **{"Δ": "Delta", "π": "pi", "·": "cdot"},
        }.items()
    },
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "−": "$-$",
    "–": "--",
    "—": "---",
    "…": r"\dots{}",
    "’": "'",
}
_MARKDOWN = str.maketrans({sign: f"\\{sign}" for sign in "\\|["})
_FORMULA = tuple("=+-@\t\r")
"""Beginnings of a cell that a spreadsheet computes instead of printing it."""
_NUMBER = re.compile(r"[-+]?[0-9.,]+(e[-+]?[0-9]+|×10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?( ± [0-9.]+)?( ?%)?")
_RAISED_OR_LOWERED = re.compile(r"([⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)|([₀₁₂₃₄₅₆₇₈₉]+)")


def render(table: Table, format: str = "text") -> str:
    """A table in one of ``FORMATS``, ending in a newline.

    Raises:
      UserError: an unknown format.
    """
    if format not in _WRITERS:
        raise UserError(f"unknown format {format!r}: give one of {', '.join(FORMATS)}")
    return _WRITERS[format](table)


def _heading_lines(column: Column, width: int = _HEADING_WIDTH) -> list[str]:
    """A heading broken between words, no narrower than its longest.

    >>> _heading_lines(Column("x", "High School Computer Science"))
    ['High School', 'Computer', 'Science']
    """
    longest = max(map(len, column.heading.split()), default=0)
    return textwrap.wrap(column.heading, max(width, longest), break_on_hyphens=False) or [""]


def _text(table: Table) -> str:
    bodies = [_text_block(block) for block in table.blocks()]
    body = "\n\n".join(bodies)
    return "\n".join([table.caption, "", body, "", *table.footnotes]).rstrip("\n") + "\n"


def _text_block(table: Table) -> str:
    # Imported here, because only this format needs it.
    import rich.box
    import rich.console
    import rich.table
    import rich.text

    grid = rich.table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for column in (*table.label_columns, *table.columns):
        left = column.words or column in table.label_columns
        heading = rich.text.Text("\n".join(_heading_lines(column)))
        grid.add_column(heading, justify="left" if left else "right", no_wrap=True)
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
    return "\n".join(lines).strip("\n")


def _markdown(table: Table) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(map(_markdown_text, cells)) + " |"

    lines = [_markdown_text(table.caption)]
    for block in table.blocks():
        every = (*block.label_columns, *block.columns)
        left = [column in block.label_columns or column.words for column in every]
        lines += ["", line(column.heading for column in every)]
        lines.append(line("---" if words else "---:" for words in left))
        for row in block.rows:
            cells = [cell.text(lambda mean: f"**{mean}**") for cell in row.cells]
            lines.append(line([*row.labels, *cells]))
    notes = (
        ["", *(f"- {_markdown_text(note)}" for note in table.footnotes)] if table.footnotes else []
    )
    return "\n".join([*lines, *notes]) + "\n"


def _markdown_text(text: str) -> str:
    """Text in one cell, without HTML, links or pictures of its own.

    >>> _markdown_text("a|b <i> [x](y)")
    'a\\\\|b &lt;i> \\\\[x](y)'
    """
    return " ".join(text.split()).replace("<", "&lt;").translate(_MARKDOWN)


def _latex_text(text: str) -> str:
    """Text with every sign that LaTeX reads otherwise, or that is not ASCII, written out.

    >>> _latex_text("1.6×10⁴ & λ₁")
    '1.6$\\\\times$10$^{4}$ \\\\& $\\\\lambda$$_{1}$'
    """
    pieces = []
    # An empty line would end the paragraph, and with it the table.
    for piece in filter(None, _RAISED_OR_LOWERED.split(" ".join(text.split()))):
        kind = _RAISED_OR_LOWERED.fullmatch(piece)
        if kind:
            sign = "^" if kind[1] else "_"
            pieces.append(f"${sign}{{{piece.translate(_DIGITS)}}}$")
        else:
            pieces += [_LATEX.get(sign, sign) for sign in piece]
    return "".join(pieces)


def _latex_cell(cell: Cell) -> str:
    mean = _latex_text(cell.mean_text)
    mean = rf"\textbf{{{mean}}}" if cell.bold else mean
    return rf"{mean} $\pm$ {cell.std_text}" if cell.std_text else mean


def _latex_columns(table: Table) -> tuple[str, str]:
    """Alignments of a tabular, and its line of headings."""
    alignments, headings = [], []
    every = (*table.label_columns, *table.columns)
    limit = _LATEX_LONGEST_FLAT if table.flat else _LATEX_LONGEST
    for position, column in enumerate(every):
        label = position < len(table.label_columns)
        texts = [
            (*row.labels, *(cell.text() for cell in row.cells))[position] for row in table.rows
        ]
        if (label or column.words) and max(map(len, texts), default=0) > limit:
            alignments.append(rf">{{\raggedright\arraybackslash}}p{{{limit / 2:g}em}}")
            headings.append(_latex_text(column.heading))
            continue
        side = "l" if label or column.words else "r"
        lines = list(map(_latex_text, _heading_lines(column, _LATEX_HEADING_WIDTH)))
        alignments.append(side)
        stacked = r"\\".join(lines)
        headings.append(lines[0] if len(lines) == 1 else rf"\shortstack[{side}]{{{stacked}}}")
    return "".join(alignments), " & ".join(headings) + r" \\"


def _latex_rows(table: Table) -> list[str]:
    lines = []
    for section in table.sections():
        lines.append(r"\midrule")
        for row in section:
            cells = [*map(_latex_text, row.labels), *map(_latex_cell, row.cells)]
            lines.append(" & ".join(cells) + r" \\")
    return [*lines, r"\bottomrule"]


def _latex(table: Table) -> str:
    """A float, or a longtable where it would be longer than a page."""
    caption = rf"\caption{{{_latex_text(table.caption)}}}"
    notes = [rf"{_latex_text(note)}\par" for note in table.footnotes]
    small = r"\scriptsize\setlength{\tabcolsep}{2pt}"
    lines = [
        r"% Needs \usepackage{array,booktabs,longtable} and a text 16 cm wide, such as",
        r"% \usepackage[margin=2.5cm]{geometry} leaves on A4.",
    ]
    if len(table.rows) > _LONGEST_FLOAT:
        lines += [r"\begingroup", small, r"\setlength{\LTcapwidth}{\linewidth}"]
        for number, block in enumerate(table.blocks()):
            alignments, headings = _latex_columns(block)
            lines += [
                rf"\begin{{longtable}}{{{alignments}}}",
                *([] if number else [rf"{caption} \\"]),
                r"\toprule",
                headings,
                r"\endhead",
                *_latex_rows(block),
                r"\end{longtable}",
            ]
        return "\n".join([*lines, r"\raggedright", *notes, r"\endgroup"]) + "\n"
    lines += [r"\begin{table}", r"\centering", small]
    for number, block in enumerate(table.blocks()):
        alignments, headings = _latex_columns(block)
        lines += [r"\par\medskip"] if number else []
        lines += [rf"\begin{{tabular}}{{{alignments}}}", r"\toprule", headings]
        lines += [*_latex_rows(block), r"\end{tabular}"]
    return (
        "\n".join([*lines, caption, r"\par\smallskip\raggedright", *notes, r"\end{table}"]) + "\n"
    )


def _csv(table: Table) -> str:
    return _csv_flat(table) if table.flat else _csv_long(table)


def _csv_long(table: Table) -> str:
    """A line a number: unrounded value and std, and its cell as the other formats print it."""
    labels = [column.key for column in table.label_columns]
    numbers = ["metric", *_NUMBERS, "bold", "printed", "note"]
    lines: list[list[object]] = [["table", "source", "profile", *labels, "column", *numbers]]
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            at = [table.number, table.source, table.profile, *row.labels, column.key]
            for one in cell.numbers:
                note = one.note or cell.note
                bold = str(cell.bold).lower()
                lines.append([*at, one.name, *_csv_numbers(one), bold, cell.text(), note])
    return _csv_lines(lines)


def _csv_flat(table: Table) -> str:
    """A line a row: each cell as printed and, where its column has numbers, unrounded."""
    header = ["table", "source", "profile", *(column.key for column in table.label_columns)]
    for column in table.columns:
        header += [column.key, *(f"{column.key}_{name}" for name in _flat_names(column))]
    lines: list[list[object]] = [list(header)]
    for row in table.rows:
        line: list[object] = [table.number, table.source, table.profile, *row.labels]
        for column, cell in zip(table.columns, row.cells, strict=True):
            numbers = dict(zip(_NUMBERS, _csv_numbers(cell), strict=True))
            line += [cell.text(), *(numbers[name] for name in _flat_names(column))]
        lines.append(line)
    return _csv_lines(lines)


def _flat_names(column: Column) -> tuple[str, ...]:
    if column.words:
        return ()
    return _NUMBERS if column.spread else _NUMBERS[:1]


def _csv_numbers(cell: Cell) -> list[object]:
    return ["" if part is None else part for part in (cell.value, cell.std, cell.runs)]


def _csv_lines(lines: list[list[object]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(map(_csv_value, line) for line in lines)
    return out.getvalue()


def _csv_value(value: object) -> object:
    """A value as it is, but text that a spreadsheet would run as a formula behind an apostrophe.

    >>> [_csv_value(v) for v in ("=1+1", "-0.57", "-0.57 ± 0.1", "@x", -2.5)]
    ["'=1+1", '-0.57', '-0.57 ± 0.1', "'@x", -2.5]
    """
    if isinstance(value, str) and value.startswith(_FORMULA) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


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
    return _environment().get_template("table.html").render(table=table, blocks=table.blocks())


_WRITERS: Mapping[str, Callable[[Table], str]] = {
    "text": _text,
    "markdown": _markdown,
    "latex": _latex,
    "html": _html,
    "csv": _csv,
}
FORMATS: tuple[str, ...] = tuple(_WRITERS)

__all__ = ["FORMATS", "Cell", "Column", "Row", "Table", "render"]
