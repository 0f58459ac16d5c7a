"""Tables of aligned columns for the terminal."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def align(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """One line per row, columns aligned and two spaces apart, without trailing spaces.

    Args:
      rows: of equally many cells.
      right: positions of the columns to align right; the others are aligned left.

    >>> print("\\n".join(align([["", "steps"], ["base", "5"]], right=[1])))
          steps
    base      5
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if position in right else cell.ljust(width)
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
