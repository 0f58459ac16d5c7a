"""Measured tables whose cells are known by hand."""

from __future__ import annotations

from types import SimpleNamespace

import imitation
import pandas as pd
import synthetic_records as synthetic
from table_readers import expected

import tables
from analysis.compiled import local_step as compiled
from analysis.schema import facts, published, records
from tables import cells, differences

MEASURED = records.combine(synthetic.study(runs=2), synthetic.timing())
GLUE = ("CoLA", "MNLI", "MRPC", "QNLI", "QQP", "RTE", "SST-2", "STS-B")
WHY = "base/s0/hybrid/0-120K: train/loss became nan at step 7"


def computed(number):
    return tables.get(number).compute(MEASURED)


def headings(table):
    return tuple(column.heading for column in table.columns)


def printed(table):
    return {row.labels: [cell.text() for cell in row.cells] for row in table.rows}


def test_a_measured_table_2():
    table = computed(2)
    assert table.caption == (
        "Table 2 (measured, micro profile: not comparable with the paper's cells). "
        "Mean score of each suite, SPACTOR-Base(τ). n = 2 runs."
    )
    rows = printed(table)
    assert list(rows) == [
        *[(tau, "500K") for tau in ("0", "250K", "120K", "60K", "∞")],
        *[(tau, "1M") for tau in ("0", "250K", "120K", "∞")],
    ]
    # τ = 0 at 500K, runs at gain 1 and 1.25, selected step 60: cola 12 and 12.25, mrpc 67 and
    # 67.25; mean of the tasks 39.5 and 39.75; mean of the runs 39.625, std 0.25/√2.
    assert rows["0", "500K"][:2] == ["1.00", "39.63 ± 0.18"]
    assert rows["0", "500K"][2:4] == ["not run", "not run"]
    # ROUGE falls with fine-tuning, so step 30 is selected: 21 and 21.25, 11 and 11.25.
    assert rows["0", "500K"][4] == "16.13 ± 0.18"
    assert rows["∞", "1M"][0] == "2.40"
    assert {(row.labels[0], row.cells[1].bold) for row in table.rows} == {
        ("0", False), ("60K", True), ("120K", True), ("250K", True), ("∞", True)
    }  # fmt: skip


def test_a_note_on_cells_of_one_run_without_a_spread():
    table = tables.get(2).compute(synthetic.study(runs=1))
    assert table.rows[0].cells[1].text() == "39.50"
    assert "A cell of one run has no standard deviation, so none is printed." in table.footnotes


def test_unequal_numbers_of_runs_are_listed():
    key = ("tau", "checkpoint", "suite", "finetune_seed")
    gone = ["120K", 500_000, "glue", 1]
    dropped = [row for row in synthetic.scores(runs=2) if [row[name] for name in key] != gone]
    table = tables.get(2).compute(records.from_rows(dropped))
    assert "n = 1 to 2 runs" in table.caption
    assert "Runs per cell: 2, except 1 at τ = 120K 500K (GLUE)." in table.footnotes


def test_table_4_holds_large_alone():
    large = records.from_rows(synthetic.scores(size="large", taus=("0", "120K")))
    table = tables.get(4).compute(records.combine(MEASURED, large))
    assert [row.labels for row in table.rows] == [
        ("0", "500K"), ("120K", "500K"), ("0", "1M"), ("120K", "1M")
    ]  # fmt: skip
    assert table.rows[1].cells[1] == cells.Cell(40.5, None, 1, 2, bold=True)
    assert table.rows[0].cells[0].text() == "not run"


def test_a_measured_table_3():
    table = computed(3)
    # Medians of 35, 40, 60 and of 25, 30, 50; 100 and 120 GFLOPs.
    assert [row[:5] for row in expected(table)] == [
        ["Base", "Baseline", ("1.00", False), ("1.00×10²", False), ("1.000", False)],
        ["Base", "SPACTOR(τ), 1st stage", ("0.75", False), ("1.20×10²", False), ("1.200", False)],
    ]
    assert any("Baseline 40 per second (n = 3)" in note for note in table.footnotes)
    assert any("1st stage 30 per second (n = 3)" in note for note in table.footnotes)
    hybrid = synthetic.timing()
    hybrid = hybrid[hybrid["metric"].str.endswith("hybrid")]
    without_baseline = tables.get(3).compute(records.combine(synthetic.study(), hybrid))
    assert [row.cells[0].text() for row in without_baseline.rows] == ["not run", "not run"]


def test_a_measured_table_1_counts_and_names_what_was_scored():
    table = computed(1)
    assert printed(table) == {
        **{(name,): ["not run", "not run"] for name in ("SuperGLUE", "SQuAD", "Rainbow", "FLAN")},
        ("GLUE",): ["cola, mrpc", "2"],
        ("CNN/DailyMail",): ["summary", "1"],
    }
    flan = tables.get(1).compute(imitation.study(runs=1)).rows[-1]
    assert [cell.text() for cell in flan.cells] == ["57 of MMLU, 27 of BBH", "84"]


def test_table_3_has_the_compiled_flops_beside_what_was_measured(monkeypatch):
    programs = {
        compiled.Program(size="base", stage=stage, variant="paper_faithful"): SimpleNamespace(
            cost=SimpleNamespace(flops=flops)
        )
        for stage, flops in (("span_corruption", 1.568e13), ("hybrid", 2.196e13))
    }
    monkeypatch.setattr(type(compiled.ARTIFACT), "load", lambda artifact: programs)
    table = computed(3)
    assert [column.key for column in table.columns[3:]] == [
        *("paper_faithful_step_gflops", "paper_faithful_flops_ratio"),
        *("ours_step_gflops", "ours_flops_ratio"),
    ]
    # 2.196 / 1.568 = 1.4005; what is not compiled is not run.
    assert [[cell.text() for cell in row.cells[3:]] for row in table.rows] == [
        ["1.57×10⁴", "1.000", "not run", "not run"],
        ["2.20×10⁴", "1.401", "not run", "not run"],
    ]
    printed = "The paper prints 1.6×10⁴ and 2.2×10⁴ GFLOPs for Base, 1.375 to 1."
    assert printed in table.footnotes
    assert len(tables.get(3).compute(published.load(3)).columns) == 2


def test_a_measured_table_5_with_settings_of_one_size(monkeypatch):
    common = {**synthetic.COMMON, "size": "base"}
    rows = [
        {**common, "metric": "setting/noise_density", "value": 0.125, "decimals": 3},
        {**common, "metric": "setting/warmup_steps", "value": 1200, "decimals": 0},
        {**common, "metric": "setting/discriminator_layers", "value": None, "text": "3 and 4"},
    ]
    table = tables.get(5).compute(records.from_rows(rows))
    cells = {label: texts for (label,), texts in printed(table).items()}
    assert cells["Span Corruption"] == ["(r = 12.5%, μ = not run)", "not run"]
    assert cells["Warmup Steps"] == ["κ = 1,200", "not run"]
    assert cells["Discriminator Layers"] == ["3 and 4", "not run"]
    assert cells["Batch Size"] == ["not run", "not run"]
    # Also where only a part of a cell is missing.
    monkeypatch.setattr(tables.get(5), "PARAMETERS", (tables.get(5).PARAMETERS[10],))
    monkeypatch.setattr(tables.get(5), "SIZES", ("base",))
    table = tables.get(5).compute(records.from_rows(rows))
    assert list(printed(table).values()) == [["(r = 12.5%, μ = not run)"]]
    assert table.footnotes == ("not run: the records hold no such setting.",)


def test_runs_that_collapsed_are_in_a_footnote_and_in_the_numbers() -> None:
    rows = synthetic.scores(runs=2)
    label_use = [
        row | {"metric": "predicted_classes", "value": 1.0 if row["finetune_seed"] else 2.0}
        for row in rows
        if row["metric"] in ("f1", "matthews_corrcoef") and row["tau"] == "0"
    ]
    plain, flagged = (records.from_rows(part) for part in (rows, rows + label_use))
    table, same = tables.get(2).compute(flagged), tables.get(2).compute(plain)
    assert table.rows == same.rows
    (note,) = set(table.footnotes) - set(same.footnotes)
    assert ": 4, in 2 cells" in note
    assert note in tables.get(6).compute(flagged).footnotes
    assert not same.details and {line.partition(": ")[2] for line in table.details} == {
        f"GLUE {task} τ = 0 {at}, 1 run." for task in ("cola", "mrpc") for at in ("500K", "1M")
    }
    assert table.detailed().footnotes == (*table.footnotes, *table.details)
    assert "GLUE mrpc τ" not in tables.render(table)
    assert "GLUE mrpc τ" in tables.render(table.detailed())


def test_checkpoints_of_continuous_fine_tuning_are_no_rows() -> None:
    rows = synthetic.scores()
    early = [row for row in rows if row["checkpoint"] == 500_000]
    more = [row | {"checkpoint": at} for row in early for at in (0, 100_000)]
    whole, plain = records.from_rows(rows + more), records.from_rows(rows)
    for number in (2, 6):
        assert tables.get(number).compute(whole) == tables.get(number).compute(plain)


# Breakdowns, Tables 6 to 17: medians, columns that were not run, stand-ins.


def stand_ins(**changed):
    """One run of GLUE's two embedded tasks at steps 1 and 2."""
    at = {"source": "measured", "profile": "micro", "size": "base", "tau": "0", "seed": 0}
    at |= {"finetune_seed": 0, "checkpoint": 500_000, "suite": "glue", **changed}
    scores = {("acceptability", "matthews_corrcoef"): 10.0, ("order", "f1"): 60.0}
    scores |= {("order", "accuracy"): 50.0}
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
    assert headings(table) == ("acceptability", "order")
    assert printed(table)["Base", "0", "500K"] == ["13.00", "63.00 / 53.00"]
    assert printed(table)["Base", "120K", "1M"] == ["not run", "not run"]
    assert table.footnotes[0] == (
        "GLUE: none of the paper's 8 tasks here was run and has no column; instead, made from "
        "the embedded corpus: acceptability, order."
    )


def test_stand_ins_beside_tasks_of_the_paper_are_further_columns():
    rows = stand_ins()
    cola = [{**rows[0], "step": step, "task": "cola", "value": 40.0} for step in (1, 2)]
    table = tables.get(6).compute(records.from_rows([*rows, *cola]))
    assert headings(table) == (*GLUE, "acceptability", "order")
    assert len(table.blocks()) == 2
    assert "GLUE: beyond the paper's tasks: acceptability, order." in table.footnotes


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


# Cells of diverged runs are marked as such, or have a footnote, and are never "not run".


def diverged(runs: int, tau: str) -> tuple[pd.DataFrame, pd.DataFrame]:
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
    _, frame = diverged(1, "120K")
    table = tables.get(2).compute(frame)
    cells = printed(table)
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
    missing, frame = diverged(2, "250K")
    table = tables.get(2).compute(frame)
    cells = {row.labels: row.cells[1] for row in table.rows}
    assert not any("diverged" in note for note in tables.get(2).compute(missing).footnotes)
    assert cells["250K", "500K"].runs == 1 and cells["0", "500K"].runs == 2
    [note] = [note for note in table.footnotes if note.startswith("Runs that diverged")]
    assert note.endswith("GLUE τ = 250K 500K: 1 of 2; GLUE τ = 250K 1M: 1 of 2.")


def test_every_table_of_scores_reads_the_marks() -> None:
    for number in (2, 4, *range(6, 18)):
        assert records.DIVERGED in str(tables.get(number).reads), number
