"""Cells of diverged runs are marked as such, or have a footnote, and are never "not run"."""

from __future__ import annotations

import pandas as pd
import synthetic_records as synthetic

import tables
from analysis.schema import facts, records
from tables import differences

WHY = "base/s0/hybrid/0-120K: train/loss became nan at step 7"


def study(runs: int, tau: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A study whose last run of GLUE is missing for one τ, and the same with marks of why."""
    frame = synthetic.study(runs=runs)
    of_run = (frame["suite"] == "glue") & (frame["finetune_seed"] == runs - 1)
    missing = frame[~((frame["tau"] == tau) & of_run)]
    mark = {**synthetic.COMMON, "size": "base", "tau": tau, "seed": 0, "finetune_seed": runs - 1}
    marks = [
        mark | {"checkpoint": at, "metric": "diverged/glue", "text": WHY}
        for at in facts.CHECKPOINTS
    ]
    return missing, records.combine(missing, records.from_rows(marks))


def test_cells_whose_every_run_diverged() -> None:
    _, frame = study(1, "120K")
    table = tables.get(2).compute(frame)
    cells = {row.labels: [cell.text() for cell in row.cells] for row in table.rows}
    # FLOPs are counted, GLUE diverged, SuperGLUE was never run.
    assert cells["120K", "500K"][1:3] == ["diverged", "not run"]
    assert cells["120K", "1M"][1] == "diverged" and cells["0", "1M"][1] != "diverged"
    [note] = [note for note in table.footnotes if note.startswith("Runs that diverged")]
    assert note.endswith("GLUE τ = 120K 500K: 1 of 1; GLUE τ = 120K 1M: 1 of 1.")
    assert "n = 1 run." in table.caption
    of_tasks = tables.get(6).compute(frame)
    assert {
        cell.text() for row in of_tasks.rows if row.labels[1] == "120K" for cell in row.cells
    } == {"diverged"}
    assert "diverged: a loss or a gradient of every run was not finite." in of_tasks.footnotes
    compared = differences.compute(2, frame)
    [row] = [row for row in compared.rows if row.labels == ("120K", "500K", "GLUE")]
    assert [row.cells[0].text(), row.cells[-1].text()] == ["diverged", "diverged"]


def test_a_cell_with_one_diverged_run_names_it_below() -> None:
    missing, frame = study(2, "250K")
    table = tables.get(2).compute(frame)
    cells = {row.labels: row.cells[1] for row in table.rows}
    assert not any("diverged" in note for note in tables.get(2).compute(missing).footnotes)
    assert cells["250K", "500K"].runs == 1 and cells["0", "500K"].runs == 2
    [note] = [note for note in table.footnotes if note.startswith("Runs that diverged")]
    assert note.endswith("GLUE τ = 250K 500K: 1 of 2; GLUE τ = 250K 1M: 1 of 2.")


def test_every_table_of_scores_reads_the_marks() -> None:
    for number in (2, 4, *range(6, 18)):
        assert records.DIVERGED in str(tables.get(number).reads), number
