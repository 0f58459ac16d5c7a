"""Where cells come from: every table's published cells, and measured ones with their runs."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest
import synthetic_records
from commands import run

import tables
from analysis.compiled import local_step as compiled
from analysis.schema import published, records
from analysis.schema.nodes import Nodes
from analysis.schema.published import line_of
from repro import collect, folders
from spactor.errors import UserError
from tables import places, trace_text
from tables.traces import Tracer

ROOT = Path(published.__file__).parents[3]


def explain(number, row, column, frame, nodes=None):
    """The text with every paragraph on one line, as it is before it is wrapped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace_text, "paragraphs", "\n".join)
        return trace_text.text(Tracer(frame, nodes).explain(number, row, column))


def node_of(row):
    seed = row["finetune_seed"]
    at = f"{row['size']}/s0/tau{row['tau']}/{row['checkpoint'] // 1000}K"
    return f"{at}/finetune-{row['suite']}-{seed}"


@pytest.fixture(scope="module")
def study():
    """Two runs a cell, each with the name and fingerprint of a node."""
    rows = synthetic_records.scores(runs=2)
    for row in rows:
        row["node"] = node_of(row)
        row["fingerprint"] = f"print of {row['node']}"
    return records.from_rows([*rows, *synthetic_records.costs()])


@pytest.fixture(scope="module")
def provenance(study):
    shared = {
        "commit": "c0ffee",
        "device": "1 × cpu cpu",
        "machine": "desk x86_64 2 cores",
        "python": "3.11.7",
        "packages": {"jax": "0.10.2"},
        "data": {"fingerprint": "d" * 64, "tokens": {"train": 12_000}},
        "command": "repro run --profile micro",
        "attempts": [
            {"started": "2026-01-01T00:00:00+00:00", "seconds": 2.5},
            {"started": "2026-01-01T00:01:00+00:00", "seconds": 1.5},
        ],
    }
    pretraining = [
        {"node": "base/s0/hybrid/0-120K", "fingerprint": "first", "inputs": {"parent": None}},
        {"node": "base/s0/tau120K/120K-500K", "fingerprint": "second"}
        | {"inputs": {"parent": "first"}},
    ]
    finetuning = [
        {"node": node, "fingerprint": f"print of {node}"}
        | {"inputs": {"parent": "second", "checkpoint_step": 500}}
        for node in study.loc[study["node"] != "", "node"].unique()
    ]
    return [shared | entry for entry in (*pretraining, *finetuning)]


@pytest.fixture(scope="module")
def nodes(provenance):
    return Nodes.of(provenance)


@pytest.mark.parametrize("number", list(tables.REGISTRY))
def test_every_published_cell_has_its_file_and_line(number):
    """One cell of each column, and of each row."""
    frame = published.load(number)
    tracer = Tracer(frame)
    table = tables.get(number).compute(frame)
    rows, columns = len(table.rows), len(table.columns)
    for row, column in ((at % rows, at % columns) for at in range(max(rows, columns))):
        labels, heading = " ".join(table.rows[row].labels), table.columns[column].heading
        found = tracer.trace(places.find(table, labels, heading))
        assert found.place.title.startswith(f"Table {number}, ")
        assert found.place.cell == table.rows[row].cells[column]
        assert found.printed
        for one in found.printed:
            line = (ROOT / one.path).read_text("utf-8").splitlines()[one.line - 1]
            values = next(csv.reader([line]))
            value, words = values[6], values[11]
            if value and "e" not in value:
                assert one.text.startswith(value)
            elif words:
                assert one.text == words


def test_a_published_cell():
    text = explain(2, "τ=120K, 500K", "squad", published.load(2))
    assert text.startswith("Table 2, τ 120K, Ckpt. 500K, SQuAD: 88.93 ± 0.11, bold\npublished\n")
    for part in ("bold, as printed", "of 5 runs", "analysis/schema/published/table2.csv, line 21"):
        assert part in text
    lines = (ROOT / "analysis/schema/published/table2.csv").read_text("utf-8").splitlines()
    assert lines[20].startswith("base,120K,500000,squad,,average,88.93,0.11")


@pytest.mark.parametrize(
    ("row", "column", "labels", "heading"),
    [
        ("120K 500K", "GLUE", ("120K", "500K"), "GLUE"),
        ("500k, tau 120k", "super", ("120K", "500K"), "SuperGLUE"),
        ("0 ckpt. 1000000", "cnndm", ("0", "1M"), "CNNDM"),
        ("60K", "relative_flops", ("60K", "500K"), "FLOPs"),
        ("Base, τ = 250K / 1M", "rainbow", ("250K", "1M"), "Rainbow"),
    ],
)
def test_rows_and_columns_are_matched_forgivingly(row, column, labels, heading):
    table = tables.get(2).compute(published.load(2))
    place = places.find(table, row, column)
    assert (place.row.labels, place.column.heading) == (labels, heading)
    assert (place.size, place.tau, place.checkpoint) == (
        "base",
        labels[0],
        {"500K": 500_000, "1M": 1_000_000}[labels[1]],
    )


@pytest.mark.parametrize(
    ("number", "row", "column", "message"),
    [
        (2, "33K 500K", "GLUE", "no row '33K 500K' in table 2; there are 0 500K; 250K 500K; 120K"),
        (2, "250K", "GLUE", "row '250K' of table 2 could be any of 250K 500K; 250K 1M; name one"),
        (2, "", "GLUE", "no row '' in table 2"),
        (2, "0 1M", "WMT", "no column 'WMT' in table 2; there are FLOPs; GLUE; SuperGLUE; SQuAD"),
        (2, "0 1M", "u", "column 'u' of table 2 could be any of GLUE; SuperGLUE; SQuAD; MMLU"),
        (2, "0 1M", "", "no column '' in table 2"),
        (3, "Base", "FLOPs", r"row 'Base' of table 3 could be any of Base Baseline; Base SPACTOR"),
    ],
)
def test_what_fits_nothing_or_too_much_is_refused_with_what_there_is(number, row, column, message):
    with pytest.raises(UserError) as caught:
        explain(number, row, column, published.load(number))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_no_such_table_and_no_such_record():
    with pytest.raises(UserError, match="there is no table 99"):
        explain(99, "0", "GLUE", published.load(2))
    stray = published.load(2).assign(metric="cost/of_living").itertuples()
    with pytest.raises(UserError, match=r"no file in .* holds cost/of_living"):
        line_of(next(stray))


def test_a_measured_mean_names_its_runs(study, nodes):
    text = explain(2, "120K 500K", "GLUE", study, nodes)
    # τ = 120K is third: 2 + 1; at fine-tuning step 60 one more: CoLA 14, MRPC (64 + 74)/2 = 69,
    # (14 + 69)/2 = 41.5; the second seed 0.25 more. Mean 41.625, std 0.25/√2 = 0.18.
    # τ = 0 is first: 2 less, 39.625.
    assert text.startswith("Table 2, τ 120K, Ckpt. 500K, GLUE: 41.63 ± 0.18, bold\nmeasured, micro")
    assert "mean over 2 runs" in text and "best_average" in text
    assert "bold: 41.6250 > 39.6250 of τ = 0" in text
    _, first, second = text.split("run base/s0/tau120K/500K/finetune-glue-")
    for part in (
        *("score 41.5000 at fine-tuning step 60 of 30, 60; pre-training seed 0, ", "step 60"),
        *("cola matthews_corrcoef: 14.0000", "mrpc accuracy: 64.0000", "mrpc f1: 74.0000"),
        "checkpoint at step 500: base/s0/hybrid/0-120K > base/s0/tau120K/120K-500K",
        *("fingerprint print of bas", "code c0ffee", "data dddddddddddd, 12,000 training tokens"),
        *("1 × cpu cpu, desk x86_64 2 cores, 2026-01-01", "4.0 s in 2 attempts"),
        *("Python 3.11.7; jax 0.10.2", "repro run --profile micro"),
    ):
        assert part in first
    assert "score 41.7500 at fine-tuning step 60 of 30, 60; " in second


def test_the_baseline_and_the_earlier_of_two_steps(study, nodes):
    text = explain(2, "0 500K", "CNNDM", study, nodes)
    # CNN/DailyMail is better at step 30: (21 + 11) / 2 = 16.
    assert "  score 16.0000 at fine-tuning step 30 of 30, 60; " in text
    assert "bold" not in text


def test_without_provenance_or_with_another_runs(study, nodes):
    text = explain(2, "120K 500K", "GLUE", study)
    assert text.count("provenance: none beside the records; `repro collect` writes it") == 2
    other = [node.model_copy(update={"fingerprint": "other"}) for node in nodes.nodes]
    text = explain(2, "120K 500K", "GLUE", study, Nodes(nodes=other))
    assert "provenance: that of another run of this name (other, not print of bas)" in text


def test_what_was_not_run_is_named(study):
    text = explain(2, "120K 500K", "MMLU", study)
    assert "not run: the records hold no score of mmlu for base, τ = 120K, 500K" in text
    text = explain(4, "120K 500K", "FLOPs", study)
    assert text.count("not run: the records hold no pre-training FLOPs of τ") == 2


def test_compiled_flops_name_their_commit_and_versions(study):
    text = explain(3, "Baseline", "ours_step_gflops", study)
    program = compiled.ARTIFACT.load()[
        compiled.Program(size="base", stage="span_corruption", variant="ours")
    ]
    assert f"span_corruption: {program.cost.flops:.6e} FLOPs of one chip of 64" in text
    assert f"commit {program.commit}, jax {program.versions['jax']}" in text
    assert "paper_faithful" not in text and "local_step.json" in text


def test_measured_flops_and_speed(study):
    text = explain(2, "120K 500K", "FLOPs", study)
    # 100 GFLOPs × (500 + 0.2 × 120) = 5.24e13, over 5e13.
    assert "5.240000e+13 FLOPs of τ = 120K, 500K\n  5.000000e+13 FLOPs of τ = 0, 500K" in text
    timed = pd.concat([study, synthetic_records.timing()], ignore_index=True)
    text = explain(3, "1st stage", "Seqs", timed)
    # Three intervals of a node that two τ share: 25, 30, 50; the baseline's 35, 40, 60.
    assert "hybrid: 30.0000 sequences/second, 3 intervals" in text
    assert "span_corruption: 40.0000 sequences/second, 3 intervals" in text
    assert "base/s0/hybrid: 30.0000, 3 intervals; provenance unknown" in text


def test_the_command_reads_a_folder_of_runs_with_its_provenance(
    study, provenance, capsys, tmp_path
):
    runs = folders.open_runs(tmp_path / "runs", create=True)
    home = folders.records_folder(runs, "micro")
    home.mkdir(parents=True)
    records.write(study, home / collect.METRICS)
    folders.write_json(home / collect.PROVENANCE, {"nodes": provenance})
    arguments = ["explain", "2", "--row", "120K 500K", "--column", "GLUE"]
    code, out, _ = run(capsys, *arguments, "--from", "published")
    assert code == 0 and out.startswith("Table 2, τ 120K, Ckpt. 500K, GLUE: 86.35 ± 0.13, bold\n")
    code, out, _ = run(capsys, *arguments, "--runs", str(runs), "--details")
    assert code == 0
    assert "run base/s0/tau120K/500K/finetune-glue-1" in out and "  code c0ffee" in out
