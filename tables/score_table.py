"""What Tables 2 and 4 share: a row per τ and checkpoint, a column per suite."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pandas as pd

from analysis.required import RequiredRun
from analysis.schema.facts import CHECKPOINTS, SUITES, TAUS
from analysis.schema.records import SELECTIONS, sole_profile
from analysis.scores import collapsed, diverged, relative_flops, summary
from tables.cells import DIVERGED, MISSING, Cell, Column, Row, Table, notes_on_missing

SUITE_HEADINGS = dict(
    zip(SUITES, ("GLUE", "SuperGLUE", "SQuAD", "CNNDM", "Rainbow", "MMLU", "BBH"), strict=True)
)
LABEL_COLUMNS = (Column("tau", "τ"), Column("checkpoint", "Ckpt."))
COLUMNS = (
    Column("relative_flops", "FLOPs"),
    *(Column(suite, heading) for suite, heading in SUITE_HEADINGS.items()),
)
RULE = SELECTIONS[0]
MOST_NAMED = 8
"""Tasks of a cell that a footnote names one by one."""


def compute(
    records: pd.DataFrame, *, number: int, size: str, rows: tuple[RequiredRun, ...]
) -> Table:
    """A table of suite averages.

    Args:
      records: of one source and profile.
      number: the table's, in the paper.
      size: the model's.
      rows: printed whether run or not, in this order; further (τ, checkpoint) that the records
        hold follow the others of their checkpoint.

    Raises:
      UserError: the records mix profiles, or a run's scores are incomplete.
    """
    source, profile = sole_profile(records) or ("", "")
    records = records[records["size"] == size]
    scores = summary(records, RULE)
    flops = relative_flops(records)
    cells = {
        (row["tau"], int(row["checkpoint"]), row["suite"]): Cell(
            value=float(row["mean"]),
            std=None if pd.isna(row["std"]) else float(row["std"]),
            runs=None if pd.isna(row["runs"]) else int(row["runs"]),
            decimals=int(row["decimals"]),
            bold=bool(row["bold"]),
        )
        # Others are continuous fine-tuning's, which the figures show.
        for row in scores[scores["checkpoint"].isin(CHECKPOINTS)].to_dict("records")
    }
    lost = diverged(records)
    for place in lost:
        cells.setdefault(place, Cell(words=DIVERGED))
    costs = {
        (row["tau"], int(row["checkpoint"])): Cell(
            row["value"], decimals=int(row["decimals"]), statistic="exact"
        )
        for row in flops[flops["checkpoint"].notna()].to_dict("records")
    }
    printed = tuple(
        Row(
            labels=("∞" if tau == "inf" else tau, format_steps(checkpoint)),
            cells=(
                costs.get((tau, checkpoint), MISSING),
                *(cells.get((tau, checkpoint, suite), MISSING) for suite in SUITES),
            ),
            section=format_steps(checkpoint),
        )
        for tau, checkpoint in row_order(rows, {key[:2] for key in cells})
    )
    return Table(
        number=number,
        source=source,
        profile=profile,
        caption=_caption(number, size, source, profile, list(cells.values())),
        label_columns=LABEL_COLUMNS,
        columns=COLUMNS,
        rows=printed,
        footnotes=(
            *_footnotes(source, cells),
            *notes_on_collapse(collapsed(records, RULE)),
            *_notes_on_divergence(lost, cells),
            *notes_on_missing(printed),
        ),
    )


def format_steps(steps: int) -> str:
    """Steps as the paper writes them.

    >>> format_steps(500_000), format_steps(1_000_000), format_steps(1_500), format_steps(64)
    ('500K', '1M', '1500', '64')
    """
    for unit, name in ((1_000_000, "M"), (1_000, "K")):
        if steps >= unit and steps % unit == 0:
            return f"{steps // unit}{name}"
    return str(steps)


def describe(source: str, profile: str) -> str:
    """Whose numbers they are, for a caption.

    >>> describe("published", "paper"), describe("", "")
    ('published', 'no records')
    """
    if source == "published":
        return "published"
    if not source:
        return "no records"
    if profile == "paper":
        return "measured, paper profile"
    return f"measured, {profile} profile: not comparable with the paper's cells"


def row_order(rows: tuple[RequiredRun, ...], found: set[tuple[str, int]]) -> list[tuple[str, int]]:
    """(τ, checkpoint) of the rows: the paper's and, behind them, τ that were run beyond.

    Continuous fine-tuning has checkpoints of its own, which are the figures'.
    """
    wanted = [(row.tau, row.checkpoint) for row in rows]
    beyond = {pair for pair in found - set(wanted) if pair[1] in CHECKPOINTS}
    extra = sorted(beyond, key=lambda pair: (pair[1], TAUS.index(pair[0])))
    checkpoints = sorted({checkpoint for _, checkpoint in (*wanted, *extra)})
    return [pair for at in checkpoints for pair in (*wanted, *extra) if pair[1] == at]


def notes_on_collapse(found: pd.DataFrame) -> tuple[str, ...]:
    """A footnote naming the cells with runs that collapsed; they are counted like any other.

    Where more than ``MOST_NAMED`` tasks of a cell have some, such as MMLU's subjects, it counts
    the tasks.

    Args:
      found: as ``analysis.scores.collapsed`` returns it.
    """
    cells: dict[tuple[str, str, int], dict[str, int]] = {}
    for row in found.to_dict("records"):
        if row["checkpoint"] in CHECKPOINTS:
            place = (row["suite"], row["tau"], int(row["checkpoint"]))
            cells.setdefault(place, {})[row["task"]] = row["runs"]
    listed = []
    for (suite, tau, checkpoint), runs in cells.items():
        if len(runs) > MOST_NAMED:
            runs = {f"in {len(runs)} tasks": sum(runs.values())}
        listed += [
            f"{SUITE_HEADINGS[suite]} {task} τ = {tau} {format_steps(checkpoint)}: {count}"
            for task, count in runs.items()
        ]
    if not listed:
        return ()
    return (
        "Runs that answered a whole validation set with one class, in the numbers like any other: "
        f"{'; '.join(listed)}.",
    )


def _notes_on_divergence(
    lost: Mapping[tuple[str, int, str], int], cells: Mapping[tuple[str, int, str], Cell]
) -> tuple[str, ...]:
    """A footnote naming the cells with runs that diverged, and so are in no number."""
    listed = [
        f"{SUITE_HEADINGS[suite]} τ = {tau} {format_steps(checkpoint)}: {runs} of "
        f"{runs + (cells[tau, checkpoint, suite].runs or 0)}"
        for (tau, checkpoint, suite), runs in lost.items()
        if checkpoint in CHECKPOINTS
    ]
    if not listed:
        return ()
    return (
        "Runs that diverged (a loss or gradient was not finite), and are in no number: "
        f"{'; '.join(listed)}.",
    )


def _caption(number: int, size: str, source: str, profile: str, cells: list[Cell]) -> str:
    counts = sorted({cell.runs for cell in cells if cell.runs is not None})
    runs = ""
    if counts:
        span = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        runs = f" n = {span} {'run' if counts == [1] else 'runs'}."
    return (
        f"Table {number} ({describe(source, profile)}). Mean score of each suite, "
        f"SPACTOR-{size.capitalize()}(τ).{runs}"
    )


def _footnotes(source: str, cells: dict[tuple[str, int, str], Cell]) -> tuple[str, ...]:
    notes = ["Bold (in plain text *): a higher mean than τ = 0 at the same checkpoint"]
    if source == "published":
        notes[0] += ", as printed."
        notes.append("± is the standard deviation as printed; its divisor is not stated.")
        notes.append("FLOPs are pre-training's, over those of τ = 0 at 500K, as printed.")
    else:
        notes[0] += ", compared before rounding."
        if any(cell.std is None and cell.runs for cell in cells.values()):
            notes.append("A cell of one run has no standard deviation, so none is printed.")
        if any(cell.std is not None for cell in cells.values()):
            notes.append("± is the standard deviation over runs, ddof = 1.")
        notes.append("FLOPs are pre-training's, counted analytically, over those of τ = 0 at 500K.")
        notes.append(f"Steps are on the paper's scale. Fine-tuning step selected by {RULE}.")
    counts = Counter(cell.runs for cell in cells.values() if cell.runs)
    if len(counts) > 1:
        usual = counts.most_common(1)[0][0]
        others = [
            f"{SUITE_HEADINGS[suite]} τ = {tau} {format_steps(checkpoint)}: {cell.runs}"
            for (tau, checkpoint, suite), cell in cells.items()
            if cell.runs and cell.runs != usual
        ]
        notes.append(f"Runs per cell: {usual}, except {'; '.join(others)}.")
    return tuple(notes)
