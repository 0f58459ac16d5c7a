"""Rendering of tables in six formats: text, Markdown, LaTeX, HTML, CSV and JSON.

A table with many columns is split into blocks, one below the other, which repeat the row labels.
CSV and JSON have a row for every number instead.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import jinja2

from spactor import text_table
from spactor.errors import UserError
from tables import plain_rows
from tables.cells import NOTHING, Cell, Table

_TEMPLATES = Path(__file__).parent / "templates"
_LATEX_HEADING_WIDTH = 8
"""Width in characters at which headings are broken between words."""
_LATEX_LONGEST = 32
_LATEX_LONGEST_FLAT = 15
"""Width in characters at which cells and labels are broken, in other and in flat tables."""
_LONGEST_FLOAT = 40
"""Largest number of rows in a LaTeX float; longer tables are a longtable."""
_NUMBERS = ("value", "std", "runs")
_FOR_PROGRAMS = ("csv", "json")
"""Formats with every column."""
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
_RAISED_OR_LOWERED = re.compile(r"([⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)|([₀₁₂₃₄₅₆₇₈₉]+)")


def render(table: Table, format: str = "text", width: int = text_table.WIDTH) -> str:
    """Renders a table in one of ``FORMATS``; the result ends in a newline.

    Args:
      table: a computed table.
      format: one of ``FORMATS``.
      width: largest width of text in characters; a wider table is split into blocks.

    Raises:
      UserError: the format is unknown.
    """
    if table.flat and format not in _FOR_PROGRAMS:
        table = _without_uniform_columns(table)
    if format == "text":
        return _text(table, width)
    if format not in _WRITERS:
        raise UserError(f"unknown format {format!r}: give one of {', '.join(FORMATS)}")
    return _WRITERS[format](table)


def _text(table: Table, width: int) -> str:
    shown = _without_details(table, width) if table.flat else table
    bodies = ["\n".join(_text_block(block, width)) for block in _fitting(shown, width)]
    notes = [line for note in table.footnotes for line in text_table.wrap(note, hanging="  ")]
    caption = text_table.wrap(table.caption)
    return "\n".join([*caption, "", "\n\n".join(bodies), "", *notes]).rstrip("\n") + "\n"


def _without_uniform_columns(table: Table) -> Table:
    """Removes columns of a flat table that are empty or have the same words in all rows.

    The caption and notes of the table explain these columns.
    """

    def informs(at: int) -> bool:
        found = {row.cells[at].label for row in table.rows}
        return found != {NOTHING} and (not table.columns[at].is_text or len(found) > 1)

    return table.with_columns(filter(informs, range(len(table.columns))))


def _without_details(table: Table, width: int) -> Table:
    """Removes the columns of details from a flat table that is too wide with them."""
    if _width(table) <= width:
        return table
    return table.with_columns(at for at, column in enumerate(table.columns) if not column.detail)


def _fitting(table: Table, width: int) -> list[Table]:
    """Splits a table into the fewest blocks of about equally many columns that fit a width."""
    total = len(table.columns)
    for count in range(1, total + 1):
        blocks = dataclasses.replace(table, block_columns=math.ceil(total / count)).blocks()
        if all(_width(block) <= width for block in blocks):
            break
    return blocks


def _width(table: Table) -> int:
    """Returns the smallest width of a table's text, in characters."""
    least = text_table.least_widths(_grid(table), _right(table))
    return sum(least) + text_table.GAP * (len(least) - 1)


def _grid(table: Table) -> list[list[str]]:
    """Returns the headings, then the rows, as text."""
    return [
        [column.heading for column in (*table.label_columns, *table.columns)],
        *(
            [*row.labels, *(cell.text(lambda mean: f"*{mean}") for cell in row.cells)]
            for row in table.rows
        ),
    ]


def _right(table: Table) -> list[int]:
    """Returns the positions of columns of numbers, which are aligned right."""
    labels = len(table.label_columns)
    return [labels + at for at, column in enumerate(table.columns) if not column.is_text]


def _text_block(table: Table, width: int) -> list[str]:
    head, *rows = _grid(table)
    grid, before = [head], ""
    for row, cells in zip(table.rows, rows, strict=True):
        if len(grid) > 1 and row.section != before:
            grid.append([""] * len(head))
        grid.append(cells)
        before = row.section
    return text_table.align(grid, _right(table), width, rule=True)


def _markdown(table: Table) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(map(_markdown_text, cells)) + " |"

    lines = [_markdown_text(table.caption)]
    for block in table.blocks():
        every = (*block.label_columns, *block.columns)
        left = [column in block.label_columns or column.is_text for column in every]
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
    """Escapes text for a cell in Markdown, so that it contains no HTML, links or pictures.

    >>> _markdown_text("a|b <i> [x](y)")
    'a\\\\|b &lt;i> \\\\[x](y)'
    """
    return " ".join(text.split()).replace("<", "&lt;").translate(_MARKDOWN)


def _latex_text(text: str) -> str:
    """Escapes text for LaTeX; characters that are not ASCII become commands.

    >>> _latex_text("1.6×10⁴ & λ₁")
    '1.6$\\\\times$10$^{4}$ \\\\& $\\\\lambda$$_{1}$'
    """
    pieces = []
    # Whitespace is collapsed, since an empty line would end the table.
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
    """Returns the alignments of a tabular, and its line of headings."""
    alignments, headings = [], []
    every = (*table.label_columns, *table.columns)
    limit = _LATEX_LONGEST_FLAT if table.flat else _LATEX_LONGEST
    for position, column in enumerate(every):
        label = position < len(table.label_columns)
        texts = [
            (*row.labels, *(cell.text() for cell in row.cells))[position] for row in table.rows
        ]
        if (label or column.is_text) and max(map(len, texts), default=0) > limit:
            alignments.append(rf">{{\raggedright\arraybackslash}}p{{{limit / 2:g}em}}")
            headings.append(_latex_text(column.heading))
            continue
        side = "l" if label or column.is_text else "r"
        lines = list(map(_latex_text, text_table.wrap(column.heading, _LATEX_HEADING_WIDTH)))
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
    """Renders a float, or a longtable if the table would be longer than a page."""
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
    return plain_rows.csv_text(_rows(table)) + "\n"


def _json(table: Table) -> str:
    notes = (*table.footnotes, *table.details)
    return plain_rows.json_text(_rows(table), {"caption": table.caption, "notes": notes}) + "\n"


def _rows(table: Table) -> Iterator[dict[str, object]]:
    """Yields a row for each number, unrounded and as printed; for a flat table each row."""
    keys = [column.key for column in table.label_columns]
    for row in table.rows:
        start = {"table": table.number, "source": table.source, "profile": table.profile}
        start |= dict(zip(keys, row.labels, strict=True))
        cells = list(zip(table.columns, row.cells, strict=True))
        if table.flat:
            whole = dict(start)
            for column, cell in cells:
                whole[column.key] = cell.text()
                for name in () if column.is_text else _NUMBERS if column.spread else _NUMBERS[:1]:
                    whole[f"{column.key}_{name}"] = getattr(cell, name)
            yield whole
            continue
        for column, cell in cells:
            for one in cell.numbers:
                numbers = {name: getattr(one, name) for name in _NUMBERS}
                printed = {"bold": cell.bold, "printed": cell.text(), "note": one.note or cell.note}
                yield start | {"column": column.key, "metric": one.name} | numbers | printed


@functools.cache
def environment(folder: Path, *, html: bool = True) -> jinja2.Environment:
    """Returns the environment of the templates in a folder; a missing value is an error.

    Args:
      folder: folder of the templates.
      html: whether to escape values for HTML; other templates keep their last line break.
    """
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=html,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not html,
    )


def _html(table: Table) -> str:
    return (
        environment(_TEMPLATES)
        .get_template("table.html")
        .render(table=table, blocks=table.blocks())
        + "\n"
    )


_WRITERS: Mapping[str, Callable[[Table], str]] = {
    "markdown": _markdown,
    "latex": _latex,
    "html": _html,
    "csv": _csv,
    "json": _json,
}
FORMATS: tuple[str, ...] = ("text", *_WRITERS)
