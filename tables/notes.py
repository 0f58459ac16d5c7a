"""Captions and footnotes that several tables share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from analysis.schema.facts import CHECKPOINTS, NOT_RUN, SUITE_HEADINGS, step_label
from tables.cells import Column, Row


def caption_origin(source: str, profile: str) -> str:
    """Describes the source of a table's numbers, for its caption.

    >>> caption_origin("published", "paper"), caption_origin("", "")
    ('published', 'no records')
    """
    if source == "published":
        return "published"
    if not source:
        return "no records"
    if profile == "paper":
        return "measured, paper profile"
    return f"measured, {profile} profile: not comparable with the paper's cells"


def cell_label(suite: str, tau: str, checkpoint: int, task: str = "") -> str:
    """Names a cell of a score table, for a footnote.

    >>> cell_label("cnndm", "120K", 500_000)
    'CNNDM τ = 120K 500K'
    """
    parts = (SUITE_HEADINGS[suite], task, f"τ = {tau}", step_label(checkpoint))
    return " ".join(filter(None, parts))


def runs_label(counts: Iterable[int]) -> str:
    """Formats numbers of runs for a caption; "" if there are none.

    >>> runs_label([2, 1, 2]), runs_label([1])
    (' n = 1 to 2 runs.', ' n = 1 run.')
    """
    found = sorted(set(counts))
    if not found:
        return ""
    span = str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"
    return f" n = {span} {'run' if found == [1] else 'runs'}."


def notes_on_runs(runs: Mapping[tuple[str, str], int]) -> tuple[str, ...]:
    """Returns the footnote on cells with another number of runs than most.

    Args:
      runs: number of runs by row and column, for cells with runs.

    >>> cells = {("500K", "GLUE"): 5, ("500K", "SQuAD"): 5, ("1M", "GLUE"): 8, ("1M", "SQuAD"): 8}
    >>> notes_on_runs(cells | {("2M", "GLUE"): 8, ("2M", "SQuAD"): 1})
    ('Runs per cell: 8, except 5 at 500K, 1 at 2M (SQuAD).',)
    """
    counts = Counter(runs.values())
    if len(counts) < 2:
        return ()
    usual = counts.most_common(1)[0][0]
    columns: dict[tuple[str, int], list[str]] = {}
    for (row, column), count in runs.items():
        columns.setdefault((row, count), []).append(column)
    widths = Counter(row for row, _ in runs)
    rows: dict[tuple[int, str], list[str]] = {}
    for (row, count), own in columns.items():
        where = "" if len(own) == widths[row] else f" ({', '.join(own)})"
        rows.setdefault((count, where), []).append(row)
    others = [
        f"{count} at {', '.join(own)}{where}"
        for (count, where), own in rows.items()
        if count != usual
    ]
    return (f"Runs per cell: {usual}, except {', '.join(others)}.",)


def notes_on_missing(rows: Sequence[Row], what: str = "number") -> tuple[str, ...]:
    """Returns the footnote that explains "not run", if a cell or a part of one is missing."""
    if any(part.missing for row in rows for cell in row.cells for part in cell.numbers):
        return (f"{NOT_RUN}: the records hold no such {what}.",)
    return ()


def notes_on_cells(columns: Sequence[Column], rows: Sequence[Row]) -> tuple[str, ...]:
    """Returns a footnote for every different note, which names the cells that have it.

    >>> from tables.cells import MISSING, Cell
    >>> columns = (Column("a", "A"), Column("b", "B"))
    >>> notes_on_cells(columns, [Row(("0", "1M"), (Cell(1.0, note="odd"), MISSING))])
    ('A: odd.',)
    """
    places: dict[str, list[tuple[int, int]]] = {}
    for at, row in enumerate(rows):
        for position, cell in enumerate(row.cells):
            for note in dict.fromkeys(one.note for one in (cell, *cell.parts) if one.note):
                places.setdefault(note, []).append((at, position))
    written = []
    for note, cells in places.items():
        of_rows = list(dict.fromkeys(at for at, _ in cells))
        of_columns = list(dict.fromkeys(position for _, position in cells))
        whole = len(cells) == len(of_rows) * len(of_columns)
        groups = [(of_columns, of_rows)] if whole else [([at[1]], [at[0]]) for at in cells]
        named = []
        for in_columns, in_rows in groups:
            name = ", ".join(columns[position].heading for position in in_columns)
            if len(in_columns) == len(columns) > 1:
                name = "All columns"
            if len(in_rows) < len(rows):
                name += " of " + ", ".join(" ".join(rows[at].labels) for at in in_rows)
            named.append(name)
        written.append(f"{'; '.join(named)}: {note.rstrip('.')}.")
    return tuple(written)


def notes_on_collapse(found: pd.DataFrame) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns notes on runs that answered the whole validation set of a task with one class.

    Args:
      found: result of ``analysis.scores.collapsed``.

    Returns:
      A footnote with their number, and a line per cell and task; both empty without such runs.
    """
    printed = found[found["checkpoint"].isin(CHECKPOINTS)]
    if printed.empty:
        return (), ()
    places = printed[["suite", "tau", "checkpoint", "task", "runs"]].itertuples(index=False)
    details = tuple(
        f"One class for the whole validation set: {cell_label(suite, tau, int(step), task)}, "
        f"{runs} {'run' if runs == 1 else 'runs'}."
        for suite, tau, step, task, runs in places
    )
    cells = printed.groupby(["suite", "tau", "checkpoint"]).ngroups
    footnote = (
        "Scores of one run on one task that answered the whole validation set with one class: "
        f"{printed['runs'].sum()}, in {cells} {'cell' if cells == 1 else 'cells'}; the means "
        "include them, and --notes lists them."
    )
    return (footnote,), details


def notes_on_divergence(
    lost: Mapping[tuple[str, int, str], int], runs: Mapping[tuple[str, int, str], int | None]
) -> tuple[str, ...]:
    """Returns a footnote on cells with diverged runs, which no number includes.

    Args:
      lost: numbers of diverged runs by τ, checkpoint and suite.
      runs: numbers of runs with scores by τ, checkpoint and suite; None or absent for none.
    """
    listed = [
        f"{cell_label(suite, tau, checkpoint)}: {count} of "
        f"{count + (runs.get((tau, checkpoint, suite)) or 0)}"
        for (tau, checkpoint, suite), count in lost.items()
        if checkpoint in CHECKPOINTS
    ]
    if not listed:
        return ()
    return (
        "Runs that diverged (a loss or gradient was not finite), and are in no number: "
        f"{'; '.join(listed)}.",
    )
