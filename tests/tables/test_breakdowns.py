"""Tables 6 to 17 from measured records: medians, columns that were not run, stand-ins."""

from __future__ import annotations

import imitation
import synthetic_records as synthetic

import tables
from analysis.schema import records

GLUE = ("CoLA", "MNLI", "MRPC", "QNLI", "QQP", "RTE", "SST-2", "STS-B")


def headings(table):
    return tuple(column.heading for column in table.columns)


def printed(table):
    return {row.labels: [cell.text() for cell in row.cells] for row in table.rows}


def stand_ins(**changed):
    """One run of GLUE's two embedded tasks at steps 1 and 2."""
    at = {"source": "measured", "profile": "micro", "size": "base", "tau": "0", "seed": 0}
    at |= {"finetune_seed": 0, "checkpoint": 500_000, "suite": "glue", **changed}
    scores = {("acceptability", "matthews_corrcoef"): 10.0, ("pair", "f1"): 60.0}
    scores |= {("pair", "accuracy"): 50.0}
    return [
        {**at, "step": step, "task": task, "metric": metric, "value": value + gain}
        for step, gain in ((1, 0.0), (2, 3.0))
        for (task, metric), value in scores.items()
    ]


def test_a_cell_is_the_median_at_each_runs_selected_step():
    rows = synthetic.scores(runs=3)
    table = tables.get(6).compute(records.from_rows(rows))
    # τ = 0 at 500K, runs at gain 1, 1.25 and 1.5, selected step 60: the middle one is 1.25.
    cells = dict(zip(headings(table), printed(table)["Base", "0", "500K"], strict=True))
    assert cells["CoLA"] == "12.25"
    assert cells["MRPC"] == "72.25 / 62.25"
    assert {cells[name] for name in GLUE if name not in ("CoLA", "MRPC")} == {"not run"}
    assert "n = 3 runs." in table.caption
    # Of two runs, the mean of both.
    table = tables.get(6).compute(records.from_rows(synthetic.scores(runs=2)))
    assert printed(table)["Base", "0", "500K"][0] == "12.13"


def test_stand_ins_take_the_place_of_columns_that_were_not_run():
    table = tables.get(6).compute(records.from_rows(stand_ins()))
    assert headings(table) == ("acceptability", "pair")
    assert printed(table)["Base", "0", "500K"] == ["13.00", "63.00 / 53.00"]
    assert printed(table)["Base", "120K", "1M"] == ["not run", "not run"]
    assert table.footnotes[0] == (
        "GLUE: none of the paper's 8 tasks here was run and has no column; instead, made from "
        "the embedded corpus: acceptability, pair."
    )


def test_stand_ins_beside_tasks_of_the_paper_are_further_columns():
    rows = stand_ins()
    cola = [{**rows[0], "step": step, "task": "cola", "value": 40.0} for step in (1, 2)]
    table = tables.get(6).compute(records.from_rows([*rows, *cola]))
    assert headings(table) == (*GLUE, "acceptability", "pair")
    assert len(table.blocks()) == 2
    assert "GLUE: beyond the paper's tasks: acceptability, pair." in table.footnotes


def test_a_suite_without_any_score_has_the_papers_columns():
    table = tables.get(10).compute(records.from_rows(synthetic.scores()))
    # SQuAD and Rainbow were not run at all; of CNN/DailyMail there is a stand-in.
    assert headings(table)[:3] == ("SQuAD", "summary", "αNLI") and len(headings(table)) == 8
    assert set(printed(table)["Base", "0", "500K"]) == {"not run", "21.00 / 11.00"}
    assert table.footnotes[0].startswith("CNNDM: the paper's task was not run and has no column")


def test_large_is_not_mixed_with_base():
    rows = stand_ins(size="large")
    assert headings(tables.get(6).compute(records.from_rows(rows))) == GLUE
    table = tables.get(7).compute(records.from_rows(rows))
    assert printed(table)["Large", "0", "500K"] == ["13.00", "63.00 / 53.00"]


def test_both_halves_of_mmlu_come_from_one_selection():
    frame = imitation.study(runs=3)
    first, second = (tables.get(number).compute(frame) for number in (14, 15))
    assert (len(first.columns), len(second.columns)) == (32, 25)
    # The middle of three runs around the published median is that median.
    assert printed(first)["Base", "0", "500K"][0] == "36.36"
    assert printed(second)["Base", "120K", "500K"][-1] == "47.37"
