"""Figure 1: the first stage on one chunk of held-out text, as a trained model runs it, Base.

Claims: spans are cut out, then tokens masked; the generator fills in the masks, plausibly though
not always rightly; the discriminator's encoder detects which tokens are replaced, its decoder
restores the spans. The paper draws this with made-up words; here the text, the samples and the
verdicts are those of SPACTOR(∞) at its last step.
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
"""Characters to a line."""
POINTS = 7.0
WORD_MARK = "▁"
_LINE_INCHES = 0.175
_GAP = 1.6
"""Lines between two stations."""
_INSIDE = 0.2
"""Columns between two pieces of a word."""

PLAIN, SENTINEL, MASK, REPLACED, RESTORED = "#ffffff", "#e3dcf2", "#cfe5f5", "#f9d3bf", "#cdebdf"
EDGES = {REPLACED: "-", RESTORED: ":"}
"""Frames of patches whose colours look alike in grey print."""
LEGEND = (
    ("span cut out", SENTINEL),
    ("masked", MASK),
    ("replaced by the generator (RTD label: replaced)", REPLACED),
    ("restored by it (original, as all others)", RESTORED),
)

requires: tuple[RequiredRun, ...] = (RequiredRun(SIZE, TAU, 1_000_000),)
reads = of_metrics(EXAMPLE)


@dataclass(frozen=True)
class Station:
    """One row of the figure: what to call it, its pieces, and each piece's colour.

    ``doubted`` are the pieces that the RTD head calls replaced; they are underlined.
    """

    heading: str
    pieces: tuple[str, ...]
    colours: tuple[str, ...]
    doubted: tuple[bool, ...]


@dataclass(frozen=True)
class Result:
    """The figure's rows; none where there is no example."""

    source: str
    profile: str
    stations: tuple[Station, ...]


def compute(records: pd.DataFrame) -> Result:
    """The example of the first seed in records of one source and profile.

    Raises:
      UserError: the records mix profiles, or hold no whole example.
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
        return Result(source, profile, tuple(_stations(found)))
    except (ValueError, KeyError) as error:
        raise UserError(
            f"the worked example of Figure 1 is damaged ({error!r}): collect the runs again"
        ) from None


def _pieces(text: str) -> list[Any]:
    pieces = strict_json.loads(text)
    if not isinstance(pieces, list) or not all(isinstance(one, str | int) for one in pieces):
        raise ValueError("no list of pieces")
    return pieces


def _stations(found: Mapping[str, Sequence[Any]]) -> list[Station]:
    masked = [piece == "[M]" for piece in found["masked"]]
    filled = [
        (RESTORED if right else REPLACED) if mask else None
        for mask, right in zip(masked, found["is_original"], strict=True)
    ]
    doubted = [not original for original in found["judged_original"]]
    wrong = sum(not original for original in found["is_original"])
    caught = sum(
        doubt and not original
        for doubt, original in zip(doubted, found["is_original"], strict=True)
    )
    return [
        _station("original text", found["original"]),
        _station("1 · spans cut out: X_c", found["span_corrupted"]),
        _station("2 · tokens masked: X_c^MLM, input of the generator", found["masked"]),
        _station(
            f"3 · masks filled in: X̂_c, input of the discriminator; underlined: called replaced "
            f"({caught} of {wrong} found)",
            found["replaced"],
            filled,
            doubted,
        ),
        _station("4 · what the decoder is to write", found["targets"]),
    ]


def _station(
    heading: str,
    pieces: Sequence[str],
    filled: Sequence[str | None] = (),
    doubted: Sequence[bool] = (),
) -> Station:
    given = filled or [None] * len(pieces)
    return Station(
        heading,
        tuple(map(str, pieces)),
        tuple(colour or _colour(str(piece)) for piece, colour in zip(pieces, given, strict=True)),
        tuple(doubted) or (False,) * len(pieces),
    )


def _colour(piece: str) -> str:
    if piece == "[M]":
        return MASK
    return SENTINEL if piece.startswith("[S") and piece.endswith("]") else PLAIN


def shown(piece: str) -> tuple[str, bool]:
    """A piece without SentencePiece's word mark, and whether a word begins with it.

    >>> shown("▁name"), shown("s"), shown("[M]")
    (('name', True), ('s', False), ('[M]', True))
    """
    begins = piece.startswith(WORD_MARK) or (piece.startswith("[") and piece.endswith("]"))
    return piece.removeprefix(WORD_MARK) or " ", begins


def places(pieces: Sequence[str]) -> list[tuple[int, float]]:
    """Line and first column of every piece, as text is set: no blank inside a word.

    >>> places(["▁" + "a" * 60, "▁" + "b" * 60, "▁c", "d"])
    [(0, 0.0), (1, 0.0), (1, 61.0), (1, 62.2)]
    """
    found: list[tuple[int, float]] = []
    line, column = 0, 0.0
    for piece in pieces:
        text, begins = shown(piece)
        column += (1.0 if begins else _INSIDE) if column else 0.0
        if column and column + len(text) > COLUMNS:
            line, column = line + 1, 0.0
        found.append((line, column))
        column += len(text)
    return found


def draw(result: Result) -> Figure:
    """The stations under each other; "not run" where there is no example."""
    from matplotlib.patches import Patch

    title = (
        "Figure 1 · the first stage on a chunk of held-out text\n"
        f"Base, SPACTOR(∞) · {result.profile or 'no'} profile"
    )
    lines = sum(places(s.pieces)[-1][0] + 1 + _GAP for s in result.stations) or 8.0
    with drawing.settings():
        figure, [axes] = drawing.new_figure(1, title)
        figure.set_size_inches(8.4, _LINE_INCHES * lines + 1.1)
        if not result.stations:
            drawing.mark_not_run(axes, "no hybrid run with an example in the records")
            return figure
        axes.set_xlim(0, COLUMNS)
        axes.set_ylim(lines, -1)
        axes.axis("off")
        top = 0.0
        for station in result.stations:
            top = _draw_station(axes, station, top)
        patches = [Patch(label=label, **_look(colour)) for label, colour in LEGEND]
        figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), fontsize=7.5)
    return figure


def _draw_station(axes: Axes, station: Station, top: float) -> float:
    """Draws one station from line ``top`` on and returns the line after it."""
    from matplotlib.patches import Rectangle

    heading = axes.text(0, top, station.heading, fontsize=8.5, va="center", weight="bold")
    drawing.set_symbols(heading)
    for index, (line, column) in enumerate(places(station.pieces)):
        text, _ = shown(station.pieces[index])
        at = top + 1 + line
        if station.colours[index] != PLAIN:
            corner, look = (column - 0.1, at - 0.44), _look(station.colours[index])
            axes.add_patch(Rectangle(corner, len(text) + 0.2, 0.88, **look))
        if station.doubted[index]:
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
    """Keyword arguments for a patch of that colour."""
    if colour not in EDGES:
        return {"facecolor": colour, "linewidth": 0}
    frame = {"edgecolor": "#333333", "linewidth": 0.8, "linestyle": EDGES[colour]}
    return {"facecolor": colour, **frame}
