"""Reads each format back into labels and (text, bold) cells, blocks put together again."""

from __future__ import annotations

import csv
import io
import re
from xml.etree import ElementTree


def expected(table):
    """Labels and printed cells with bold flags, straight from the typed result."""
    return [[*row.labels, *((cell.text(), cell.bold) for cell in row.cells)] for row in table.rows]


def joined(blocks, labels):
    """Blocks, each a list of rows, side by side; their labels must agree."""
    for block in blocks:
        assert [row[:labels] for row in block] == [row[:labels] for row in blocks[0]]
    rows = zip(*blocks, strict=True)
    return [[*parts[0][:labels], *(c for part in parts for c in part[labels:])] for parts in rows]


def cells_of(parts, labels, plain, bold):
    return [*parts[:labels], *((plain(part), bold(part)) for part in parts[labels:])]


def read_text(text, table):
    lines = text.split("\n")
    labels, blocks = len(table.label_columns), []
    for at in [number for number, line in enumerate(lines) if line.startswith("──")]:
        spans = [found.span() for found in re.finditer("─+", lines[at])]
        rows = []
        for line in lines[at + 1 :]:
            parts = [line[start:end].strip() for start, end in spans]
            # A cell that is broken between words goes on below, where another cell is empty.
            if all(parts) and len(rows) < len(table.rows):
                rows.append(parts)
            elif not line and len(rows) == len(table.rows):
                break
            else:
                rows[-1] = [
                    f"{one} {more}".strip() for one, more in zip(rows[-1], parts, strict=True)
                ]
        rows = [
            cells_of(parts, labels, lambda c: c.lstrip("*"), lambda c: c.startswith("*"))
            for parts in rows
        ]
        blocks.append(rows)
    return with_left_out(joined(blocks, labels), table)


def with_left_out(rows, table):
    """Rows with the cells that a diff leaves out: of columns that inform of nothing, and details.

    Details are left out of text alone, where it would be too wide.
    """
    if not table.flat:
        return rows
    labels, whole = len(table.label_columns), []
    left_out = {
        column.key
        for at, column in enumerate(table.columns)
        for words in [{row.cells[at].label for row in table.rows}]
        if words == {"–"} or (column.is_text and len(words) == 1)
    }
    if len(rows[0]) - labels + len(left_out) < len(table.columns):
        left_out |= {column.key for column in table.columns if column.detail}
    for row in rows:
        of_table = next(one.cells for one in table.rows if list(one.labels) == row[:labels])
        rest = iter(row[labels:])
        cells = [
            (cell.text(), cell.bold) if column.key in left_out else next(rest)
            for column, cell in zip(table.columns, of_table, strict=True)
        ]
        whole.append([*row[:labels], *cells])
    return whole


def read_markdown(text, table):
    labels, blocks = len(table.label_columns), []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = []
        for line in block.splitlines()[2:]:
            parts = [part.strip() for part in line.strip("|").split("|")]
            rows.append(
                cells_of(parts, labels, lambda c: c.replace("**", ""), lambda c: c[:2] == "**")
            )
        blocks.append(rows)
    return with_left_out(joined(blocks, labels), table)


SIGNS = {
    **{rf"$\{name}$": sign for name, sign in {"pm": "±", "infty": "∞", "tau": "τ"}.items()},
    **{rf"$\{name}$": sign for name, sign in {"times": "×", "kappa": "κ", "mu": "μ"}.items()},
    **{rf"$\{name}$": sign for name, sign in {"lambda": "λ", "surd": "√", "alpha": "α"}.items()},
    **{r"\%": "%", r"\&": "&", r"\_": "_", r"\textless{}": "<", "--": "–"},
}
RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def plain_latex(text):
    text = re.sub(r"\$\^\{([-\d]+)\}\$", lambda found: found[1].translate(RAISED), text)
    text = re.sub(r"\$_\{(\d+)\}\$", lambda found: found[1].translate(LOWERED), text)
    for code, sign in SIGNS.items():
        text = text.replace(code, sign)
    return text


def read_latex(text, table):
    assert text.isascii()
    labels, blocks = len(table.label_columns), []
    for block in re.findall(r"\\midrule\n.*?\\bottomrule", text, re.DOTALL):
        rows = []
        for line in block.splitlines():
            if "&" in line:
                parts = re.split(r" (?<!\\)& ", line.removesuffix(r" \\"))
                parts = [part.strip() for part in map(plain_latex, parts)]
                strip = lambda c: re.sub(r"\\textbf\{([^}]*)\}", r"\1", c)  # noqa: E731
                rows.append(cells_of(parts, labels, strip, lambda c: r"\textbf" in c))
        blocks.append(rows)
    return with_left_out(joined(blocks, labels), table)


def read_html(text, table):
    assert text.startswith('<!doctype html>\n<html lang="en">')
    # What remains without the elements that have no end is XML.
    page = ElementTree.fromstring(re.sub("<(meta|!doctype) [^>]*>", "", text))
    tables = page.findall(".//table")
    assert all(len(one.findall("caption")) == 1 for one in tables)
    for part, scope in (("thead", "col"), ("tbody", "row")):
        assert {heading.get("scope") for heading in page.findall(f".//{part}//th")} <= {scope}
    labels, blocks = len(table.label_columns), []
    for one in tables:
        rows = []
        for row in one.findall("tbody/tr"):
            parts = [("".join(cell.itertext()), cell.find("strong") is not None) for cell in row]
            rows.append([*(label for label, _ in parts[:labels]), *parts[labels:]])
        blocks.append(rows)
    return with_left_out(joined(blocks, labels), table)


def read_csv(text, table):
    labels = [column.key for column in table.label_columns]
    lines = list(csv.DictReader(io.StringIO(text)))
    if table.flat:
        columns = [column.key for column in table.columns]
        return [
            [*(line[name] for name in labels), *((line[name], False) for name in columns)]
            for line in lines
        ]
    rows: dict[tuple, dict] = {}
    for line in lines:
        # A line a number: those that share a cell repeat what is printed there.
        found = rows.setdefault(tuple(line[name] for name in labels), {})
        found[line["column"]] = (line["printed"], line["bold"] == "true")
    return [[*names, *cells.values()] for names, cells in rows.items()]


READERS = {
    "text": read_text,
    "markdown": read_markdown,
    "latex": read_latex,
    "html": read_html,
    "csv": read_csv,
}
