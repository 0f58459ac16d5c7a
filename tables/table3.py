"""Table 3: cost of the first stage against the baseline.

Claims: a hybrid step costs about 37.5 % more FLOPs than a span-corruption step and runs at about
0.7 of its sequences per second; the second stage costs what the baseline does.

Measured: sequences per second is the median over the logged intervals of a stage, over that of
the baseline's; FLOPs are the analytic ones of ``analysis.flops``, of a whole batch. The ratio is
a column of ours.

Below what a profile measured stand the paper's own numbers and those of the paper's own models,
compiled for 64 TPU v4 chips (``analysis.compiled``): as T5X would run them, and as we do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import pandas as pd

from analysis import compiled
from analysis.required import RequiredRun
from analysis.scores import BASELINE_TAU
from repro import published
from repro.published import RELATIVE_SPEED
from repro.records import SIZES, sole_profile
from spactor.config import STAGES
from tables.rendering import MISSING, Cell, Column, Row, Table, render
from tables.score_table import describe

NUMBER = 3
LABEL_COLUMNS = (Column("size", "Size"), Column("experiment", "Experiment"))
SPEED = Column("relative_seqs_per_second", "Seqs / second")
FLOPS = Column("step_gflops", "GFLOPs / step")
RATIO = Column("flops_ratio", "FLOPs ratio")
EXPERIMENTS = (("span_corruption", "Baseline"), ("hybrid", "SPACTOR(τ), 1st stage"))
GIGA = 1e9
COMPILED = {
    "paper_faithful": "compiled, paper-faithful",
    "ours": "compiled, ours",
}

requires: tuple[RequiredRun, ...] = (
    RequiredRun("base", "0", 500_000),
    RequiredRun("base", "60K", 500_000),
)


def compute(records: pd.DataFrame) -> Table:
    """The table from cost and timing records of one source and profile.

    Raises:
      UserError: the records mix profiles.
    """
    source, profile = sole_profile(records) or ("", "")
    kinds = records["metric"].str.startswith(("cost/step_flops/", "timing/"))
    present = set(records.loc[kinds, "size"])
    sizes = [size for size in SIZES if size == SIZES[0] or size in present]
    columns = (SPEED, FLOPS) if source == "published" else (SPEED, FLOPS, RATIO)
    rows: list[Row] = []
    notes: list[str] = []
    for size in sizes:
        own = records[records["size"] == size]
        if source == "published":
            speeds = {stage: _sole(own, f"{RELATIVE_SPEED}/{stage}") for stage, _ in EXPERIMENTS}
        else:
            speeds, note = _relative_speeds(own)
            notes += [f"{size.capitalize()}: {note}"] if note else []
        flops = {stage: _sole(own, f"cost/step_flops/{stage}") for stage, _ in EXPERIMENTS}
        rows += _rows(size, "", speeds, flops)
    if source not in ("published", ""):
        rows += _reference_rows()
    rows = [dataclasses.replace(row, cells=row.cells[: len(columns)]) for row in rows]
    return Table(
        number=NUMBER,
        source=source,
        profile=profile,
        caption=f"Table 3 ({describe(source, profile)}). Cost of the first stage and the baseline.",
        label_columns=LABEL_COLUMNS,
        columns=columns,
        rows=tuple(rows),
        footnotes=_footnotes(source, notes, rows),
    )


def _rows(
    size: str, origin: str, speeds: Mapping[str, Cell], flops: Mapping[str, Cell]
) -> Iterator[Row]:
    """A size's two rows; ``origin`` says where numbers come from that no run measured."""
    baseline = flops["span_corruption"].value
    for stage, experiment in EXPERIMENTS:
        count = flops[stage]
        # A ratio needs both: neither side of it is made up.
        ratio = (
            Cell(count.value / baseline, decimals=3)
            if count.value is not None and baseline
            else MISSING
        )
        label = f"{experiment}, {origin}" if origin else experiment
        cells = (speeds[stage], _gigaflops(count), ratio)
        yield Row((size.capitalize(), label), cells, section=f"{size} {origin}")


def _reference_rows() -> Iterator[Row]:
    """The paper's own rows, and the paper's models compiled in either variant; per chip."""
    printed = published.load(NUMBER)
    kept = compiled.load()
    for size in SIZES:
        own = printed[printed["size"] == size]
        if not own.empty:
            speeds = {stage: _sole(own, f"{RELATIVE_SPEED}/{stage}") for stage, _ in EXPERIMENTS}
            counts = {stage: _sole(own, f"cost/step_flops/{stage}") for stage, _ in EXPERIMENTS}
            yield from _rows(size, "the paper's", speeds, counts)
        for variant in compiled.VARIANTS:
            counts = {}
            for stage in STAGES:
                one = kept.get(compiled.Program(size=size, stage=stage, variant=variant))
                counts[stage] = Cell(one.cost.flops) if one else MISSING
            speeds = dict.fromkeys(STAGES, MISSING)
            yield from _rows(size, COMPILED[variant], speeds, counts)


def _sole(records: pd.DataFrame, metric: str) -> Cell:
    found = records[records["metric"] == metric]
    if found.empty:
        return MISSING
    decimals = found["decimals"].iloc[0]
    return Cell(float(found["value"].iloc[0]), decimals=2 if pd.isna(decimals) else int(decimals))


def _gigaflops(cell: Cell) -> Cell:
    if cell.value is None:
        return MISSING
    return Cell(cell.value / GIGA, decimals=cell.decimals, scientific=True)


def _relative_speeds(records: pd.DataFrame) -> tuple[dict[str, Cell], str]:
    """Median speed of each stage over the baseline's, and a note with the absolute numbers."""
    medians: dict[str, tuple[float, int]] = {}
    for stage, _ in EXPERIMENTS:
        rows = records[records["metric"] == f"timing/seqs_per_second/{stage}"]
        if stage == "span_corruption":
            rows = rows[rows["tau"].isin([BASELINE_TAU, ""])]
        # A shared hybrid prefix stands in the records once for every τ that runs through it.
        rows = rows.drop_duplicates(["seed", "node", "step", "value"])
        if len(rows):
            medians[stage] = (float(rows["value"].median()), len(rows))
    if "span_corruption" not in medians:
        return {stage: MISSING for stage, _ in EXPERIMENTS}, ""
    unit = medians["span_corruption"][0]
    speeds = {
        stage: Cell(medians[stage][0] / unit) if stage in medians else MISSING
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
        if source:
            written.append(
                "Compiled: one chip's share of 64 TPU v4 chips at the paper's sizes, with which "
                f"the paper's numbers agree; by `{compiled.COMMAND}`, which runs nothing and so "
                "has no speed."
            )
    if any(cell.value is None for row in rows for cell in row.cells):
        written.append("not run: the records hold no such number.")
    return tuple(written)


__all__ = ["NUMBER", "compute", "render", "requires"]
