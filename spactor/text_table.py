"""Text for the terminal: aligned tables and paragraphs that fit a width, broken between words."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Collection, Iterable, Sequence

WIDTH = 80
"""Columns of a terminal that every output fits."""
GAP = 2
"""Spaces between two columns of a table."""
_FIXED = "\N{NO-BREAK SPACE}"
_INSIDE_NUMBERS = re.compile(
    r"(?<=\d) (?=%)"
    r"| (?=[=<>≤≥±×] [-+\d∞.])"
    r"|(?<=[=<>≤≥±×]) (?=[-+\d∞.])"
)
"""Spaces between a number and its unit or sign, where lines are not broken."""
_INTERVAL = re.compile(r"\[[^\[\] ]+, [^\[\] ]+\]")


def wrap(text: str, width: int = WIDTH, indent: str = "", hanging: str | None = None) -> list[str]:
    """Wraps one paragraph between words; a word longer than ``width`` gets its own line.

    Args:
      text: the paragraph; its line breaks count as spaces.
      width: width of a line, in characters.
      indent: indentation of the first line.
      hanging: indentation of the other lines; by default ``indent``.

    >>> wrap("it gains 40 % [31, 50] (p = 0.003)", width=13)
    ['it gains 40 %', '[31, 50]', '(p = 0.003)']
    >>> wrap("one two", width=6, indent="- ", hanging="  ")
    ['- one', '  two']
    """
    whole = _INTERVAL.sub(lambda found: found[0].replace(" ", _FIXED), " ".join(text.split()))
    lines = textwrap.wrap(
        _INSIDE_NUMBERS.sub(_FIXED, whole),
        width,
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_FIXED, " ") for line in lines] or [""]


def paragraphs(texts: Iterable[str], width: int = WIDTH) -> str:
    """Wraps texts, one paragraph each; the prefix of a text indents its other lines.

    A prefix is spaces, and a dash or a name with two spaces after it: "- text" or "test  text".

    >>> print(paragraphs(["  a bc d", "- e f g", "x:  y z w"], width=7))
      a bc
      d
    - e f g
    x:  y z
        w
    """
    lines = []
    for text in texts:
        start = re.match(r" *(?:- |\S+(?: \S+)*?  +(?=\S))?", text)
        indent = start[0] if start and len(start[0]) < width / 2 else ""
        lines += wrap(text[len(indent) :], width, indent, " " * len(indent))
    return "\n".join(lines)


def align(
    rows: Sequence[Sequence[str]],
    right: Collection[int] = (),
    width: int = WIDTH,
    rule: bool = False,
) -> list[str]:
    """Formats the lines of a table, columns two spaces apart, without trailing spaces.

    If the table is wider than ``width``, headings are broken between words, then the cells of
    left-aligned columns, the widest first. Numbers are never broken, so a table with too many
    numbers stays wider.

    Args:
      rows: rows with equal numbers of cells; the first has the headings.
      right: positions of the columns to align right; the others are aligned left.
      width: width of a line, in characters.
      rule: draws a line under the headings.

    >>> print("\\n".join(align([["", "steps"], ["base", "5"]], right=[1])))
          steps
    base      5
    >>> print("\\n".join(align([["", "all steps"], ["of base", "5"]], right=[1], width=11)))
            all
          steps
    of        5
    base
    """
    columns = list(zip(*rows, strict=True))
    sizes, least = [max(map(len, column)) for column in columns], least_widths(rows, right)
    cells = [max(map(len, column[1:]), default=0) for column in columns]
    # Headings are broken first, then the widest cells.
    for floors in (list(map(max, cells, least)), least):
        while sum(sizes) + GAP * (len(sizes) - 1) > width and any(map(int.__gt__, sizes, floors)):
            spare = [size if size > floor else 0 for size, floor in zip(sizes, floors, strict=True)]
            sizes[spare.index(max(spare))] -= 1
    lines = []
    for number, row in enumerate(rows):
        broken = [
            wrap(cell, size) if len(cell) > size else [cell]
            for cell, size in zip(row, sizes, strict=True)
        ]
        if number == 0:
            tallest = max(map(len, broken))
            broken = [[""] * (tallest - len(cell)) + cell for cell in broken]
        for parts in itertools.zip_longest(*broken, fillvalue=""):
            placed = [
                part.rjust(size) if position in right else part.ljust(size)
                for position, (part, size) in enumerate(zip(parts, sizes, strict=True))
            ]
            lines.append((" " * GAP).join(placed).rstrip())
        if number == 0 and rule:
            lines.append((" " * GAP).join("─" * size for size in sizes))
    return lines


def least_widths(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[int]:
    """Returns each column's width if headings and left-aligned cells are broken at every word."""
    return [
        max(
            len(part)
            for number, cell in enumerate(column)
            for part in ([cell] if position in right and number else wrap(cell, 1))
        )
        for position, column in enumerate(zip(*rows, strict=True))
    ]
