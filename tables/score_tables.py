"""Tables 2 and 4: suite averages of one size, a row per τ and checkpoint, a column per suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import pyarrow.compute as pc

from analysis.required import RequiredRun
from analysis.schema.facts import (
    CHECKPOINTS,
    REPORTED_SELECTION,
    SUITE_HEADINGS,
    SUITES,
    TAUS,
    size_label,
    step_label,
    tau_label,
)
from analysis.schema.records import sole_profile
from analysis.scores import SUMMARY_READS, collapsed, diverged, relative_flops, summary
from tables import notes
from tables.cells import DIVERGED, MISSING, Cell, Column, Row, Table

LABEL_COLUMNS = (Column("tau", "τ"), Column("checkpoint", "Ckpt."))
COLUMNS = (
    Column("relative_flops", "FLOPs"),
    *(Column(suite, heading) for suite, heading in SUITE_HEADINGS.items()),
)


@dataclass(frozen=True)
class ScoreTable:
    """A table of suite averages.

    Attributes:
      NUMBER: number of the table in the paper.
      size: size of the models.
      cells: τ and checkpoint of the paper's rows, which are always printed.
      DOC: description of the table, and the paper's claim about it.
    """

    NUMBER: int
    size: str
    cells: tuple[tuple[str, int], ...]
    DOC: str

    @property
    def requires(self) -> tuple[RequiredRun, ...]:
        """Runs that the table needs."""
        return tuple(RequiredRun(self.size, *cell) for cell in self.cells)

    @property
    def reads(self) -> pc.Expression:
        """Filter of the records that the table reads."""
        return SUMMARY_READS

    def compute(self, records: pd.DataFrame) -> Table:
        """Computes the table from records of one source and profile.

        Raises:
          UserError: the records mix profiles, or a run's scores are incomplete.
        """
        source, profile = sole_profile(records)
        records = records[records["size"] == self.size]
        scores = summary(records)
        flops = relative_flops(records)
        cells = {
            (row["tau"], int(row["checkpoint"]), row["suite"]): Cell(
                value=float(row["mean"]),
                std=None if pd.isna(row["std"]) else float(row["std"]),
                runs=None if pd.isna(row["runs"]) else int(row["runs"]),
                decimals=int(row["decimals"]),
                bold=bool(row["bold"]),
            )
            # Scores at other checkpoints are for the figures.
            for row in scores[scores["checkpoint"].isin(CHECKPOINTS)].to_dict("records")
        }
        runs = {place: cell.runs for place, cell in cells.items()}
        lost = diverged(records)
        on_collapse, details = notes.notes_on_collapse(collapsed(records))
        cells |= {place: Cell(label=DIVERGED) for place in lost if place not in cells}
        costs = {
            (row["tau"], int(row["checkpoint"])): Cell(
                row["value"], decimals=int(row["decimals"]), statistic="exact"
            )
            for row in flops[flops["checkpoint"].notna()].to_dict("records")
        }
        rows = tuple(
            Row(
                labels=(tau_label(tau), step_label(checkpoint)),
                cells=(
                    costs.get((tau, checkpoint), MISSING),
                    *(cells.get((tau, checkpoint, suite), MISSING) for suite in SUITES),
                ),
                section=step_label(checkpoint),
            )
            for tau, checkpoint in row_order(self.cells, {key[:2] for key in cells})
        )
        return Table(
            number=self.NUMBER,
            source=source,
            profile=profile,
            caption=f"Table {self.NUMBER} ({notes.caption_origin(source, profile)}). "
            f"Mean score of each suite, SPACTOR-{size_label(self.size)}(τ)."
            + notes.runs_label(count for count in runs.values() if count is not None),
            label_columns=LABEL_COLUMNS,
            columns=COLUMNS,
            rows=rows,
            footnotes=(
                *_footnotes(source, cells),
                *on_collapse,
                *notes.notes_on_divergence(lost, runs),
                *notes.notes_on_missing(rows),
            ),
            details=details,
        )


def row_order(
    wanted: tuple[tuple[str, int], ...], found: set[tuple[str, int]]
) -> list[tuple[str, int]]:
    """Returns τ and checkpoint of the rows: the paper's, then those of other τ.

    Only ``CHECKPOINTS`` have rows.
    """
    beyond = {cell for cell in found - set(wanted) if cell[1] in CHECKPOINTS}
    extra = sorted(beyond, key=lambda cell: (cell[1], TAUS.index(cell[0])))
    return sorted((*wanted, *extra), key=lambda cell: cell[1])


def _footnotes(source: str, cells: Mapping[tuple[str, int, str], Cell]) -> list[str]:
    written = ["Bold (in plain text *): a higher mean than τ = 0 at the same checkpoint"]
    if source == "published":
        written[0] += ", as printed."
        written.append("± is the standard deviation as printed; its divisor is not stated.")
        written.append("FLOPs are pre-training's, over those of τ = 0 at 500K, as printed.")
    else:
        written[0] += ", compared before rounding."
        if any(cell.std is None and cell.runs for cell in cells.values()):
            written.append("A cell of one run has no standard deviation, so none is printed.")
        if any(cell.std is not None for cell in cells.values()):
            written.append("± is the standard deviation over runs, ddof = 1.")
        written.append(
            "FLOPs are pre-training's, counted analytically, over those of τ = 0 at 500K."
        )
        written.append(
            f"Steps are on the paper's scale. Fine-tuning step selected by {REPORTED_SELECTION}."
        )
    written += notes.notes_on_runs(
        {
            (f"τ = {tau} {step_label(checkpoint)}", SUITE_HEADINGS[suite]): cell.runs
            for (tau, checkpoint, suite), cell in cells.items()
            if cell.runs
        }
    )
    return written


TABLES = (
    ScoreTable(
        NUMBER=2,
        size="base",
        cells=(
            ("0", 500_000),
            ("250K", 500_000),
            ("120K", 500_000),
            ("60K", 500_000),
            ("0", 1_000_000),
            ("250K", 1_000_000),
            ("120K", 1_000_000),
        ),
        DOC="""Table 2: suite averages of SPACTOR-Base(τ) at 500K and 1M pre-training steps.

Claims: at the same number of steps SPACTOR(τ) scores above the baseline (τ = 0) on nearly every
suite, and its 500K checkpoint about matches the baseline's 1M one at 40 % fewer FLOPs.
A measured table has a further row for each τ that was run beyond the paper's, such as ∞.
""",
    ),
    ScoreTable(
        NUMBER=4,
        size="large",
        cells=(("0", 500_000), ("120K", 500_000), ("0", 1_000_000), ("120K", 1_000_000)),
        DOC="""Table 4: suite averages of SPACTOR-Large(τ) at 500K and 1M pre-training steps.

Claims: the gain over the baseline (τ = 0) persists at the larger size, on every suite, for 6 % and
3 % more FLOPs.
""",
    ),
)
