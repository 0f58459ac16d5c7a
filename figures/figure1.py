"""Figure 1: the first stage on one chunk of held-out text, computed by a trained model, Base.

Claims: spans are cut out, then tokens masked; the generator fills in the masks, plausibly but not
always correctly; the discriminator's encoder detects the replaced tokens, and its decoder restores
the spans. The paper draws this with invented words; here the text, the samples and the detection
are those of SPACTOR(∞) at its last step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.required import RequiredRun
from analysis.schema.records import EXAMPLE, sole_profile
from analysis.schema.rows import of_metrics
from figures import drawing
from spactor import strict_json
from spactor.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUMBER = "1"
DOC = __doc__
SIZE, TAU = "base", "inf"
COLUMNS = 116
"""Characters in a line."""
POINTS = 7.0
WORD_MARK = "▁"
_LINE_INCHES = 0.175
_GAP = 1.6
"""Lines between two rows."""
_INSIDE = 0.2
"""Characters between two pieces of a word."""

PLAIN, SENTINEL, MASK, REPLACED, RESTORED = "#ffffff", "#e3dcf2", "#cfe5f5", "#f9d3bf", "#cdebdf"
EDGES = {REPLACED: "-", RESTORED: ":"}
"""Line styles of frames around patches with colours that are alike in grey print."""
LEGEND = (
    ("span cut out", SENTINEL),
    ("masked", MASK),
    ("replaced by the generator (RTD label: replaced)", REPLACED),
    ("restored by it (original, as all others)", RESTORED),
)

requires: tuple[RequiredRun, ...] = (RequiredRun(SIZE, TAU, 1_000_000),)
reads = of_metrics(EXAMPLE)


@dataclass(frozen=True)
class Row:
    """A row of the figure: heading, pieces, and each piece's colour.

    ``flagged`` marks the pieces that the RTD head classifies as replaced, which are underlined.
    """

    heading: str
    pieces: tuple[str, ...]
    colours: tuple[str, ...]
    flagged: tuple[bool, ...]


@dataclass(frozen=True)
class Result:
    """The figure's rows; empty without an example in the records."""

    source: str
    profile: str
    rows: tuple[Row, ...]


def compute(records: pd.DataFrame) -> Result:
    """Reads the example of the first seed from records of one source and profile.

    Raises:
      UserError: the records mix profiles, or the example is incomplete.
    """
    source, profile = sole_profile(records)
    rows = records[
        records["metric"].str.startswith(EXAMPLE)
        & (records["size"] == SIZE)
        & (records["tau"] == TAU)
    ]
    if rows.empty:
        return Result(source, profile, ())
    first = rows[rows["seed"] == rows["seed"].min()]
    try:
        found = {
            metric.removeprefix(EXAMPLE): _pieces(text)
            for metric, text in zip(first["metric"], first["text"], strict=True)
        }
        return Result(source, profile, tuple(_rows(found)))
    except (ValueError, KeyError) as error:
        raise UserError(
            f"the worked example of Figure 1 is damaged ({error!r}): collect the runs again"
        ) from None


def _pieces(text: str) -> list[Any]:
    pieces = strict_json.loads(text)
    if not isinstance(pieces, list) or not all(isinstance(one, str | int) for one in pieces):
        raise ValueError("no list of pieces")
    return pieces


def _rows(found: Mapping[str, Sequence[Any]]) -> list[Row]:
    masked = [piece == "[M]" for piece in found["masked"]]
    filled = [
        (RESTORED if right else REPLACED) if mask else None
        for mask, right in zip(masked, found["is_original"], strict=True)
    ]
    flagged = [not original for original in found["judged_original"]]
    wrong = sum(not original for original in found["is_original"])
    caught = sum(
        flag and not original for flag, original in zip(flagged, found["is_original"], strict=True)
    )
    return [
        _row("original text", found["original"]),
        _row("1 · spans cut out: X_c", found["span_corrupted"]),
        _row("2 · tokens masked: X_c^MLM, input of the generator", found["masked"]),
        _row(
            f"3 · masks filled in: X̂_c, input of the discriminator; underlined: called replaced "
            f"({caught} of {wrong} found)",
            found["replaced"],
            filled,
            flagged,
        ),
        _row("4 · what the decoder is to write", found["targets"]),
    ]


def _row(
    heading: str,
    pieces: Sequence[str],
    filled: Sequence[str | None] = (),
    flagged: Sequence[bool] = (),
) -> Row:
    given = filled or [None] * len(pieces)
    return Row(
        heading,
        tuple(map(str, pieces)),
        tuple(colour or _colour(str(piece)) for piece, colour in zip(pieces, given, strict=True)),
        tuple(flagged) or (False,) * len(pieces),
    )


def _colour(piece: str) -> str:
    if piece == "[M]":
        return MASK
    return SENTINEL if piece.startswith("[S") and piece.endswith("]") else PLAIN


def without_word_mark(piece: str) -> tuple[str, bool]:
    """Returns a piece without SentencePiece's word mark, and whether a word begins with it.

    >>> without_word_mark("▁name"), without_word_mark("s"), without_word_mark("[M]")
    (('name', True), ('s', False), ('[M]', True))
    """
    begins = piece.startswith(WORD_MARK) or (piece.startswith("[") and piece.endswith("]"))
    return piece.removeprefix(WORD_MARK) or " ", begins


def positions(pieces: Sequence[str]) -> list[tuple[int, float]]:
    """Returns line and first column of every piece; pieces of a word have no blank between them.

    >>> positions(["▁" + "a" * 60, "▁" + "b" * 60, "▁c", "d"])
    [(0, 0.0), (1, 0.0), (1, 61.0), (1, 62.2)]
    """
    found: list[tuple[int, float]] = []
    line, column = 0, 0.0
    for piece in pieces:
        text, begins = without_word_mark(piece)
        column += (1.0 if begins else _INSIDE) if column else 0.0
        if column and column + len(text) > COLUMNS:
            line, column = line + 1, 0.0
        found.append((line, column))
        column += len(text)
    return found


def draw(result: Result) -> Figure:
    """Draws the rows; "not run" if there is no example."""
    from matplotlib.patches import Patch

    title = (
        "Figure 1 · the first stage on a chunk of held-out text\n"
        f"Base, SPACTOR(∞) · {result.profile or 'no'} profile"
    )
    lines = sum(positions(s.pieces)[-1][0] + 1 + _GAP for s in result.rows) or 8.0
    with drawing.settings():
        figure, [axes] = drawing.new_figure(1, title)
        figure.set_size_inches(8.4, _LINE_INCHES * lines + 1.1)
        if not result.rows:
            drawing.mark_not_run(axes, "no hybrid run with an example in the records")
            return figure
        axes.set_xlim(0, COLUMNS)
        axes.set_ylim(lines, -1)
        axes.axis("off")
        top = 0.0
        for row in result.rows:
            top = _draw_row(axes, row, top)
        patches = [Patch(label=label, **_look(colour)) for label, colour in LEGEND]
        figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), fontsize=7.5)
    return figure


def _draw_row(axes: Axes, row: Row, top: float) -> float:
    """Draws a row from line ``top`` on, and returns the next row's first line."""
    from matplotlib.patches import Rectangle

    heading = axes.text(0, top, row.heading, fontsize=8.5, va="center", weight="bold")
    drawing.set_symbols(heading)
    for index, (line, column) in enumerate(positions(row.pieces)):
        text, _ = without_word_mark(row.pieces[index])
        at = top + 1 + line
        if row.colours[index] != PLAIN:
            corner, look = (column - 0.1, at - 0.44), _look(row.colours[index])
            axes.add_patch(Rectangle(corner, len(text) + 0.2, 0.88, **look))
        if row.flagged[index]:
            axes.plot([column, column + len(text)], [at + 0.42] * 2, "#b2182b", linewidth=1.3)
        axes.text(
            column + len(text) / 2,
            at,
            text,
            family="DejaVu Sans Mono",
            fontsize=POINTS,
            ha="center",
            va="center",
        )
    return at + _GAP


def _look(colour: str) -> dict[str, Any]:
    """Returns keyword arguments for a patch of a colour."""
    if colour not in EDGES:
        return {"facecolor": colour, "linewidth": 0}
    frame = {"edgecolor": "#333333", "linewidth": 0.8, "linestyle": EDGES[colour]}
    return {"facecolor": colour, **frame}
