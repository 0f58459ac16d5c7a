"""Cells of diverged runs are marked as such, or have a footnote, and are never "not run"."""

from __future__ import annotations

import pandas as pd
import synthetic_records as synthetic

import tables
from analysis.schema import facts, records
from tables import differences

WHY = "base/s0/hybrid/0-120K: train/loss became nan at step 7"


def mark(tau: str, checkpoint: int, suite: str, run: int = 0) -> dict[str, object]:
    return {
        **synthetic.COMMON,
        "size": "base",
        "tau": tau,
        "seed": 0,
        "finetune_seed": run,
        "checkpoint": checkpoint,
        "metric": f"diverged/{suite}",
        "text": WHY,
    }


def without(frame: pd.DataFrame, tau: str, suite: str, run: int) -> pd.DataFrame:
    gone = (frame["tau"] == tau) & (frame["suite"] == suite) & (frame["finetune_seed"] == run)
    return frame[~gone]


def test_cells_whose_every_run_diverged() -> None:
    whole = without(synthetic.study(runs=1), "120K", "glue", 0)
    marks = records.from_rows([mark("120K", at, "glue") for at in facts.CHECKPOINTS])
    frame = records.combine(whole, marks)
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
    whole = without(synthetic.study(runs=2), "250K", "glue", 1)
    marks = records.from_rows([mark("250K", at, "glue", 1) for at in facts.CHECKPOINTS])
    table = tables.get(2).compute(records.combine(whole, marks))
    cells = {row.labels: row.cells[1] for row in table.rows}
    plain = tables.get(2).compute(whole)
    assert not any("diverged" in note for note in plain.footnotes)
    assert cells["250K", "500K"].runs == 1 and cells["0", "500K"].runs == 2
    [note] = [note for note in table.footnotes if note.startswith("Runs that diverged")]
    assert note.endswith("GLUE τ = 250K 500K: 1 of 2; GLUE τ = 250K 1M: 1 of 2.")


def test_every_table_of_scores_reads_the_marks() -> None:
    for number in (2, 4, *range(6, 18)):
        assert records.DIVERGED in str(tables.get(number).reads), number
