"""Measured tables whose cells are known by hand."""

from __future__ import annotations

from types import SimpleNamespace

import imitation
import synthetic_records as synthetic
from table_readers import expected

import tables
from analysis.compiled import local_step as compiled
from analysis.schema import published, records
from tables import cells

MEASURED = records.combine(synthetic.study(runs=2), synthetic.timing())


def computed(number):
    return tables.get(number).compute(MEASURED)


def test_a_measured_table_2():
    table = computed(2)
    assert table.caption == (
        "Table 2 (measured, micro profile: not comparable with the paper's cells). "
        "Mean score of each suite, SPACTOR-Base(τ). n = 2 runs."
    )
    rows = {row.labels: [cell.text() for cell in row.cells] for row in table.rows}
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
    assert [(row.labels[0], *(cell.text() for cell in row.cells)) for row in table.rows] == [
        ("GLUE", "cola, mrpc", "2"),
        ("SuperGLUE", "not run", "not run"),
        ("SQuAD", "not run", "not run"),
        ("CNN/DailyMail", "summary", "1"),
        ("Rainbow", "not run", "not run"),
        ("FLAN", "not run", "not run"),
    ]
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
    cells = {row.labels[0]: [cell.text() for cell in row.cells] for row in table.rows}
    assert cells["Span Corruption"] == ["(r = 12.5%, μ = not run)", "not run"]
    assert cells["Warmup Steps"] == ["κ = 1,200", "not run"]
    assert cells["Discriminator Layers"] == ["3 and 4", "not run"]
    assert cells["Batch Size"] == ["not run", "not run"]
    # Also where only a part of a cell is missing.
    monkeypatch.setattr(tables.get(5), "PARAMETERS", (tables.get(5).PARAMETERS[10],))
    monkeypatch.setattr(tables.get(5), "SIZES", ("base",))
    table = tables.get(5).compute(records.from_rows(rows))
    assert [cell.text() for cell in table.rows[0].cells] == ["(r = 12.5%, μ = not run)"]
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
