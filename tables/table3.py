"""Table 3: cost of the first stage against the baseline.

Claims: a hybrid step costs about 37.5 % more FLOPs than a span-corruption step and runs at about
0.7 of its sequences per second; the second stage costs what the baseline does.

Measured: sequences per second is the median over the logged intervals of a stage, divided by the
baseline's median; FLOPs are those of a whole batch by ``analysis.flops``. The paper has no column
of ratios.

Further columns have the FLOPs of the paper's models, compiled for 64 TPU v4 chips
(``analysis.compiled.local_step``) as T5X would run them, and as this repository does.
"""

from __future__ import annotations

import dataclasses

import pandas as pd

from analysis.compiled import local_step as compiled
from analysis.required import RequiredRun
from analysis.schema import published
from analysis.schema.facts import SIZES, size_label
from analysis.schema.published import RELATIVE_SPEED
from analysis.schema.records import sole_profile
from analysis.schema.rows import of_metrics
from analysis.speeds import logged_speeds
from spactor.config import Stage
from tables.cells import MISSING, Cell, Column, Row, Statistic, Table
from tables.notes import caption_origin, notes_on_missing

NUMBER = 3
DOC = __doc__
LABEL_COLUMNS = (Column("size", "Size"), Column("experiment", "Experiment"))
SPEED = Column("relative_seqs_per_second", "Seqs / second")
FLOPS = Column("step_gflops", "GFLOPs / step")
RATIO = Column("flops_ratio", "FLOPs ratio")
EXPERIMENTS: tuple[tuple[Stage, str], ...] = (
    ("span_corruption", "Baseline"),
    ("hybrid", "SPACTOR(τ), 1st stage"),
)
COMPILED = {"paper_faithful": "compiled, paper-faithful", "ours": "compiled, ours"}
"""Headings of compiled variants; the name of a variant begins the keys of its columns."""
GIGA = 1e9

requires: tuple[RequiredRun, ...] = (
    RequiredRun("base", "0", 500_000),
    RequiredRun("base", "60K", 500_000),
)
reads = of_metrics("cost/step_flops/", "timing/")


def compute(records: pd.DataFrame) -> Table:
    """Computes the table from cost and timing records of one source and profile.

    Raises:
      UserError: the records mix profiles.
    """
    source, profile = sole_profile(records)
    kinds = records["metric"].str.startswith(("cost/step_flops/", "timing/"))
    present = set(records.loc[kinds, "size"])
    sizes = [size for size in SIZES if size == SIZES[0] or size in present]
    columns = (SPEED, FLOPS) if source == "published" else (SPEED, FLOPS, RATIO)
    rows: list[Row] = []
    notes: list[str] = []
    for size in sizes:
        own = records[records["size"] == size]
        if source == "published":
            speeds = {
                stage: _sole(own, f"{RELATIVE_SPEED}/{stage}", "median") for stage, _ in EXPERIMENTS
            }
        else:
            speeds, note = _relative_speeds(own)
            notes += [f"{size_label(size)}: {note}"] if note else []
        flops = {stage: _sole(own, f"cost/step_flops/{stage}", "exact") for stage, _ in EXPERIMENTS}
        baseline = flops["span_corruption"].value
        for stage, experiment in EXPERIMENTS:
            count = flops[stage]
            ratio = (
                Cell(count.value / baseline, decimals=3, statistic="exact")
                if count.value is not None and baseline
                else MISSING
            )
            cells = (speeds[stage], _gigaflops(count), ratio)[: len(columns)]
            rows.append(Row((size_label(size), experiment), cells, section=size))
    table = Table(
        number=NUMBER,
        source=source,
        profile=profile,
        caption=f"Table 3 ({caption_origin(source, profile)}). "
        "Cost of the first stage and the baseline.",
        label_columns=LABEL_COLUMNS,
        columns=columns,
        rows=tuple(rows),
        footnotes=_footnotes(source, notes, rows),
    )
    return table if source in ("published", "") else _with_compiled_columns(table)


def _with_compiled_columns(table: Table) -> Table:
    """Adds two columns for each compiled variant to the table."""
    programs = compiled.ARTIFACT.load()
    columns = list(table.columns)
    rows = list(table.rows)
    stages = {experiment: stage for stage, experiment in EXPERIMENTS}
    for variant in compiled.VARIANTS:
        heading = f"{FLOPS.heading}, {COMPILED[variant]}"
        columns.append(Column(f"{variant}_step_gflops", heading))
        columns.append(Column(f"{variant}_flops_ratio", f"{RATIO.heading}, {COMPILED[variant]}"))
        for position, row in enumerate(rows):
            size, stage = row.labels[0].casefold(), stages[row.labels[1]]
            flops = [
                programs[program].cost.flops if program in programs else None
                for program in (
                    compiled.Program(size=size, stage=stage, variant=variant),
                    compiled.Program(size=size, stage="span_corruption", variant=variant),
                )
            ]
            own, baseline = flops
            cells = (
                MISSING if own is None else Cell(own / GIGA, style="scientific", statistic="exact"),
                Cell(own / baseline, decimals=3, statistic="exact")
                if own and baseline
                else MISSING,
            )
            rows[position] = dataclasses.replace(row, cells=row.cells + cells)
    return dataclasses.replace(
        table,
        columns=tuple(columns),
        rows=tuple(rows),
        footnotes=(*table.footnotes, *_compiled_footnotes()),
    )


def _compiled_footnotes() -> tuple[str, ...]:
    printed = compute(published.load(NUMBER))
    plain, hybrid = (row.cells[printed.columns.index(FLOPS)] for row in printed.rows)
    ratio = f", {hybrid.value / plain.value:.3f} to 1" if hybrid.value and plain.value else ""
    return (
        "Compiled: the paper's models, one chip's share of 64 TPU v4 chips, by "
        f"`{compiled.ARTIFACT.command}`; paper-faithful with one-hot lookups and every position "
        "through the generator's projection.",
        f"The paper prints {plain.text()} and {hybrid.text()} GFLOPs for Base{ratio}.",
    )


def _sole(records: pd.DataFrame, metric: str, statistic: Statistic) -> Cell:
    found = records[records["metric"] == metric]
    if found.empty:
        return MISSING
    decimals = found["decimals"].iloc[0]
    decimals = 2 if pd.isna(decimals) else int(decimals)
    return Cell(float(found["value"].iloc[0]), decimals=decimals, statistic=statistic)


def _gigaflops(cell: Cell) -> Cell:
    if cell.value is None:
        return MISSING
    return dataclasses.replace(cell, value=cell.value / GIGA, style="scientific")


def _relative_speeds(records: pd.DataFrame) -> tuple[dict[Stage, Cell], str]:
    """Returns each stage's median speed over the baseline's, and a note with absolute numbers."""
    medians: dict[Stage, tuple[float, int]] = {}
    for stage, _ in EXPERIMENTS:
        rows = logged_speeds(records, stage)
        if len(rows):
            medians[stage] = (float(rows["value"].median()), len(rows))
    if "span_corruption" not in medians:
        return {stage: MISSING for stage, _ in EXPERIMENTS}, ""
    unit = medians["span_corruption"][0]
    speeds = {
        stage: Cell(medians[stage][0] / unit, statistic="median") if stage in medians else MISSING
        for stage, _ in EXPERIMENTS
    }
    parts = [
        f"{experiment} {medians[stage][0]:.4g} per second (n = {medians[stage][1]})"
        for stage, experiment in EXPERIMENTS
        if stage in medians
    ]
    return speeds, f"median over logged intervals, {'; '.join(parts)}."


def _footnotes(source: str, notes: list[str], rows: list[Row]) -> tuple[str, ...]:
    written = ["Seqs / second is relative to the baseline."]
    if source == "published":
        written.append("The paper does not say over how many chips or sequences it counts a step.")
    else:
        written += notes
        written.append(
            "GFLOPs: analytic, matrix products only, whole batch, backward = 2 × forward."
        )
    return (*written, *notes_on_missing(rows))
